"""Transitions of one unified job, stored on ``job.<id>``.

Tags are storage formats: never renamed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from schemas.registry import event
from schemas.status import JobKind, LaunchType


class ProjectContent(Struct, frozen=True, kw_only=True):
    """A project's tree at one revision, and what it requires, by sha256 in BLOBS."""

    content: str
    revision: str = ""
    galaxy: str = ""
    """The roles and collections that it requires; empty for none."""


class PlaybookLaunch(Struct, frozen=True, kw_only=True, tag="job", tag_field="kind"):
    """A job template resolved with its prompts: the immutable launch record of a playbook run."""

    job_template: int | None
    inventory: int | None
    project: int | None
    playbook: str
    inventory_content: str = ""
    """sha256 of the inventory the job runs on, in BLOBS."""
    host_count: int = 0
    """Hosts in the limit, as far as known at launch; bounds the task impact."""
    job_type: str = "run"
    scm_branch: str = ""
    forks: int = 0
    limit: str = ""
    verbosity: int = 0
    extra_vars: str = "{}"
    """JSON object as text; secret answers stand as ``$encrypted$``."""
    template_vars: tuple[str, ...] | None = None
    """Names of those whose value is the job template's own; None where that was not kept."""
    job_tags: str = ""
    skip_tags: str = ""
    start_at_task: str = ""
    force_handlers: bool = False
    become_enabled: bool = False
    diff_mode: bool = False
    use_fact_cache: bool = False
    allow_simultaneous: bool = False
    credentials: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    job_slice_number: int = 0
    job_slice_count: int = 1
    execution_environment: int | None = None
    runtime_vars: dict[str, Any] = {}
    """AWX's ``awx_*`` and ``tower_*`` variables known at launch.

    Given to the play, not shown as extra_vars.
    """
    facts: str = ""
    """sha256 in BLOBS of which facts of the inventory's hosts were known at launch, and where."""
    project_update: int | None = None
    """The sync that fetches this job's own branch; its content is run."""
    pinned: ProjectContent | None = None
    """Content that was known at launch, whatever the project's updates bring: it is run."""
    dry_run: bool = False
    """The playbook is only read: its syntax is checked, its hosts and tasks are listed."""
    prompted: dict[str, Any] | None = None
    """What the launch gave and the template asked for, by field; None where that was not kept.

    A relaunch gives it again. Secret answers stand as ``$encrypted$``.
    """
    webhook_service: str = ""
    webhook_credential: int | None = None
    """Posts the job's status back to the service."""
    webhook_guid: str = ""


class ProjectUpdateLaunch(
    Struct, frozen=True, kw_only=True, tag="project_update", tag_field="kind"
):
    """A project's source control settings at launch: the launch record of a project update."""

    project: int
    scm_type: str
    scm_url: str
    scm_branch: str = ""
    scm_refspec: str = ""
    scm_clean: bool = False
    scm_track_submodules: bool = False
    scm_delete_on_update: bool = False
    credential: int | None = None
    job_type: str = "check"
    """``run`` for a sync: it serves one job and is not the project's newest update."""
    job_tags: str = ""
    local_path: str = ""
    signature_validation_credential: int | None = None


class AdHocLaunch(Struct, frozen=True, kw_only=True, tag="ad_hoc_command", tag_field="kind"):
    """One module on hosts of an inventory: the launch record of an ad hoc command."""

    inventory: int | None
    inventory_content: str = ""
    """sha256 of the inventory the command runs on, in BLOBS."""
    host_count: int = 0
    """Hosts in the limit, as far as known at launch; bounds the task impact."""
    job_type: str = "run"
    limit: str = ""
    credential: int | None = None
    module_name: str = "command"
    module_args: str = ""
    forks: int = 0
    verbosity: int = 0
    extra_vars: str = "{}"
    """JSON object as text."""
    become_enabled: bool = False
    diff_mode: bool = False
    execution_environment: int | None = None
    runtime_vars: dict[str, Any] = {}
    """AWX's ``awx_*`` and ``tower_*`` variables known at launch."""


class InventoryUpdateLaunch(
    Struct, frozen=True, kw_only=True, tag="inventory_update", tag_field="kind"
):
    """An inventory source as it was at launch: the launch record of an inventory update."""

    inventory: int
    inventory_source: int
    source: str
    source_path: str = ""
    source_vars: str = ""
    scm_branch: str = ""
    credential: int | None = None
    enabled_var: str = ""
    enabled_value: str = ""
    host_filter: str = ""
    overwrite: bool = False
    overwrite_vars: bool = False
    verbosity: int = 1
    limit: str = ""
    execution_environment: int | None = None
    source_project: int | None = None
    source_project_update: int | None = None
    """The project update whose content it reads, where it waits for one."""
    pinned: ProjectContent | None = None
    """The content it reads, where that was known at launch."""
    input_inventories: tuple[int, ...] = ()
    """Constructed: the inventories that it is made of, in order."""
    inputs: tuple[str, ...] = ()
    """Constructed: sha256 of each input inventory's content in BLOBS, as it was at launch."""
    facts: str = ""
    """Constructed: sha256 in BLOBS of where facts of their hosts known at launch are."""


