"""From a work order to the specification that a supervisor reads (pure)."""

from __future__ import annotations

from typing import assert_never

import msgspec

from runners.spec import JobSpec
from schemas.work import AdHocRun, InventorySync, PlaybookRun, ProjectSync, WorkOrder

OBJECT = msgspec.json.Decoder(dict[str, object])


def spec_of(order: WorkOrder) -> JobSpec:
    """Return the specification of an order's attempt. Raises msgspec.DecodeError."""
    match order.payload:
        case PlaybookRun():
            told = _playbook(order.payload)
        case ProjectSync():
            told = _sync(order.payload)
        case AdHocRun():
            told = _command(order.payload)
        case InventorySync():
            told = _inventory(order.payload)
        case _:
            assert_never(order.payload)
    return msgspec.structs.replace(
        told,
        job=order.job,
        attempt=order.attempt,
        org=order.organization,
        timeout_s=order.timeout_s,
        idle_timeout_s=order.idle_timeout_s,
        env=order.env,
    )


def _playbook(run: PlaybookRun) -> JobSpec:
    return JobSpec(
        kind="job",
        playbook=run.playbook,
        project_content=run.project_content,
        galaxy_content=run.galaxy_content,
        inventory=run.inventory,
        project_revision=run.scm_revision,
        job_type="check" if run.job_type == "check" else "run",
        forks=run.forks,
        limit=run.limit,
        verbosity=run.verbosity,
        extra_vars=_variables(run.extra_vars),
        jinja_vars=run.jinja_vars,
        job_tags=run.job_tags,
        skip_tags=run.skip_tags,
        start_at_task=run.start_at_task,
        force_handlers=run.force_handlers,
        become_enabled=run.become_enabled,
        diff_mode=run.diff_mode,
        use_fact_cache=run.use_fact_cache,
        dry_run=run.dry_run,
        slice_number=run.slice_number,
        slice_count=run.slice_count,
    )


def _sync(sync: ProjectSync) -> JobSpec:
    return JobSpec(
        kind="project_update",
        project=sync.project,
        scm_type=sync.scm_type,
        scm_url=sync.scm_url,
        scm_branch=sync.scm_branch,
        scm_refspec=sync.scm_refspec,
        scm_submodules=sync.scm_track_submodules,
        scm_delete_first=sync.scm_delete_on_update,
        validate=sync.validate,
        roles_enabled=sync.roles_enabled,
        collections_enabled=sync.collections_enabled,
        galaxy_env=sync.galaxy_env,
        galaxy_ignore_certs=sync.galaxy_ignore_certs,
        follow_links=sync.follow_links,
        verbosity=sync.verbosity,
    )


def _command(run: AdHocRun) -> JobSpec:
    return JobSpec(
        kind="ad_hoc_command",
        inventory=run.inventory,
        module_name=run.module_name,
        module_args=run.module_args,
        job_type="check" if run.job_type == "check" else "run",
        forks=run.forks,
        limit=run.limit,
        verbosity=run.verbosity,
        extra_vars=_variables(run.extra_vars),
        jinja_vars=run.jinja_vars,
        become_enabled=run.become_enabled,
        diff_mode=run.diff_mode,
    )


def _inventory(sync: InventorySync) -> JobSpec:
    return JobSpec(
        kind="inventory_update",
        inventory=sync.inventory,
        project_revision=sync.scm_revision,
        limit=sync.limit,
        verbosity=sync.verbosity,
        source=sync.source,
        source_path=sync.source_path,
        source_vars=sync.source_vars,
        inventory_source=sync.inventory_source,
        inputs=len(sync.inputs),
        galaxy_content=sync.galaxy_content,
    )


def _variables(text: str) -> dict[str, object]:
    return OBJECT.decode(text) if text else {}
