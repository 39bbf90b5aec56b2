"""From a launch record and its placement to the work order that a runner gets.

Pure; holds no secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.domain import ad_hoc, extra_vars
from schemas.events.job import (
    AdHocLaunch,
    InventoryUpdateLaunch,
    JobLaunched,
    JobPlaced,
    PlaybookLaunch,
    ProjectUpdateLaunch,
    SystemJobLaunch,
    WorkflowLaunch,
)
from schemas.work import (
    AdHocRun,
    Apart,
    Image,
    InventorySync,
    Limits,
    Payload,
    PlaybookRun,
    ProjectSync,
    WorkOrder,
)

_MEGABYTE = 1024 * 1024
_DEFAULTS: dict[type, str] = {
    PlaybookLaunch: "DEFAULT_JOB_TIMEOUT",
    ProjectUpdateLaunch: "DEFAULT_PROJECT_UPDATE_TIMEOUT",
    InventoryUpdateLaunch: "DEFAULT_INVENTORY_UPDATE_TIMEOUT",
}
"""The setting that holds for jobs whose template sets no time."""


def order_of(
    launched: JobLaunched,
    placed: JobPlaced,
    setting: Callable[[str], Any],
    traceparent: str | None = None,
) -> WorkOrder:
    """Return the order of one attempt; ``setting`` knows what administrators set."""
    return WorkOrder(
        job=launched.id,
        attempt=placed.attempt,
        organization=launched.organization or 0,
        name=launched.name,
        created=launched.created,
        group=placed.group,
        impact=launched.impact,
        timeout_s=_timeout_s(launched, setting),
        idle_timeout_s=setting("DEFAULT_JOB_IDLE_TIMEOUT"),
        env=setting("AWX_TASK_ENV"),
        apart=_apart(launched, setting),
        traceparent=traceparent,
        payload=_payload(launched, placed, setting),
    )


def _apart(launched: JobLaunched, setting: Callable[[str], Any]) -> Apart:
    """Return how a job is kept apart; a project update always as well as its runner can."""
    if isinstance(launched.record, ProjectUpdateLaunch):
        return Apart(mounts=tuple(setting("AWX_ISOLATION_SHOW_PATHS")))
    found = launched.environment
    image = None if found is None else Image(name=found.name, image=found.image, pull=found.pull)
    return Apart(
        environment=image,
        required=setting("ISOLATION_REQUIRED"),
        mounts=tuple(setting("AWX_ISOLATION_SHOW_PATHS")),
        options=tuple(setting("DEFAULT_CONTAINER_RUN_OPTIONS")),
        limits=Limits(
            memory_bytes=setting("JOB_MEMORY_MAX_MB") * _MEGABYTE,
            processes=setting("JOB_PROCESSES_MAX"),
            cpu_percent=setting("JOB_CPU_PERCENT_MAX"),
        ),
    )


def _timeout_s(launched: JobLaunched, setting: Callable[[str], Any]) -> int:
    """Return how long an attempt may run; a template's 0 is the default, below 0 is no limit."""
    default = _DEFAULTS.get(type(launched.record), "")
    if launched.timeout_s or not default:
        return max(launched.timeout_s, 0)
    return int(setting(default))


