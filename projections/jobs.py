"""The projection ``jobs``: unified jobs, their timeline.

And what templates and projects show of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from controlplane.domain import timeline
from projections.projection import RawMessage, Run, Statement
from schemas import registry
from schemas.envelope import Recorded
from schemas.events.job import (
    AdHocLaunch,
    InventoryUpdateLaunch,
    JobCancelRequested,
    JobClaimed,
    JobDeleted,
    JobFinished,
    JobHeld,
    JobLaunched,
    JobLost,
    JobPlaced,
    JobRecordCompleted,
    JobRecovered,
    JobRequeued,
    JobStarted,
    LaunchRecord,
    PlaybookLaunch,
    ProjectUpdateLaunch,
    SystemJobLaunch,
    WorkflowLaunch,
    kind_of,
)
from schemas.status import FAILED, Status

_COLUMNS = (
    "id bigint PRIMARY KEY",
    "kind text NOT NULL",
    "name text NOT NULL",
    "description text NOT NULL DEFAULT ''",
    "status text NOT NULL",
    "failed boolean NOT NULL DEFAULT false",
    "launch_type text NOT NULL",
    "launched_by text NOT NULL",
    "created timestamptz NOT NULL",
    "modified timestamptz NOT NULL",
    "started timestamptz",
    "finished timestamptz",
    "canceled_on timestamptz",
    "job_explanation text NOT NULL DEFAULT ''",
    "execution_node text NOT NULL DEFAULT ''",
    "instance_group text NOT NULL DEFAULT ''",
    "organization_id bigint",
    "unified_job_template_id bigint",
    "job_template_id bigint",
    "project_id bigint",
    "inventory_id bigint",
    "execution_environment_id bigint",
    "credential_id bigint",
    "playbook text NOT NULL DEFAULT ''",
    "scm_type text NOT NULL DEFAULT ''",
    "scm_url text NOT NULL DEFAULT ''",
    "scm_branch text NOT NULL DEFAULT ''",
    "scm_refspec text NOT NULL DEFAULT ''",
    "scm_clean boolean NOT NULL DEFAULT false",
    "scm_track_submodules boolean NOT NULL DEFAULT false",
    "scm_delete_on_update boolean NOT NULL DEFAULT false",
    "scm_revision text NOT NULL DEFAULT ''",
    "job_type text NOT NULL DEFAULT 'run'",
    "forks integer NOT NULL DEFAULT 0",
    "limit_ text NOT NULL DEFAULT ''",
    "verbosity integer NOT NULL DEFAULT 0",
    "extra_vars text NOT NULL DEFAULT '{}'",
    "job_tags text NOT NULL DEFAULT ''",
    "skip_tags text NOT NULL DEFAULT ''",
    "start_at_task text NOT NULL DEFAULT ''",
    "timeout integer NOT NULL DEFAULT 0",
    "use_fact_cache boolean NOT NULL DEFAULT false",
    "diff_mode boolean NOT NULL DEFAULT false",
    "become_enabled boolean NOT NULL DEFAULT false",
    "allow_simultaneous boolean NOT NULL DEFAULT false",
    "force_handlers boolean NOT NULL DEFAULT false",
    "job_slice_number integer NOT NULL DEFAULT 0",
    "job_slice_count integer NOT NULL DEFAULT 1",
    "dry_run boolean NOT NULL DEFAULT false",
    "inventory_content text NOT NULL DEFAULT ''",
    "project_content text NOT NULL DEFAULT ''",
    "galaxy_content text NOT NULL DEFAULT ''",
    "project_update_id bigint",
    "local_path text NOT NULL DEFAULT ''",
    "credentials bigint[] NOT NULL DEFAULT '{}'",
    "labels bigint[] NOT NULL DEFAULT '{}'",
    "depends text[] NOT NULL DEFAULT '{}'",
    "impact integer NOT NULL DEFAULT 1",
    "attempt integer NOT NULL DEFAULT 0",
    "rc integer",
    "result_traceback text NOT NULL DEFAULT ''",
    "final_counter bigint",
    "cancel_flag boolean NOT NULL DEFAULT false",
    "created_by bigint",
    "relaunch_of bigint",
    "workflow_job_id bigint",
    "workflow_job_template_id bigint",
    "is_sliced_job boolean NOT NULL DEFAULT false",
    "module_name text NOT NULL DEFAULT ''",
    "module_args text NOT NULL DEFAULT ''",
    "source text NOT NULL DEFAULT ''",
    "source_path text NOT NULL DEFAULT ''",
    "source_vars text NOT NULL DEFAULT ''",
    "enabled_var text NOT NULL DEFAULT ''",
    "enabled_value text NOT NULL DEFAULT ''",
    "host_filter text NOT NULL DEFAULT ''",
    "overwrite boolean NOT NULL DEFAULT false",
    "overwrite_vars boolean NOT NULL DEFAULT false",
    "source_project_id bigint",
    "source_project_update_id bigint",
    "webhook_service text NOT NULL DEFAULT ''",
    "webhook_credential_id bigint",
    "webhook_guid text NOT NULL DEFAULT ''",
    "position bigint NOT NULL",
)
_DDL = (
    f"CREATE TABLE unified_job ({', '.join(_COLUMNS)})",
    "CREATE INDEX ON unified_job (kind, id)",
    "CREATE INDEX ON unified_job (unified_job_template_id, id)",
    "CREATE INDEX ON unified_job (job_template_id, id) WHERE job_template_id IS NOT NULL",
    "CREATE INDEX ON unified_job (project_id, id)",
    ("CREATE INDEX ON unified_job ((CASE WHEN kind = 'project_update' THEN project_id END), id)"),
    "CREATE INDEX ON unified_job (inventory_id, id)",
    (
        "CREATE INDEX ON unified_job"
        " ((CASE WHEN kind IN ('inventory_update', 'ad_hoc_command') THEN inventory_id END), id)"
    ),
    (
        "CREATE INDEX ON unified_job (workflow_job_template_id, id)"
        " WHERE workflow_job_template_id IS NOT NULL"
    ),
    "CREATE INDEX ON unified_job (organization_id, id)",
    "CREATE INDEX ON unified_job (status, id)",
    "CREATE INDEX ON unified_job (finished, id)",
    "CREATE INDEX ON unified_job (created, id)",
    "CREATE INDEX ON unified_job (instance_group, id)",
    "CREATE INDEX ON unified_job (execution_node, id)",
    "CREATE INDEX ON unified_job USING gin (depends)",
    (
        "CREATE TABLE job_transition (job bigint NOT NULL, position bigint NOT NULL,"
        " part integer NOT NULL, at timestamptz NOT NULL, tag text NOT NULL, actor text NOT NULL,"
        " text text NOT NULL, PRIMARY KEY (job, position, part))"
    ),
    (
        "CREATE TABLE workflow_job_node (id bigint PRIMARY KEY, created timestamptz NOT NULL,"
        " modified timestamptz NOT NULL, workflow_job bigint NOT NULL, number integer NOT NULL,"
        " unified_job_template bigint, job bigint,"
        " do_not_run boolean NOT NULL DEFAULT false)"
    ),
    "CREATE INDEX ON workflow_job_node (workflow_job, number)",
    "CREATE INDEX ON workflow_job_node (job) WHERE job IS NOT NULL",
    (
        "CREATE TABLE template_status (template bigint PRIMARY KEY, last_job bigint NOT NULL,"
        " current_job bigint, last_job_run timestamptz, last_job_failed boolean NOT NULL,"
        " status text NOT NULL)"
    ),
    (
        "CREATE TABLE project_content (project bigint PRIMARY KEY, job bigint NOT NULL,"
        " revision text NOT NULL, content text NOT NULL, playbooks text NOT NULL,"
        " inventory_files text NOT NULL)"
    ),
)
_NEW_STATUS = """
INSERT INTO template_status
    (template, last_job, current_job, last_job_run, last_job_failed, status)