class SystemJobLaunch(Struct, frozen=True, kw_only=True, tag="system_job", tag_field="kind"):
    """Housekeeping of the control plane itself: the launch record of a system job."""

    system_job_template: int
    job_type: str
    """``cleanup_jobs``, ``cleanup_activitystream``, ``cleanup_sessions``, ``cleanup_tokens``."""
    extra_vars: str = "{}"
    """JSON object as text: ``days``, ``dry_run``."""


class WorkflowLaunch(Struct, frozen=True, kw_only=True, tag="workflow_job", tag_field="kind"):
    """A workflow job's launch record; of a sliced job it names the job template instead."""

    workflow_job_template: int | None = None
    job_template: int | None = None
    """Sliced: the template whose slices are its nodes."""
    is_sliced_job: bool = False
    inventory: int | None = None
    limit: str = ""
    scm_branch: str = ""
    job_tags: str = ""
    skip_tags: str = ""
    extra_vars: str = "{}"
    """JSON object as text; secret answers stand as ``$encrypted$``."""
    allow_simultaneous: bool = False
    labels: tuple[int, ...] = ()
    sliced: PlaybookLaunch | None = None
    """Sliced: the launch record of each slice, but for its number."""
    slice_jobs: tuple[int, ...] = ()
    """Sliced: the id of each slice's job, in order, known before it is launched."""
    nodes: tuple[int, ...] = ()
    """Sliced: the id of each slice's node."""
    slice_timeout_s: int = 0
    """Sliced: how long each slice may run."""


LaunchRecord = (
    PlaybookLaunch
    | ProjectUpdateLaunch
    | AdHocLaunch
    | InventoryUpdateLaunch
    | SystemJobLaunch
    | WorkflowLaunch
)


class NamedRef(Struct, frozen=True, kw_only=True):
    """Who or what launched a job: AWX's ``launched_by``."""

    type: str
    id: int | None = None
    name: str = ""


class Environment(Struct, frozen=True, kw_only=True):
    """An execution environment as it was at launch."""

    id: int
    name: str
    image: str
    pull: str = ""
    credential: int | None = None
    """The registry's."""


@event("job.launched.v1")
class JobLaunched(Struct, frozen=True, kw_only=True):
    """The job exists and is pending; all later decisions start from this record."""

    id: int
    name: str
    description: str = ""
    created: datetime
    organization: int | None
    template: int | None
    """Unified job template: the job template's or the project's id."""
    launch_type: LaunchType
    launched_by: NamedRef
    created_by: int | None = None
    record: LaunchRecord
    config_position: int
    """CONFIG position at which the record was resolved."""
    depends: tuple[str, ...] = ()
    """``kind:id`` of every resource the job needs, cascade parents included.

    Gone means no start.
    """
    instance_groups: tuple[str, ...] = ()
    """Names of groups in order of preference."""
    impact: int = 1
    """Task impact in forks (capacity units)."""
    timeout_s: int = 0
    lost_policy: str = "error"
    """``error`` or ``retry``: what happens when the runner is lost."""
    secrets: str = ""
    """Launch passwords and secret answers (JSON object), sealed under the key ``key.job.<id>``.

    Base64.
    """
    relaunch_of: int | None = None
    waits_for: tuple[int, ...] = ()
    """Unified jobs that must end successfully first (dependencies)."""
    workflow_job: int | None = None
    """The workflow job, of a sliced job too, that started this one."""
    environment: Environment | None = None
    """What it runs in, chosen there or above; None: the runner's own."""


@event("job.held.v1")
class JobHeld(Struct, frozen=True, kw_only=True):
    """The job stays pending, and this is the rule that holds it.

    Stored only when the reason changes.
    """

    rule: str
    """``dependency``, ``capacity``, ``concurrency``, ``group``, ``no_runner``, ``isolation``."""
    explanation: str


