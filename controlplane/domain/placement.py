"""Placement: which pending job goes to which group, and the rule that holds each other one. Pure.

The same inputs give the same decisions, so any of them can be run again and explained. Only what
free capacity can take now is released; the rest stays pending, where order, limits and group
preference can still act. A runner in several groups counts its capacity once: placing charges the
runner with the most room of the group. A job larger than any runner goes to an idle one alone (AWX
4.11); one that has waited for ``RESERVE_AFTER_S`` gets a runner reserved and is addressed to it
directly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from controlplane.domain.group_limits import GroupLimit, GroupUse
from controlplane.domain.isolation import able, lacking
from schemas.work import work_class

RESERVE_AFTER_S = 60.0
CHANGING_INVENTORIES = frozenset({"inventory_update", "ad_hoc_command"})
"""Kinds that other jobs on the inventory wait for (AWX 4.5)."""
READING_INVENTORIES = frozenset({"job", "ad_hoc_command"})
NO_CAPACITY = "This job is not ready to start because there is not enough available capacity."


class RunnerFacts(Struct, frozen=True, kw_only=True):
    """One instance that may take work: its groups and its capacity in forks."""

    name: str
    groups: tuple[str, ...]
    capacity: int
    available: bool = True
    isolation: tuple[str, ...] = ()
    """What it can keep jobs apart by."""


class Held(Struct, frozen=True, kw_only=True):
    """A placed or running job: what it takes, and from whom (None before its claim)."""

    job: int
    group: str
    impact: int
    runner: str | None
    template: int | None
    project: int | None
    kind: str
    inventory: int | None = None


class Waiting(Struct, frozen=True, kw_only=True):
    """A pending job, in the order of creation (its id)."""

    job: int
    kind: str
    created: datetime
    impact: int
    groups: tuple[str, ...]
    """Preferred groups; the first with room wins."""
    template: int | None
    project: int | None
    inventory: int | None = None
    allow_simultaneous: bool = False
    waits_for: tuple[int, ...] = ()
    needs: tuple[str, ...] = ()
    """Ways to be kept apart of which its runner must have one; none: any runner will do."""


class Placed(Struct, frozen=True, kw_only=True):
    """The job's attempt may be claimed in this group, or by this runner alone."""

    job: int
    group: str
    work_class: int
    runner: str | None = None


class HeldBack(Struct, frozen=True, kw_only=True):
    """The job stays pending by this rule; the explanation is AWX's where AWX has one."""

    job: int
    rule: str
    explanation: str


Decision = Placed | HeldBack


def place(
    pending: Sequence[Waiting],
    held: Sequence[Held],
    runners: Iterable[RunnerFacts],
    now: datetime,
    limits: Iterable[GroupLimit] = (),
) -> tuple[Decision, ...]:
    """Decide about every pending job, oldest first; one decision a job."""
    room = _Room(runners, held, limits)
    rules = _Rules(held, pending)
    decisions: list[Decision] = []
    for job in sorted(pending, key=lambda each: each.job):
        reason = rules.against(job)
        if reason is not None:
            decisions.append(reason)
            continue
        decision = room.find(job, now)
        if isinstance(decision, Placed):
            rules.took(job)
        decisions.append(decision)
    return tuple(decisions)


class _Rules:
    """What may not run together, whatever the capacity (AWX 4.5).

    Only what has been placed holds others back. An update in the queue gives way, since it may be
    one that no runner can take; who was launched to run on its content waits for it by name.
    """

    def __init__(self, held: Iterable[Held], pending: Sequence[Waiting]) -> None:
        self._templates: dict[int, int] = {}
        self._updates: dict[int, int] = {}
        self._inventories: dict[int, int] = {}
        self._active = {job.job for job in pending}
        self._kinds = {job.job: job.kind for job in pending}
        for job in held:
            self._active.add(job.job)
            self._kinds[job.job] = job.kind
            self._note(job)

    def took(self, job: Waiting) -> None:
        """Remember a job that was placed in this round."""
        self._note(job)

    def _note(self, job: Held | Waiting) -> None:
        if job.kind in CHANGING_INVENTORIES and job.inventory is not None:
            self._inventories[job.inventory] = job.job
        if job.kind == "project_update" and job.project is not None:
            self._updates[job.project] = job.job
        elif job.template is not None:
            self._templates[job.template] = job.job

    def against(self, job: Waiting) -> HeldBack | None:
        """Return the rule that holds a job, None when none does."""
        for other in job.waits_for:
            if other in self._active:
                return self._wait(job, other, "dependency")
        if job.project is not None:
            update = self._updates.get(job.project)
            if update is not None:
                return self._wait(job, update, "dependency")
        if job.inventory is not None and job.kind in READING_INVENTORIES:
            change = self._inventories.get(job.inventory)
            if change is not None:
                return self._wait(job, change, "dependency")
        if job.kind != "project_update" and not job.allow_simultaneous:
            running = self._templates.get(job.template or 0)
            if running is not None:
                return self._wait(job, running, "concurrency")
        return None

    def _wait(self, job: Waiting, other: int, rule: str) -> HeldBack:
        kind = self._kinds.get(other, "job").replace("_", "")
        return HeldBack(job=job.job, rule=rule, explanation=f"waiting for {kind}-{other} to finish")