VALUES ($1, $2, $2, NULL, false, $3)
ON CONFLICT (template) DO UPDATE
SET last_job = $2, current_job = $2, status = $3
WHERE template_status.last_job < $2
"""
_ENDED_STATUS = """
UPDATE template_status AS t
SET status = CASE WHEN t.last_job = j.id THEN $2 ELSE t.status END,
    last_job_run = $3,
    last_job_failed = $4,
    current_job = CASE WHEN t.current_job = j.id THEN NULL ELSE t.current_job END
FROM unified_job AS j
WHERE j.id = $1 AND t.template = j.unified_job_template_id
  AND NOT (j.kind = 'project_update' AND j.job_type = 'run')
"""
_NODES = """
INSERT INTO workflow_job_node (id, created, modified, workflow_job, number, unified_job_template)
SELECT n.id, $2, $2, $3, n.number, $5 FROM unnest($1::bigint[], $4::integer[]) AS n (id, number)
"""
_SPAWNED = """
UPDATE workflow_job_node SET job = $1, modified = $2 WHERE workflow_job = $3 AND number = $4
"""
_NOT_RUN = """
UPDATE workflow_job_node SET do_not_run = true WHERE workflow_job = $1 AND job IS NULL
"""
_CONTENT = """
INSERT INTO project_content (project, job, revision, content, playbooks, inventory_files)
SELECT j.project_id, j.id, $2, $3, $4, $5 FROM unified_job AS j
WHERE j.id = $1 AND j.project_id IS NOT NULL AND j.job_type = 'check'
ON CONFLICT (project) DO UPDATE
SET job = excluded.job, revision = excluded.revision, content = excluded.content,
    playbooks = excluded.playbooks, inventory_files = excluded.inventory_files
