"""What must never happen (design 2), checked after every step that could make it happen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from controlplane.domain.board import held_of
from controlplane.domain.job import JobState
from controlplane.domain.placement import Held
from schemas.envelope import Recorded
from schemas.events.job import PlaybookLaunch
from schemas.events.resource import ResourceDeleted
from schemas.status import Status
from tests.domain.test_job_laws import LEGAL

STALE_START_S = 15.0
"""A claim granted before a deletion may start so much later, never more."""
ZOMBIE_S = 60.0
"""A machine that was reached for so long plays nothing that its job has left."""
Key = tuple[int, int]


class Violation(AssertionError):
    """Something that must never happen happened."""


class Witness:
    """Sees every transition and every start."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._started: set[Key] = set()
        self.playing: dict[Key, str] = {}
        """Living playbooks and the machine of each."""
        self.deleted: dict[str, float] = {}
        """When each resource was deleted."""
        self.reported: dict[Key, float] = {}
        """When each attempt's last report was stored."""
        self.unreached: dict[str, float] = {}
        """Until when each machine was cut off or without its agent, last."""
        self.wrote: dict[Key, list[str]] = defaultdict(list)
        """The uuids of the events that each attempt has written into its journal."""
        self.states: Mapping[int, JobState] = {}

    def configured(self, record: Recorded) -> None:
        """Note deletions."""
        for event in record.events:
            if isinstance(event, ResourceDeleted):
                self.deleted[f"{event.kind}:{event.id}"] = self._now()

    def moved(
        self, job: int, before: JobState, after: JobState, states: Mapping[int, JobState]
    ) -> None:
        """Every change of status is one of AWX's, and attempts only grow."""
        self.states = states
        if after.attempt < before.attempt:
            raise Violation(f"job {job}: attempt {after.attempt} after {before.attempt}")
        if after.status is before.status:
            return
        if after.status not in LEGAL.get(before.status, set()):
            raise Violation(f"job {job}: {before.status} -> {after.status}")
        if after.status is Status.CANCELED and not after.cancel_requested:
            raise Violation(f"job {job} is canceled though nobody canceled it")
        if after.status is Status.WAITING:
            self._alone(job, after, states)
        ended = self.reported.get((job, before.attempt), self._now())
        if after.status is Status.PENDING and self._now() - ended > STALE_START_S:
            raise Violation(f"job {job} is tried again although its end was reported long ago")

    @staticmethod
    def _alone(job: int, state: JobState, states: Mapping[int, JobState]) -> None:
        """No template runs twice at once when it may not; no project updates twice at once."""
        placed = held_of(state)
        record = state.launched.record if state.launched else None
        if isinstance(record, PlaybookLaunch) and record.allow_simultaneous:
            return
        for other, there in states.items():
            active = other != job and there.status in {Status.WAITING, Status.RUNNING}
            if active and _same(placed, held_of(there)):
                raise Violation(f"job {job} was placed while {other} of its kind was")

    def starts(self, key: Key, machine: str) -> None:
        """An attempt starts once, on the machine that was granted it, on resources that stand."""
        job, attempt = key
        state = self.states[job]
        if key in self._started:
            raise Violation(f"attempt {attempt} of job {job} was started twice")
        self._started.add(key)
        granted = state.attempt > attempt or state.runner == machine
        if not granted:
            raise Violation(f"attempt {attempt} of job {job} started on {machine} without a claim")
        depends = state.launched.depends if state.launched else ()
        for name in depends:
            if self._now() - self.deleted.get(name, self._now()) > STALE_START_S:
                raise Violation(f"job {job} started although {name} was deleted long ago")
        for other, where in self.playing.items():
            if other[0] == job and self._now() - self.unreached.get(where, 0.0) > ZOMBIE_S:
                raise Violation(f"attempts {other[1]} and {attempt} of job {job} play at once")
        self.playing[key] = machine

    def told_to_end(self, key: Key, machine: str) -> None:
        """A runner is told to end what somebody canceled, or what its job has left."""
        state = self.states[key[0]]
        stands = state.active and (state.attempt, state.runner) == (key[1], machine)
        if stands and not state.cancel_requested:
            raise Violation(f"{key} was told to end on {machine} though nobody canceled it")

    def kept(self, key: Key, stored: Sequence[str]) -> None:
        """What an attempt wrote is stored, every event once, in its order, and nothing else."""
        wrote = self.wrote.get(key, [])
        if wrote != list(stored):
            raise Violation(f"{key} is forgotten: {len(stored)} of {len(wrote)} events stored")

    def ends(self, key: Key) -> None:
        """A playbook is over."""
        self.playing.pop(key, None)


def _same(one: Held, other: Held) -> bool:
    if one.kind == "project_update" or other.kind == "project_update":
        return one.kind == other.kind and one.project == other.project
    return one.template is not None and one.template == other.template