class _Room:
    """Free capacity by runner and group while decisions are made."""

    def __init__(
        self, runners: Iterable[RunnerFacts], held: Iterable[Held], limits: Iterable[GroupLimit]
    ) -> None:
        self._groups = GroupUse(limits)
        usable = [each for each in runners if each.available and each.capacity > 0]
        self._known = {each.name: each for each in usable}
        self._free = {each.name: each.capacity for each in usable}
        self._busy: dict[str, int] = defaultdict(int)
        self._members: dict[str, list[str]] = defaultdict(list)
        for each in usable:
            for group in each.groups:
                self._members[group].append(each.name)
        self._full: dict[tuple[str, tuple[str, ...]], int] = {}
        unclaimed: list[Held] = []
        for job in held:
            self._groups.took(job.group, job.impact)
            if job.runner is None:
                unclaimed.append(job)
            elif job.runner in self._free:
                self._charge(job.runner, job.impact)
        for job in unclaimed:
            roomiest = self._roomiest(self._members.get(job.group, ()))
            if roomiest is not None:
                self._charge(roomiest, job.impact)

    def find(self, job: Waiting, now: datetime) -> Decision:
        """Return the group that can take a job now, or why none can."""
        usable = [group for group in job.groups if self._members.get(group)]
        if not usable:
            names = ", ".join(job.groups) or "any instance group"
            return HeldBack(
                job=job.job,
                rule="no_runner",
                explanation=f"No enabled runner is present in {names}.",
            )
        usable = [group for group in usable if self._able(group, job)]
        if not usable:
            text = lacking(", ".join(job.groups), job.needs)
            return HeldBack(job=job.job, rule="isolation", explanation=text)
        reasons = {group: self._groups.against(group, job.impact) for group in usable}
        usable = [group for group in usable if not reasons[group]]
        if not usable:
            text = " ".join(reasons.values())
            return HeldBack(job=job.job, rule="group", explanation=text)
        for group in usable:
            if job.impact >= self._full.get((group, job.needs), 1 << 62):
                continue
            able_ones = self._able(group, job)
            runner = self._roomiest(able_ones)
            if runner is not None and self._free[runner] >= job.impact:
                alone = len(able_ones) < len(self._members[group])
                return self._placed(job, group, runner, alone=alone)
            self._full[group, job.needs] = job.impact
        for group in usable:
            idle = self._idle_for(usable, group, job, now)
            if idle is not None:
                return self._placed(job, group, idle, alone=True)
        if _waited(job, now):
            self._reserve(usable, job)
        return HeldBack(job=job.job, rule="capacity", explanation=NO_CAPACITY)

    def _placed(self, job: Waiting, group: str, runner: str, *, alone: bool) -> Placed:
        self._charge(runner, job.impact)
        self._groups.took(group, job.impact)
        return Placed(
            job=job.job,
            group=group,
            work_class=work_class(job.impact),
            runner=runner if alone else None,
        )

    def _idle_for(
        self, usable: Sequence[str], group: str, job: Waiting, now: datetime
    ) -> str | None:
        """Return an idle runner of a group for a job larger than every runner it may use.

        A job that has waited long gets an idle runner too, whatever its size.
        """
        largest = max(
            self._known[name].capacity for each in usable for name in self._able(each, job)
        )
        if job.impact <= largest and not _waited(job, now):
            return None
        idle = [name for name in self._able(group, job) if self._busy[name] == 0]
        return max(idle, key=lambda name: (self._known[name].capacity, name), default=None)

    def _reserve(self, usable: Sequence[str], job: Waiting) -> None:
        """Keep the runner that will fit the job first free of younger ones until it does."""
        names = {name for each in usable for name in self._able(each, job)}
        fitting = [name for name in names if self._known[name].capacity >= job.impact]
        chosen = max(fitting or names, key=lambda name: (self._free[name], name))
        self._free[chosen] = -1

    def _able(self, group: str, job: Waiting) -> Sequence[str]:
        """Return the members of a group that can keep a job apart as it must be."""
        members = self._members[group]
        if not job.needs:
            return members
        return [name for name in members if able(self._known[name].isolation, job.needs)]

    def _roomiest(self, names: Sequence[str]) -> str | None:
        return max(names, key=lambda name: (self._free[name], name), default=None)

    def _charge(self, runner: str, impact: int) -> None:
        self._free[runner] -= impact
        self._busy[runner] += 1


def _waited(job: Waiting, now: datetime) -> bool:
    return now - job.created > timedelta(seconds=RESERVE_AFTER_S)