WHERE project_content.job < excluded.job
"""


class Jobs:
    """The projection of JOBS; see the module."""

    name = "jobs"
    stream = "JOBS"
    enveloped = True
    version = 2

    def ddl(self) -> Sequence[str]:
        """Return the statements that make its tables and indexes."""
        return _DDL

    def tables(self) -> Sequence[str]:
        """Return its table names."""
        return (
            "unified_job",
            "job_transition",
            "workflow_job_node",
            "template_status",
            "project_content",
        )

    def apply(self, messages: Sequence[Recorded] | Sequence[RawMessage]) -> Iterable[Statement]:
        """Return the statements of a batch of transitions, in order."""
        for message in messages:
            if isinstance(message, Recorded):
                yield from _of_message(message)


def _of_message(message: Recorded) -> Iterator[Statement]:
    job = int(message.subject.split(".")[1])
    for part, event in enumerate(message.events):
        if isinstance(event, JobDeleted):
            yield from _deleted(job)
            return
        yield Run(
            sql="INSERT INTO job_transition VALUES ($1, $2, $3, $4, $5, $6, $7)",
            args=(
                job,
                message.sequence,
                part,
                message.context.at,
                registry.tag_of(event),
                message.context.actor.name,
                timeline.describe(event),
            ),
        )
        yield from _of_event(message, job, event)


def _of_event(message: Recorded, job: int, event: registry.Event) -> Iterator[Statement]:
    match event:
        case JobLaunched():
            yield from _launched(message, event)
        case JobFinished():
            yield from _finished(message, job, event)
        case _:
            changes = _changes(event)
            if changes:
                yield _update(message, job, changes)
            if "status" in changes:
                yield _moved(job, changes["status"])


def _changes(event: registry.Event) -> dict[str, Any]:
    """Return the columns that a transition short of the end changes."""
    match event:
        case JobHeld():
            return {"job_explanation": event.explanation}
        case JobPlaced():
            after = {"inventory_content": event.inventory_content}
            return {
                "status": str(Status.WAITING),
                "attempt": event.attempt,
                "instance_group": event.group,
                "scm_revision": event.scm_revision,
                "project_content": event.project_content,
                "galaxy_content": event.galaxy_content,
                "job_explanation": "",
                **(after if event.inventory_content else {}),
            }
        case JobClaimed():
            return {"execution_node": event.runner}
        case JobStarted():
            return {"status": str(Status.RUNNING), "started": event.at}
        case JobCancelRequested():
            return {"cancel_flag": True}
        case JobLost():
            return {"job_explanation": event.explanation}
        case JobRecovered():
            return {"job_explanation": ""}
        case JobRequeued():
            return {
                "status": str(Status.PENDING),
                "job_explanation": event.explanation,
                "execution_node": "",
                "started": None,
            }
        case JobRecordCompleted():
            return {"final_counter": event.last_counter}
        case _:
            return {}


def _update(message: Recorded, job: int, changes: dict[str, Any]) -> Run:
    values = {**changes, "modified": message.context.at, "position": message.sequence}
    assignments = ", ".join(f"{name} = ${index}" for index, name in enumerate(values, 2))
    return Run(
        sql=f"UPDATE unified_job SET {assignments} WHERE id = $1",
        args=(job, *values.values()),
    )


def _moved(job: int, status: str) -> Run:
    return Run(
        sql=(
            "UPDATE template_status AS t SET status = $2 FROM unified_job AS j"
            " WHERE j.id = $1 AND t.template = j.unified_job_template_id AND t.last_job = $1"
        ),
        args=(job, status),
    )


def _launched(message: Recorded, event: JobLaunched) -> Iterator[Statement]:
    values: dict[str, Any] = {
        "id": event.id,
        "kind": str(kind_of(event.record)),
        "name": event.name,
        "description": event.description,
        "status": str(Status.PENDING),
        "launch_type": str(event.launch_type),
        "launched_by": msgspec.json.encode(event.launched_by).decode(),
        "created": event.created,
        "modified": message.context.at,
        "organization_id": event.organization,
        "unified_job_template_id": event.template,
        "timeout": event.timeout_s,
        "depends": list(event.depends),
        "impact": event.impact,
        "created_by": event.created_by,
        "relaunch_of": event.relaunch_of,
        "workflow_job_id": event.workflow_job,
        "position": message.sequence,
        **_record(event.record),
    }
    if event.environment is not None:
        values["execution_environment_id"] = event.environment.id
    marks = ", ".join(f"${index}" for index in range(1, len(values) + 1))
    yield Run(
        sql=f"INSERT INTO unified_job ({', '.join(values)}) VALUES ({marks})",
        args=tuple(values.values()),
    )
    if event.template is not None and not _is_sync(event.record):
        yield Run(sql=_NEW_STATUS, args=(event.template, event.id, str(Status.PENDING)))
    yield from _nodes(event)


def _nodes(event: JobLaunched) -> Iterator[Statement]:
    """Keep the nodes of a sliced run, and which job each has."""
    record = event.record
    if isinstance(record, WorkflowLaunch) and record.nodes:
        numbers = list(range(1, len(record.nodes) + 1))
        args = (list(record.nodes), event.created, event.id, numbers, event.template)
        yield Run(sql=_NODES, args=args)
    if isinstance(record, PlaybookLaunch) and event.workflow_job is not None:
        place = event.workflow_job, record.job_slice_number
        yield Run(sql=_SPAWNED, args=(event.id, event.created, *place))


_COPIED: Mapping[type, tuple[str, ...]] = {
    PlaybookLaunch: (
        *("playbook", "inventory_content", "job_type", "scm_branch", "forks", "verbosity"),
        *("extra_vars", "job_tags", "skip_tags", "start_at_task", "force_handlers"),
        *("become_enabled", "diff_mode", "use_fact_cache", "allow_simultaneous"),
        *("job_slice_number", "job_slice_count", "dry_run"),
        *("webhook_service", "webhook_guid"),
    ),
    ProjectUpdateLaunch: (
        *("scm_type", "scm_url", "scm_branch", "scm_refspec", "scm_clean", "job_type"),
        *("scm_track_submodules", "scm_delete_on_update", "job_tags", "local_path"),
    ),
    AdHocLaunch: (
        *("inventory_content", "job_type", "module_name", "module_args", "forks", "verbosity"),
        *("extra_vars", "become_enabled", "diff_mode"),
    ),
    InventoryUpdateLaunch: (
        *("source", "source_path", "source_vars", "scm_branch", "enabled_var", "enabled_value"),
        *("host_filter", "overwrite", "overwrite_vars", "verbosity"),
    ),
    SystemJobLaunch: ("job_type", "extra_vars"),
    WorkflowLaunch: (
        *("scm_branch", "job_tags", "skip_tags", "extra_vars", "allow_simultaneous"),
        "is_sliced_job",
    ),
}
"""Fields of a launch record that are columns of the same name."""
_RENAMED = {
    "limit": "limit_",
    **{
        name: f"{name}_id"
        for name in (
            *("job_template", "workflow_job_template", "inventory", "project", "credential"),
            *("execution_environment", "source_project", "source_project_update"),
            *("project_update", "webhook_credential"),
        )
    },
}
"""Fields that stand in a column of another name, where a record has them."""


_LISTED = ("credentials", "labels")


def _record(record: LaunchRecord) -> dict[str, Any]:
    """Return a launch record as columns."""
    fields = msgspec.structs.asdict(record)
    columns = {name: fields[name] for name in _COPIED[type(record)]}
    columns |= {column: fields[name] for name, column in _RENAMED.items() if name in fields}
    columns |= {name: list(fields[name]) for name in _LISTED if name in fields}
    return columns


def _is_sync(record: LaunchRecord) -> bool:
    """Tell whether an update serves one job alone: its project's state does not follow it."""
    return isinstance(record, ProjectUpdateLaunch) and record.job_type == "run"


