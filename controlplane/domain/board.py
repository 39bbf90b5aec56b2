"""The dispatcher's picture of the world, folded from JOBS and CONFIG alone. Pure.

It holds what placement needs and nothing else: active jobs, each project's newest content,
instances, and what was deleted since. It can be stored as a snapshot and goes on from the positions
it names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from controlplane.domain import group_limits, instance, placement
from controlplane.domain.group_limits import GroupLimit
from controlplane.domain.instance import InstanceState
from controlplane.domain.isolation import able, lacking, needs
from controlplane.domain.job import INITIAL, JobState, evolve, run_by_runner
from controlplane.domain.placement import Held, RunnerFacts, Waiting
from schemas.envelope import Recorded
from schemas.events.instance import (
    InstanceAdjusted,
    InstanceAvailable,
    InstanceRegistered,
    InstanceUnavailable,
)
from schemas.events.job import (
    InventoryUpdateLaunch,
    JobLaunched,
    JobPlaced,
    LaunchRecord,
    PlaybookLaunch,
    ProjectContent,
    ProjectUpdateLaunch,
    inventory_of,
    kind_of,
    project_of,
)
from schemas.events.resource import ResourceCreated, ResourceDeleted, ResourceUpdated
from schemas.events.setting import SettingsChanged
from schemas.registry import Event
from schemas.settings import SETTINGS
from schemas.status import JobKind, Status

T = TypeVar("T")

DEFAULT_GROUPS = ("default",)
CONTROL_GROUPS = ("controlplane", "default")
UNNAMED = frozenset({"host", "group"})
"""Kinds that no job names in ``depends``; imports delete them by the thousand."""
OUTCOMES_KEPT = 10_000
FETCHED_KEPT = 2_000
JOB_SETTINGS = frozenset(
    {
        "ALLOW_JINJA_IN_EXTRA_VARS",
        "AWX_COLLECTIONS_ENABLED",
        "AWX_ROLES_ENABLED",
        "AWX_SHOW_PLAYBOOK_LINKS",
        "AWX_ISOLATION_SHOW_PATHS",
        "AWX_TASK_ENV",
        "DEFAULT_CONTAINER_RUN_OPTIONS",
        "DEFAULT_JOB_IDLE_TIMEOUT",
        "DEFAULT_INVENTORY_UPDATE_TIMEOUT",
        "DEFAULT_JOB_TIMEOUT",
        "DEFAULT_PROJECT_UPDATE_TIMEOUT",
        "TOWER_URL_BASE",
        "GALAXY_IGNORE_CERTS",
        "GALAXY_TASK_ENV",
        "PROJECT_UPDATE_VVV",
        "ISOLATION_REQUIRED",
        "JOB_CPU_PERCENT_MAX",
        "JOB_MEMORY_MAX_MB",
        "JOB_PROCESSES_MAX",
        "WEBHOOK_STATUS_SERVERS",
    }
)
"""Settings that work orders are made with."""


class NewestContent(Struct, frozen=True, kw_only=True):
    """What a project's newest successful update fetched, and how its newest one ended."""

    job: int
    revision: str = ""
    content: str = ""
    galaxy: str = ""
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
    awaited: dict[int, int] = field(default_factory=dict)
    """How many active jobs wait for a job or run what it brought: that is not forgotten."""
    outcomes: dict[int, str] = field(default_factory=dict)
    """Status words of jobs that ended lately, for those that wait for them."""
    described: dict[int, str] = field(default_factory=dict)
    """Those of them that failed, as AWX names them to the jobs that waited."""
    fetched: dict[int, ProjectContent] = field(default_factory=dict)
    """Project update to what it brought, of those that ended lately."""
    projects: dict[int, NewestContent] = field(default_factory=dict)
    updated: dict[int, int] = field(default_factory=dict)
    """Inventory update to its inventory, of those that ended lately."""
    inventories: dict[int, str] = field(default_factory=dict)
    """What an inventory's newest successful update left: sha256 of its content in BLOBS."""
    instances: dict[int, InstanceState] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    """``kind:id`` of deleted resources."""
    limits: dict[int, GroupLimit] = field(default_factory=dict)
    """What instance groups take at a time."""
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
            if job not in self.active:
                self._await(state, 1)
            self.active[job] = state
            self._note(job, record)
        else:
            if job in self.active:
                self._await(state, -1)
            self.active.pop(job, None)
            self.traces.pop(job, None)
            self.placed_at.pop(job, None)
            self._ended(job, state)

    def _await(self, state: JobState, by: int) -> None:
        """Count what a job waits for, or no longer does."""
        launched = _launched(state)
        own = _update_read(launched.record)
        for other in {*launched.waits_for, *(() if own is None else (own,))}:
            left = self.awaited.get(other, 0) + by
            if left > 0:
                self.awaited[other] = left
            else:
                self.awaited.pop(other, None)

    def _note(self, job: int, record: Recorded) -> None:
        for event in record.events:
            if isinstance(event, JobLaunched) and record.context.traceparent:
                self.traces[job] = record.context.traceparent
            elif isinstance(event, JobPlaced):
                self.placed_at[job] = record.context.at

    def _ended(self, job: int, state: JobState) -> None:
        if state.launched is None:
            return
        self._keep(self.outcomes, job, str(state.status), OUTCOMES_KEPT)
        record = state.launched.record
        if state.status is not Status.SUCCESSFUL:
            self._keep(self.described, job, _described(state.launched), OUTCOMES_KEPT)
        if isinstance(record, ProjectUpdateLaunch):
            self._fetched(job, record, state)
        elif isinstance(record, InventoryUpdateLaunch) and state.content:
            self._keep(self.updated, job, record.inventory, FETCHED_KEPT)
            self.inventories[record.inventory] = state.content

    def _keep(self, kept: dict[int, T], job: int, value: T, most: int) -> None:
        """Remember something of a job; the oldest that nobody waits for is forgotten."""
        kept[job] = value
        if len(kept) > most:
            oldest = next((each for each in kept if each not in self.awaited), None)
            if oldest is not None:
                del kept[oldest]

    def _fetched(self, job: int, record: ProjectUpdateLaunch, state: JobState) -> None:
        if state.content:
            found = ProjectContent(
                content=state.content, revision=state.revision, galaxy=state.galaxy
            )
            self._keep(self.fetched, job, found, FETCHED_KEPT)
        known = self.projects.get(record.project, NewestContent(job=0))
        if job < known.job or record.job_type != "check":
            return
        newest = state if state.content else known
        self.projects[record.project] = NewestContent(
            job=job,
            revision=newest.revision,
            content=newest.content,
            galaxy=newest.galaxy,
            failed=state.status is not Status.SUCCESSFUL,
        )

    def content_of(self, record: LaunchRecord) -> ProjectContent | NewestContent | None:
        """Return what a job of a project runs: its own content, or the project's newest."""
        match record:
            case (
                PlaybookLaunch(pinned=ProjectContent() as pinned)
                | InventoryUpdateLaunch(pinned=ProjectContent() as pinned)
            ):
                return pinned
            case PlaybookLaunch(project_update=int(update)):
                return self.fetched.get(update)
            case InventoryUpdateLaunch(source_project_update=int(update)):
                return self.fetched.get(update)
            case _:
                project = project_of(record)
                return None if project is None else self.projects.get(project)

    def apply_config(self, record: Recorded) -> bool:
        """Fold one CONFIG transaction: deletions and instances matter, the rest does not.

        True when anything did.
        """
        self.config_position = record.sequence
        matters = [self._configured(event) for event in record.events]
        return any(matters)

    def _configured(self, event: Event) -> bool:
        match event:
            case ResourceDeleted(kind=group_limits.KIND, id=number):
                self.limits.pop(number, None)
            case ResourceCreated(kind=group_limits.KIND, id=number, values=values):
                self.limits[number] = GroupLimit().changed(values)
            case ResourceUpdated(kind=group_limits.KIND, id=number, changes=changes):
                self.limits[number] = self.limits.get(number, GroupLimit()).changed(changes)
            case ResourceDeleted(kind=kind) if kind in UNNAMED:
                return False
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
            self.projects.setdefault(project, NewestContent(job=0))

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
            if run_by_runner(state):
                yield job, state

    def decisions(self, now: datetime) -> tuple[placement.Decision, ...]:
        """Return what placement decides about every pending job."""
        lacking = {job: found for job, state in self.pending() if (found := self._lacking(state))}
        waiting = [
            msgspec.structs.replace(waiting_of(state), needs=self.needs(_launched(state)))
            for job, state in self.pending()
            if job not in lacking
        ]
        held = [
            held_of(state)
            for state in self.active.values()
            if state.status in (Status.WAITING, Status.RUNNING) and run_by_runner(state)
        ]
        runners = [
            RunnerFacts(
                name=each.hostname,
                groups=each.groups,
                capacity=each.capacity,
                available=each.usable,
                isolation=each.isolation,
            )
            for each in self.instances.values()
        ]
        return (
            *lacking.values(),
            *placement.place(waiting, held, runners, now, self.limits.values()),
        )

    def content_after(self, launched: JobLaunched, inventory: int | None) -> str:
        """Return the content of an inventory that an update left which a job has waited for.

        Empty where it waited for none: it has what stood there when it was launched.
        """
        waited = {self.updated.get(other) for other in launched.waits_for}
        if inventory is None or inventory not in waited:
            return ""
        return self.inventories.get(inventory, "")

    def _lacking(self, state: JobState) -> placement.HeldBack | None:
        """Hold a playbook run back whose new project has not been updated, ever."""
        launched = _launched(state)
        record = launched.record
        if not isinstance(record, PlaybookLaunch | InventoryUpdateLaunch):
            return None
        project = project_of(record)
        if project is None or project in self.projects or record.pinned or _update_read(record):
            return None
        text = f"waiting for the first update of project {project}"
        return placement.HeldBack(job=launched.id, rule="dependency", explanation=text)

    def unclaimable(self, state: JobState) -> str:
        """Return why nobody can claim a placed attempt, empty when somebody can."""
        placed = state.placed
        if placed is None:
            return ""
        needs = self.needs(_launched(state))
        if placed.runner is not None:
            instance = self.instance_named(placed.runner)
            if instance is not None and instance.usable:
                return "" if able(instance.isolation, needs) else lacking(placed.runner, needs)
            return f"Runner {placed.runner}, chosen for this job, is not available."
        members = [
            each for each in self.instances.values() if each.usable and placed.group in each.groups
        ]
        if not members:
            return f"No enabled runner is present in {placed.group}."
        if any(able(each.isolation, needs) for each in members):
            return ""
        return lacking(placed.group, needs)

    def needs(self, launched: JobLaunched) -> tuple[str, ...]:
        """Return what a job's runner must be able to do."""
        return needs(launched, self.setting("ISOLATION_REQUIRED"))

    def unmet(self, launched: JobLaunched) -> str:
        """Return why the job can never run: its dependency failed or its project has nothing."""
        for other in launched.waits_for:
            outcome = self.outcomes.get(other)
            if outcome not in (None, str(Status.SUCCESSFUL)):
                word = "Canceled" if outcome == Status.CANCELED else "Failed"
                return f"Previous Task {word}: {self.described.get(other, other)}"
        record = launched.record
        if not isinstance(record, PlaybookLaunch | InventoryUpdateLaunch) or record.pinned:
            return ""
        update = _update_read(record)
        if update is not None:
            gone = update in self.outcomes and self.content_of(record) is None
            return f"Project update {update} brought nothing." if gone else ""
        known = self.projects.get(project_of(record) or 0)
        if known is not None and known.failed and not known.content:
            return "Missing a revision to run due to failed project update."
        return ""


