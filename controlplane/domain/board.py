"""The dispatcher's picture of the world, folded from JOBS and CONFIG alone. Pure.

It holds what placement needs and nothing else: active jobs, each project's newest content,
instances, and what was deleted since. It can be stored as a snapshot and goes on from the positions
it names.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from controlplane.domain import instance, placement
from controlplane.domain.instance import InstanceState
from controlplane.domain.job import INITIAL, JobState, evolve
from controlplane.domain.placement import Held, RunnerFacts, Waiting
from schemas.envelope import Recorded
from schemas.events.instance import (
    InstanceAdjusted,
    InstanceAvailable,
    InstanceRegistered,
    InstanceUnavailable,
)
from schemas.events.job import (
    RUN_BY_RUNNERS,
    JobLaunched,
    JobPlaced,
    PlaybookLaunch,
    ProjectUpdateLaunch,
    inventory_of,
    kind_of,
    project_of,
)
from schemas.events.resource import ResourceCreated, ResourceDeleted
from schemas.events.setting import SettingsChanged
from schemas.registry import Event
from schemas.settings import SETTINGS
from schemas.status import JobKind, Status

DEFAULT_GROUPS = ("default",)
CONTROL_GROUPS = ("controlplane", "default")
OUTCOMES_KEPT = 10_000
JOB_SETTINGS = frozenset(
    {
        "ALLOW_JINJA_IN_EXTRA_VARS",
        "AWX_TASK_ENV",
        "DEFAULT_JOB_IDLE_TIMEOUT",
        "DEFAULT_INVENTORY_UPDATE_TIMEOUT",
        "DEFAULT_JOB_TIMEOUT",
        "DEFAULT_PROJECT_UPDATE_TIMEOUT",
    }
)
"""Settings that work orders are made with."""


class ProjectContent(Struct, frozen=True, kw_only=True):
    """What a project's newest successful update fetched, and how its newest one ended."""

    job: int
    revision: str = ""
    content: str = ""
    failed: bool = False