def _finished(message: Recorded, job: int, event: JobFinished) -> Iterator[Statement]:
    failed = Status(event.status) in FAILED
    changes: dict[str, Any] = {
        "status": event.status,
        "failed": failed,
        "finished": event.finished,
        "job_explanation": event.explanation,
        "result_traceback": event.traceback,
        "rc": event.rc,
        "final_counter": event.last_counter,
    }
    if event.status == Status.CANCELED:
        changes["canceled_on"] = event.finished
    if event.revision:
        changes["scm_revision"] = event.revision
    if event.content:
        changes |= {"project_content": event.content, "galaxy_content": event.galaxy}
    yield _update(message, job, changes)
    yield Run(sql=_ENDED_STATUS, args=(job, event.status, event.finished, failed))
    yield Run(sql=_NOT_RUN, args=(job,))
    if event.content:
        yield Run(
            sql="UPDATE unified_job SET inventory_content = $2"
            " WHERE id = $1 AND kind = 'inventory_update'",
            args=(job, event.content),
        )
        yield Run(
            sql=_CONTENT,
            args=(
                job,
                event.revision,
                event.content,
                msgspec.json.encode(event.playbooks).decode(),
                msgspec.json.encode(event.inventory_files).decode(),
            ),
        )


def _deleted(job: int) -> Iterator[Statement]:
    yield Run(sql="DELETE FROM job_transition WHERE job = $1", args=(job,))
    yield Run(sql="DELETE FROM workflow_job_node WHERE workflow_job = $1", args=(job,))
    yield Run(sql="UPDATE workflow_job_node SET job = NULL WHERE job = $1", args=(job,))
    yield Run(sql="DELETE FROM unified_job WHERE id = $1", args=(job,))