def _update_read(record: LaunchRecord) -> int | None:
    """Return the project update whose content a job runs, where it is not the newest."""
    match record:
        case InventoryUpdateLaunch(source_project_update=update):
            return update
        case PlaybookLaunch(project_update=update):
            return update
        case _:
            return None


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
        project=_contended(record),
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
        project=_contended(launched.record),
        inventory=inventory_of(launched.record),
        kind=str(kind_of(launched.record)),
    )


def _described(launched: JobLaunched) -> str:
    """Return a job as AWX names it in the explanations of those that waited for it."""
    named = {
        "job_type": str(kind_of(launched.record)),
        "job_name": launched.name,
        "job_id": str(launched.id),
    }
    return json.dumps(named)


def _contended(record: LaunchRecord) -> int | None:
    """Return the project whose updates a job waits for, or that waits for it: none for a sync.

    A sync and the job that it serves have content of their own.
    """
    match record:
        case ProjectUpdateLaunch(job_type="run"):
            return None
        case PlaybookLaunch(pinned=ProjectContent()) | PlaybookLaunch(project_update=int()):
            return None
        case _:
            return project_of(record)


def _launched(state: JobState) -> JobLaunched:
    if state.launched is None:
        raise ValueError("a job without a launch record is not on the board")
    return state.launched


__all__ = ["Board", "NewestContent", "held_of", "waiting_of"]