class Board(Struct, kw_only=True):
    """The picture; ``apply_*`` change it in place, in stream order."""

    jobs_position: int = 0
    config_position: int = 0
    active: dict[int, JobState] = field(default_factory=dict)
    traces: dict[int, str] = field(default_factory=dict)
    """Active jobs' traceparents, of those that have one."""
    placed_at: dict[int, datetime] = field(default_factory=dict)
    """When active jobs were placed last."""
    outcomes: dict[int, str] = field(default_factory=dict)
    """Status words of jobs that ended lately, for those that wait for them."""
    projects: dict[int, ProjectContent] = field(default_factory=dict)
    instances: dict[int, InstanceState] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    """``kind:id`` of deleted resources."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What is set of ``JOB_SETTINGS``."""

    def apply_job(self, record: Recorded) -> None:
        """Fold one JOBS transaction."""
        job = int(record.subject.split(".")[1])
        state = self.active.get(job, INITIAL)
        for event in record.events:
            state = evolve(state, event)  # type: ignore[arg-type]  # JOBS holds JobEvents
        self.jobs_position = record.sequence
        if state.active:
            self.active[job] = state
            self._note(job, record)
        else:
            self.active.pop(job, None)
            self.traces.pop(job, None)
            self.placed_at.pop(job, None)
            self._ended(job, state)

    def _note(self, job: int, record: Recorded) -> None:
        for event in record.events:
            if isinstance(event, JobLaunched) and record.context.traceparent:
                self.traces[job] = record.context.traceparent
            elif isinstance(event, JobPlaced):
                self.placed_at[job] = record.context.at

    def _ended(self, job: int, state: JobState) -> None:
        if state.launched is None:
            return
        self.outcomes[job] = str(state.status)
        if len(self.outcomes) > OUTCOMES_KEPT:
            del self.outcomes[next(iter(self.outcomes))]
        record = state.launched.record
        if isinstance(record, ProjectUpdateLaunch):
            known = self.projects.get(record.project, ProjectContent(job=0))
            if job < known.job:
                return
            failed = state.status is not Status.SUCCESSFUL
            self.projects[record.project] = ProjectContent(
                job=job,
                revision=state.revision or known.revision,
                content=state.content or known.content,
                failed=failed,
            )

    def apply_config(self, record: Recorded) -> bool:
        """Fold one CONFIG transaction: deletions and instances matter, the rest does not.

        True when anything did.
        """
        self.config_position = record.sequence
        matters = [self._configured(event) for event in record.events]
        return any(matters)

    def _configured(self, event: Event) -> bool:
        match event:
            case ResourceDeleted():
                self.deleted.add(f"{event.kind}:{event.id}")
            case ResourceCreated(kind="project", id=number, values=values):
                self._note_manual(number, values.get("scm_type", ""))
            case (
                InstanceRegistered()
                | InstanceAdjusted()
                | InstanceUnavailable()
                | InstanceAvailable()
            ):
                before = self.instances.get(event.id, instance.INITIAL)
                self.instances[event.id] = instance.evolve(before, event)
            case SettingsChanged():
                return self._set(event)
            case _:
                return False
        return True

    def _set(self, event: SettingsChanged) -> bool:
        changed = {name: each for name, each in event.values.items() if name in JOB_SETTINGS}
        gone = [name for name in event.reset if name in self.settings]
        self.settings.update(changed)
        for name in gone:
            del self.settings[name]
        return bool(changed or gone)

    def setting(self, name: str) -> Any:
        """Return what holds for jobs: one of ``JOB_SETTINGS``, or its default."""
        return self.settings.get(name, SETTINGS[name].default)

    def _note_manual(self, project: int, scm_type: str) -> None:
        if not scm_type:
            self.projects.setdefault(project, ProjectContent(job=0))

    def instance_named(self, hostname: str) -> InstanceState | None:
        """Return the instance of a runner's name."""
        return next((each for each in self.instances.values() if each.hostname == hostname), None)

    def gone(self, launched: JobLaunched) -> str:
        """Return what the job needs that was deleted, as a person reads it.

        Empty when all stands.
        """
        for name in launched.depends:
            if name in self.deleted:
                kind, number = name.split(":")
                return f"{kind.replace('_', ' ')} {number}"
        return ""

    def pending(self) -> Iterator[tuple[int, JobState]]:
        """Yield the jobs that wait for placement."""
        for job, state in self.active.items():
            if state.status is not Status.PENDING or state.cancel_requested:
                continue
            if kind_of(_launched(state).record) in RUN_BY_RUNNERS:
                yield job, state

    def decisions(self, now: datetime) -> tuple[placement.Decision, ...]:
        """Return what placement decides about every pending job."""
        lacking = {job: found for job, state in self.pending() if (found := self._lacking(state))}
        waiting = [waiting_of(state) for job, state in self.pending() if job not in lacking]
        held = [
            held_of(state)
            for state in self.active.values()
            if state.status in (Status.WAITING, Status.RUNNING)
        ]
        runners = [
            RunnerFacts(
                name=each.hostname,
                groups=each.groups,
                capacity=each.capacity,
                available=each.usable,
            )
            for each in self.instances.values()
        ]
        return (*lacking.values(), *placement.place(waiting, held, runners, now))

    def _lacking(self, state: JobState) -> placement.HeldBack | None:
        """Hold a playbook run back whose new project has not been updated, ever."""
        launched = _launched(state)
        record = launched.record
        if not isinstance(record, PlaybookLaunch) or record.project is None:
            return None
        if record.project in self.projects:
            return None
        text = f"waiting for the first update of project {record.project}"
        return placement.HeldBack(job=launched.id, rule="dependency", explanation=text)

    def unclaimable(self, state: JobState) -> str:
        """Return why nobody can claim a placed attempt, empty when somebody can."""
        placed = state.placed
        if placed is None:
            return ""
        if placed.runner is not None:
            instance = self.instance_named(placed.runner)
            if instance is not None and instance.usable:
                return ""
            return f"Runner {placed.runner}, chosen for this job, is not available."
        if any(each.usable and placed.group in each.groups for each in self.instances.values()):
            return ""
        return f"No enabled runner is present in {placed.group}."

    def unmet(self, launched: JobLaunched) -> str:
        """Return why the job can never run: its dependency failed or its project has nothing."""
        for other in launched.waits_for:
            outcome = self.outcomes.get(other)
            if outcome not in (None, str(Status.SUCCESSFUL)):
                return f'Previous Task Failed: {{"job_id": "{other}"}}'
        record = launched.record
        if isinstance(record, PlaybookLaunch) and record.project is not None:
            known = self.projects.get(record.project)
            if known is not None and known.failed and not known.content:
                return "Missing a revision to run due to failed project update."
        return ""


def waiting_of(state: JobState) -> Waiting:
    """Return a pending job as placement sees it."""
    launched = _launched(state)
    record = launched.record
    kind = kind_of(record)
    default = CONTROL_GROUPS if kind is JobKind.PROJECT_UPDATE else DEFAULT_GROUPS
    return Waiting(
        job=launched.id,
        kind=str(kind),
        created=launched.created,
        impact=launched.impact,
        groups=launched.instance_groups or default,
        template=launched.template,
        project=project_of(record),
        inventory=inventory_of(record),
        allow_simultaneous=isinstance(record, PlaybookLaunch) and record.allow_simultaneous,
        waits_for=launched.waits_for,
    )


def held_of(state: JobState) -> Held:
    """Return a placed or running job as placement sees it."""
    launched = _launched(state)
    return Held(
        job=launched.id,
        group=state.placed.group if state.placed else "",
        impact=launched.impact,
        runner=state.runner or (state.placed.runner if state.placed else None),
        template=launched.template,
        project=project_of(launched.record),
        inventory=inventory_of(launched.record),
        kind=str(kind_of(launched.record)),
    )


def _launched(state: JobState) -> JobLaunched:
    if state.launched is None:
        raise ValueError("a job without a launch record is not on the board")
    return state.launched


__all__ = ["Board", "ProjectContent", "held_of", "waiting_of"]