@event("job.placed.v1")
class JobPlaced(Struct, frozen=True, kw_only=True):
    """Placement chose a group: the attempt may now be claimed by a runner of it."""

    attempt: int
    group: str
    work_class: int
    runner: str | None = None
    """Set when the order is addressed to one runner (a reservation for a large job)."""
    project_content: str = ""
    galaxy_content: str = ""
    scm_revision: str = ""
    inventory_content: str = ""
    """sha256 of the inventory as an update that the job waited for left it; else as launched."""
    inputs: tuple[str, ...] = ()
    """Constructed: the inputs' contents, those that were updated first as they are since then."""
    jobs_position: int = 0
    """JOBS position the decision was made at: it can be re-run and explained from there."""


@event("job.claimed.v1")
class JobClaimed(Struct, frozen=True, kw_only=True):
    """A runner holds the attempt; only this fact allows a start."""

    attempt: int
    runner: str


@event("job.started.v1")
class JobStarted(Struct, frozen=True, kw_only=True):
    """The attempt's process runs."""

    attempt: int
    runner: str
    at: datetime


@event("job.cancel_requested.v1")
class JobCancelRequested(Struct, frozen=True, kw_only=True):
    """Somebody wants the job to end; a job no runner holds ends with the next event at once."""

    requested_by: str
    explanation: str = ""


@event("job.cancel_delivered.v1")
class JobCancelDelivered(Struct, frozen=True, kw_only=True):
    """The runner has taken the cancel request and signalled the process."""

    attempt: int
    runner: str


@event("job.lost.v1")
class JobLost(Struct, frozen=True, kw_only=True):
    """The runner's presence lapsed; the job stays running during the grace."""

    attempt: int
    runner: str
    explanation: str


@event("job.recovered.v1")
class JobRecovered(Struct, frozen=True, kw_only=True):
    """The runner came back within the grace and still holds the attempt."""

    attempt: int
    runner: str


@event("job.requeued.v1")
class JobRequeued(Struct, frozen=True, kw_only=True):
    """The attempt is given up and the job is pending again.

    The next placement raises the attempt.
    """

    attempt: int
    explanation: str


@event("job.finished.v1")
class JobFinished(Struct, frozen=True, kw_only=True):
    """The job has reached its end; ``status`` is one of the terminal words."""

    status: str
    finished: datetime
    attempt: int = 0
    """The attempt that ended it; 0 when none ran."""
    rc: int | None = None
    explanation: str = ""
    traceback: str = ""
    last_counter: int = 0
    """Counter of the last event of the attempt in OUTPUT; 0 when it has none."""
    revision: str = ""
    content: str = ""
    """Project update: the commit and the sha256 of its tree in BLOBS."""
    galaxy: str = ""
    """Project update: sha256 of the roles and collections that it requires, likewise."""
    facts: str = ""
    """sha256 in BLOBS of the facts of hosts that the run changed."""
    playbooks: tuple[str, ...] = ()
    inventory_files: tuple[str, ...] = ()


@event("job.record_completed.v1")
class JobRecordCompleted(Struct, frozen=True, kw_only=True):
    """A lost runner came back after the job had ended.

    Its output is complete up to this counter.
    """

    attempt: int
    last_counter: int


@event("job.deleted.v1")
class JobDeleted(Struct, frozen=True, kw_only=True):
    """The job leaves every read model and its output is purged."""

    requested_by: str = ""


JobEvent = (
    JobLaunched
    | JobHeld
    | JobPlaced
    | JobClaimed
    | JobStarted
    | JobCancelRequested
    | JobCancelDelivered
    | JobLost
    | JobRecovered
    | JobRequeued
    | JobFinished
    | JobRecordCompleted
    | JobDeleted
)


def kind_of(record: LaunchRecord) -> JobKind:
    """Return the unified job kind that a launch record makes."""
    return JobKind(str(record.__struct_config__.tag))


def project_of(record: LaunchRecord) -> int | None:
    """Return the project whose content a job of this record runs or updates; None without."""
    match record:
        case PlaybookLaunch() | ProjectUpdateLaunch():
            return record.project
        case InventoryUpdateLaunch():
            return record.source_project
        case _:
            return None


def inventory_of(record: LaunchRecord) -> int | None:
    """Return the inventory that a job of this record runs on or updates; None without."""
    match record:
        case PlaybookLaunch() | AdHocLaunch() | InventoryUpdateLaunch() | WorkflowLaunch():
            return record.inventory
        case _:
            return None


RUN_BY_RUNNERS = frozenset(
    {JobKind.JOB, JobKind.PROJECT_UPDATE, JobKind.AD_HOC_COMMAND, JobKind.INVENTORY_UPDATE}
)
"""Kinds that placement gives to runners; the control plane does the others itself."""
RECORD = msgspec.json.Decoder(LaunchRecord)