def _payload(launched: JobLaunched, placed: JobPlaced, setting: Callable[[str], Any]) -> Payload:
    record = launched.record
    match record:
        case PlaybookLaunch():
            return PlaybookRun(
                project_content=placed.project_content,
                galaxy_content=placed.galaxy_content,
                scm_revision=placed.scm_revision,
                inventory_content=placed.inventory_content or record.inventory_content,
                playbook=record.playbook,
                inventory=record.inventory,
                job_type=record.job_type,
                forks=record.forks,
                limit=record.limit,
                verbosity=record.verbosity,
                extra_vars=extra_vars.as_text(_variables(launched, placed, record)),
                jinja_vars=_jinja_vars(record, setting("ALLOW_JINJA_IN_EXTRA_VARS")),
                job_tags=record.job_tags,
                skip_tags=record.skip_tags,
                start_at_task=record.start_at_task,
                force_handlers=record.force_handlers,
                become_enabled=record.become_enabled,
                diff_mode=record.diff_mode,
                use_fact_cache=record.use_fact_cache,
                dry_run=record.dry_run,
                facts=record.facts,
                slice_number=record.job_slice_number,
                slice_count=record.job_slice_count,
            )
        case ProjectUpdateLaunch():
            return _sync(record, setting)
        case AdHocLaunch():
            return _command(launched, placed, record, setting("ALLOW_JINJA_IN_EXTRA_VARS"))
        case InventoryUpdateLaunch():
            return InventorySync(
                inventory=record.inventory,
                inventory_source=record.inventory_source,
                source=record.source,
                source_path=record.source_path,
                source_vars=record.source_vars,
                limit=record.limit,
                verbosity=record.verbosity,
                project_content=placed.project_content,
                galaxy_content=placed.galaxy_content,
                scm_revision=placed.scm_revision,
                inputs=placed.inputs or record.inputs,
                facts=record.facts,
            )
        case SystemJobLaunch() | WorkflowLaunch():
            raise TypeError(f"{type(record).__name__} is not run by runners")


def _command(launched: JobLaunched, placed: JobPlaced, record: AdHocLaunch, jinja: str) -> AdHocRun:
    ad_hoc.without_jinja(record.module_args, jinja)
    return AdHocRun(
        inventory_content=placed.inventory_content or record.inventory_content,
        inventory=record.inventory,
        module_name=record.module_name,
        module_args=record.module_args,
        job_type=record.job_type,
        forks=record.forks,
        limit=record.limit,
        verbosity=record.verbosity,
        extra_vars=extra_vars.as_text(_variables(launched, placed, record)),
        jinja_vars=None if jinja == "always" else (),
        become_enabled=record.become_enabled,
        diff_mode=record.diff_mode,
    )


def _sync(record: ProjectUpdateLaunch, setting: Callable[[str], Any]) -> ProjectSync:
    return ProjectSync(
        project=record.project,
        scm_type=record.scm_type,
        scm_url=record.scm_url,
        scm_branch=record.scm_branch,
        scm_refspec=record.scm_refspec,
        scm_track_submodules=record.scm_track_submodules,
        scm_delete_on_update=record.scm_delete_on_update and record.job_type == "check",
        validate=record.signature_validation_credential is not None,
        roles_enabled=setting("AWX_ROLES_ENABLED"),
        collections_enabled=setting("AWX_COLLECTIONS_ENABLED"),
        galaxy_env=setting("GALAXY_TASK_ENV"),
        galaxy_ignore_certs=setting("GALAXY_IGNORE_CERTS"),
        follow_links=setting("AWX_SHOW_PLAYBOOK_LINKS"),
        verbosity=3 if setting("PROJECT_UPDATE_VVV") else 0,
    )


def _jinja_vars(record: PlaybookLaunch, jinja: str) -> tuple[str, ...] | None:
    """Return the variables that may hold templates: whoever gives one runs what they like.

    What the template itself says was given by somebody who may change it (AWX 3.47).
    """
    if jinja == "always":
        return None
    return record.template_vars if jinja == "template" else ()


def _variables(
    launched: JobLaunched, placed: JobPlaced, record: PlaybookLaunch | AdHocLaunch
) -> dict[str, object]:
    """Return the play's variables: AWX's own ones below those of the launch (AWX 4.2)."""
    own: dict[str, object] = {
        **record.runtime_vars,
        "job_id": launched.id,
        "job_launch_type": str(launched.launch_type),
    }
    if isinstance(record, PlaybookLaunch):
        own |= {
            "project_revision": placed.scm_revision,
            "job_scm_branch": record.scm_branch,
        }
    named = {f"{prefix}_{name}": value for name, value in own.items() for prefix in _PREFIXES}
    return extra_vars.merge(named, extra_vars.parse(record.extra_vars))


_PREFIXES = ("tower", "awx")
