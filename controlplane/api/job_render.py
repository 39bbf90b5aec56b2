"""From rows of unified jobs, events and host summaries to AWX's JSON (``api.md`` 3.12.

3.20-3.22). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from ops import clock
from schemas.ansible_events import event_display, event_level
from schemas.status import ACTIVE, JobKind, Status

Row = Mapping[str, Any]

STDOUT_DISPLAY_MAX = 1024
"""Characters of an event's stdout in lists unless it is set otherwise, or ``no_truncate``."""
_COLOUR = re.compile(r"\x1b\[[0-9]+(?:;[0-9]+)*m")
_RESET = "\x1b[0m"
PLURAL = {kind: f"{kind}s" for kind in JobKind}
_SUBPATHS = {
    JobKind.JOB: (
        "labels",
        "credentials",
        "stdout",
        "job_events",
        "job_host_summaries",
        "activity_stream",
        "notifications",
        "create_schedule",
        "cancel",
        "relaunch",
    ),
    JobKind.PROJECT_UPDATE: (
        "stdout",
        "cancel",
        "scm_inventory_updates",
        "notifications",
        "events",
    ),
    JobKind.INVENTORY_UPDATE: ("stdout", "cancel", "notifications", "events", "credentials"),
    JobKind.AD_HOC_COMMAND: (
        *("stdout", "events", "activity_stream", "notifications", "cancel", "relaunch"),
    ),
    JobKind.SYSTEM_JOB: ("cancel", "notifications", "events"),
    JobKind.WORKFLOW_JOB: (
        *("workflow_nodes", "labels", "activity_stream", "relaunch", "cancel", "notifications"),
    ),
}
_TEMPLATE = {
    JobKind.JOB: ("job_templates", "job_template"),
    JobKind.PROJECT_UPDATE: ("projects", "project"),
    JobKind.INVENTORY_UPDATE: ("inventory_sources", "inventory_source"),
    JobKind.SYSTEM_JOB: ("system_job_templates", "system_job_template"),
    JobKind.WORKFLOW_JOB: ("workflow_job_templates", "workflow_job_template"),
}
"""Kind of job to its templates' plural and kind; ad hoc commands have none."""
_WITHOUT = {
    JobKind.PROJECT_UPDATE: ("controller_node",),
    JobKind.SYSTEM_JOB: ("controller_node",),
    JobKind.AD_HOC_COMMAND: ("description", "unified_job_template"),
    JobKind.WORKFLOW_JOB: ("execution_environment", "execution_node", "controller_node"),
}
"""Common fields that a kind does not have."""
_WITHOUT_IN_DETAIL = {
    JobKind.INVENTORY_UPDATE: ("host_status_counts", "playbook_counts"),
    JobKind.AD_HOC_COMMAND: ("playbook_counts",),
    JobKind.SYSTEM_JOB: ("host_status_counts", "playbook_counts"),
    JobKind.WORKFLOW_JOB: (
        *("event_processing_finished", "host_status_counts", "playbook_counts"),
    ),
}


_OUTLIVED = {
    "unified_job_template_id": "job_template",
    "job_template_id": "job_template",
    "project_id": "project",
    "inventory_id": "inventory",
    "organization_id": "organization",
    "execution_environment_id": "execution_environment",
    "created_by": "user",
    "webhook_credential_id": "credential",
}
"""Column of a playbook run to the kind of what it refers to, and may outlive."""


class JobExtras(Struct, frozen=True, kw_only=True):
    """What a page of jobs needs besides its rows, looked up once a page."""

    names: Mapping[tuple[str, int], Mapping[str, Any]] = {}
    """(kind, id) to the summary fields of what a job refers to."""
    credentials: Mapping[int, list[dict[str, Any]]] = {}
    asks: Mapping[int, list[str]] = {}
    """Job id to the passwords that its credentials ask for at launch."""
    labels: Mapping[int, list[dict[str, Any]]] = {}
    results: Mapping[int, Row] = {}
    """Job id to its ``job_result`` row."""
    outputs: Mapping[int, str] = {}
    """System job id to its output."""
    processed: frozenset[int] = frozenset()
    """Jobs whose events are all readable."""
    set_aside: Mapping[int, str] = {}
    """Job id to why a message of its record could not be stored."""
    startable: frozenset[int] = frozenset()
    deletable: frozenset[int] = frozenset()


def url_of(kind: str, job: int) -> str:
    """Return the path of a unified job."""
    return f"/api/v2/{PLURAL[JobKind(kind)]}/{job}/"


def render_job(row: Row, extras: JobExtras, *, detail: bool) -> dict[str, Any]:
    """Return a unified job's list row, or its detail with what only that shows."""
    kind = JobKind(row["kind"])
    if kind is JobKind.JOB:
        row = _present(row, extras)
    body = {
        "id": row["id"],
        "type": str(kind),
        "url": url_of(kind, row["id"]),
        "related": _related(kind, row),
        "summary_fields": _summary(kind, row, extras),
        **_common(row),
    }
    for name in _WITHOUT.get(kind, ()):
        del body[name]
    body |= _FIELDS[kind](row, extras)
    if detail:
        body |= _detail(kind, row, extras)
    return body


def _present(row: Row, extras: JobExtras) -> Row:
    """Return a job's row whose references to what was deleted are null: the job outlives it."""
    gone = {
        column: None
        for column, referred in _OUTLIVED.items()
        if row[column] is not None and (referred, row[column]) not in extras.names
    }
    return {**row, **gone} if gone else row


def elapsed_of(row: Row, now: datetime) -> float:
    """Return the seconds a job ran, live while it runs."""
    if row["started"] is None:
        return 0.0
    end = row["finished"] or now
    elapsed: float = (end - row["started"]).total_seconds()
    return round(max(0.0, elapsed), 3)


def time_of(moment: datetime | None) -> str | None:
    """Return a time as AWX writes it; null stays null."""
    return None if moment is None else clock.iso(moment)


def _common(row: Row) -> dict[str, Any]:
    return {
        "created": time_of(row["created"]),
        "modified": time_of(row["modified"]),
        "name": row["name"],
        "description": row["description"],
        "unified_job_template": row["unified_job_template_id"],
        "launch_type": row["launch_type"],
        "status": row["status"],
        "execution_environment": row["execution_environment_id"],
        "failed": row["failed"],
        "started": time_of(row["started"]),
        "finished": time_of(row["finished"]),
        "canceled_on": time_of(row["canceled_on"]),
        "elapsed": elapsed_of(row, clock.now()),
        "job_explanation": row["job_explanation"],
        "execution_node": row["execution_node"],
        "controller_node": "",
        "launched_by": launched_by(row),
        "work_unit_id": f"{row['id']}-{row['attempt']}" if row["attempt"] else None,
    }


def launched_by(row: Row) -> dict[str, Any]:
    """Return who or what launched a job, a user with its path."""
    raw = row["launched_by"]
    who = msgspec.json.decode(raw) if isinstance(raw, str | bytes) else dict(raw or {})
    if not who.get("type"):
        return {}
    if who.get("type") == "user" and who.get("id") is not None:
        return {**who, "url": f"/api/v2/users/{who['id']}/"}
    if who.get("type") == "workflow_job":
        return {**who, "url": url_of("workflow_job", who["id"])}
    return who


def _playbook_fields(row: Row, extras: JobExtras) -> dict[str, Any]:
    result = extras.results.get(row["id"], {})
    return {
        "job_type": row["job_type"],
        "inventory": row["inventory_id"],
        "project": row["project_id"],
        "playbook": row["playbook"],
        "scm_branch": row["scm_branch"],
        "forks": row["forks"],
        "limit": row["limit_"],
        "verbosity": row["verbosity"],
        "extra_vars": row["extra_vars"],
        "job_tags": row["job_tags"],
        "force_handlers": row["force_handlers"],
        "skip_tags": row["skip_tags"],
        "start_at_task": row["start_at_task"],
        "timeout": row["timeout"],
        "use_fact_cache": row["use_fact_cache"],
        "organization": row["organization_id"],
        "job_template": row["job_template_id"],
        "passwords_needed_to_start": list(extras.asks.get(row["id"], ())),
        "allow_simultaneous": row["allow_simultaneous"],
        "artifacts": _json(result.get("artifacts"), {}),
        "scm_revision": row["scm_revision"],
        "instance_group": row["instance_group_id"],
        "diff_mode": row["diff_mode"],
        "job_slice_number": row["job_slice_number"],
        "job_slice_count": row["job_slice_count"],
        "webhook_service": row["webhook_service"],
        "webhook_credential": row["webhook_credential_id"],
        "webhook_guid": row["webhook_guid"],
    }


def _update_fields(row: Row, _extras: JobExtras) -> dict[str, Any]:
    return {
        "local_path": row["local_path"] or f"_{row['project_id']}__project",
        "scm_type": row["scm_type"],
        "scm_url": row["scm_url"],
        "scm_branch": row["scm_branch"],
        "scm_refspec": row["scm_refspec"],
        "scm_clean": row["scm_clean"],
        "scm_track_submodules": row["scm_track_submodules"],
        "scm_delete_on_update": row["scm_delete_on_update"],
        "credential": row["credential_id"],
        "timeout": row["timeout"],
        "scm_revision": row["scm_revision"],
        "project": row["project_id"],
        "job_type": row["job_type"],
        "job_tags": row["job_tags"] or "update_git",
    }


def _inventory_update_fields(row: Row, _extras: JobExtras) -> dict[str, Any]:
    return {
        "source": row["source"],
        "source_path": row["source_path"],
        "source_vars": row["source_vars"],
        "scm_branch": row["scm_branch"],
        "credential": row["credential_id"],
        "enabled_var": row["enabled_var"],
        "enabled_value": row["enabled_value"],
        "host_filter": row["host_filter"],
        "overwrite": row["overwrite"],
        "overwrite_vars": row["overwrite_vars"],
        "custom_virtualenv": None,
        "timeout": row["timeout"],
        "verbosity": row["verbosity"],
        "limit": row["limit_"],
        "inventory": row["inventory_id"],
        "inventory_source": row["unified_job_template_id"],
        "license_error": False,
        "org_host_limit_error": False,
        "source_project_update": row["source_project_update_id"],
        "instance_group": row["instance_group_id"],
        "scm_revision": row["scm_revision"],
    }


def _command_fields(row: Row, _extras: JobExtras) -> dict[str, Any]:
    return {
        "job_type": row["job_type"],
        "inventory": row["inventory_id"],
        "limit": row["limit_"],
        "credential": row["credential_id"],
        "module_name": row["module_name"],
        "module_args": row["module_args"],
        "forks": row["forks"],
        "verbosity": row["verbosity"],
        "extra_vars": row["extra_vars"],
        "become_enabled": row["become_enabled"],
        "diff_mode": row["diff_mode"],
    }


def _system_fields(row: Row, extras: JobExtras) -> dict[str, Any]:
    return {
        "system_job_template": row["unified_job_template_id"],
        "job_type": row["job_type"],
        "extra_vars": row["extra_vars"],
        "result_stdout": extras.outputs.get(row["id"], ""),
    }


def _workflow_fields(row: Row, _extras: JobExtras) -> dict[str, Any]:
    return {
        "workflow_job_template": row["workflow_job_template_id"],
        "extra_vars": row["extra_vars"],
        "allow_simultaneous": row["allow_simultaneous"],
        "job_template": row["job_template_id"],
        "is_sliced_job": row["is_sliced_job"],
        "inventory": row["inventory_id"],
        "limit": row["limit_"],
        "scm_branch": row["scm_branch"],
        "webhook_service": row["webhook_service"],
        "webhook_credential": row["webhook_credential_id"],
        "webhook_guid": row["webhook_guid"],
        "skip_tags": row["skip_tags"],
        "job_tags": row["job_tags"],
    }


_FIELDS: Mapping[JobKind, Callable[[Row, JobExtras], dict[str, Any]]] = {
    JobKind.JOB: _playbook_fields,
    JobKind.PROJECT_UPDATE: _update_fields,
    JobKind.INVENTORY_UPDATE: _inventory_update_fields,
    JobKind.AD_HOC_COMMAND: _command_fields,
    JobKind.SYSTEM_JOB: _system_fields,
    JobKind.WORKFLOW_JOB: _workflow_fields,
}
"""Kind to what its jobs show besides what all do."""


def _detail(kind: JobKind, row: Row, extras: JobExtras) -> dict[str, Any]:
    result = extras.results.get(row["id"], {})
    finished = row["id"] in extras.processed
    counts = _json(result.get("host_status_counts"), None)
    body: dict[str, Any] = {
        "job_args": result.get("job_args") or "",
        "job_cwd": result.get("job_cwd") or "",
        "job_env": _json(result.get("job_env"), {}),
        "result_traceback": row["result_traceback"],
        "event_processing_finished": finished,
        "host_status_counts": counts if finished else None,
        "playbook_counts": {
            "play_count": result.get("play_count") or 0,
            "task_count": result.get("task_count") or 0,
        },
    }
    if row["id"] in extras.set_aside:
        missing = f"A part of the record could not be stored: {extras.set_aside[row['id']]}."
        body["job_explanation"] = f"{row['job_explanation']} {missing}".lstrip()
    if kind is JobKind.JOB:
        body["custom_virtualenv"] = None
    return {
        name: each for name, each in body.items() if name not in _WITHOUT_IN_DETAIL.get(kind, ())
    }


def _related(kind: JobKind, row: Row) -> dict[str, str]:
    base = url_of(kind, row["id"])
    templates = {} if kind not in _TEMPLATE else {_TEMPLATE[kind][1]: _TEMPLATE[kind][0]}
    related = {path: f"{base}{path}/" for path in _SUBPATHS[kind]}
    links = {
        "created_by": ("users", row["created_by"]),
        "inventory": ("inventories", row["inventory_id"]),
        "project": ("projects", row["project_id"]),
        "organization": ("organizations", row["organization_id"]),
        "credential": ("credentials", row["credential_id"]),
        "webhook_credential": ("credentials", row["webhook_credential_id"]),
        **{
            name: (plural, row["unified_job_template_id"])
            for own, plural in templates.items()
            for name in ("unified_job_template", own)
        },
        "job_template": ("job_templates", row["job_template_id"]),
        "source_workflow_job": ("workflow_jobs", row["workflow_job_id"]),
        "source_project": ("projects", row["source_project_id"]),
        "source_project_update": ("project_updates", row["source_project_update_id"]),
        "project_update": ("project_updates", row["project_update_id"]),
        "execution_environment": ("execution_environments", row["execution_environment_id"]),
    }
    related |= {
        key: f"/api/v2/{plural}/{number}/"
        for key, (plural, number) in links.items()
        if number is not None
    }
    return related


def _summary(kind: JobKind, row: Row, extras: JobExtras) -> dict[str, Any]:
    template = "" if kind not in _TEMPLATE else _TEMPLATE[kind][1]
    own = (template, row["unified_job_template_id"])
    wanted = {
        "organization": ("organization", row["organization_id"]),
        "inventory": ("inventory", row["inventory_id"]),
        "execution_environment": ("execution_environment", row["execution_environment_id"]),
        "project": ("project", row["project_id"]),
        "job_template": ("job_template", row["job_template_id"]),
        "unified_job_template": own,
        template: own,
        "source_project": ("project", row["source_project_id"]),
        "credential": ("credential", row["credential_id"]),
        "webhook_credential": ("credential", row["webhook_credential_id"]),
        "instance_group": ("instance_group", row["instance_group_id"]),
        "created_by": ("user", row["created_by"]),
        "source_workflow_job": ("source_workflow_job", row["id"]),
    }
    summary: dict[str, Any] = {
        key: extras.names[pair]
        for key, pair in wanted.items()
        if pair[1] is not None and pair in extras.names
    }
    if "unified_job_template" in summary:
        summary["unified_job_template"] = {
            **summary["unified_job_template"],
            "unified_job_type": str(kind),
        }
    summary["user_capabilities"] = {
        "delete": row["id"] in extras.deletable,
        "start": row["id"] in extras.startable,
    }
    if kind in (JobKind.JOB, JobKind.WORKFLOW_JOB):
        labels = extras.labels.get(row["id"], [])
        summary["labels"] = {"count": len(labels), "results": labels[:10]}
    if kind in (JobKind.JOB, JobKind.INVENTORY_UPDATE):
        summary["credentials"] = extras.credentials.get(row["id"], [])
    return summary


_OF_PLAYS = ("parent_uuid", "event_level", "playbook", "play", "task", "role")
_NOT_IN_EVENTS = {
    JobKind.PROJECT_UPDATE: ("parent_uuid", "host", "host_name"),
    JobKind.AD_HOC_COMMAND: _OF_PLAYS,
    JobKind.INVENTORY_UPDATE: (*_OF_PLAYS, "host", "host_name"),
    JobKind.SYSTEM_JOB: (*_OF_PLAYS, "host", "host_name"),
}
"""What events of a kind do not have that a playbook run's have (AWX 6.2)."""
_EVENTS_AT = {JobKind.JOB: "job_events", JobKind.AD_HOC_COMMAND: "ad_hoc_command_events"}
"""Kinds whose events have a path of their own."""


def render_event(
    row: Row, job: Row, *, truncate: bool, limit: int = STDOUT_DISPLAY_MAX
) -> dict[str, Any]:
    """Return one job event; ``stdout`` is cut in lists as AWX cuts it."""
    kind = JobKind(job["kind"])
    is_job = kind is JobKind.JOB
    number = row["id"]
    url = f"/api/v2/{_EVENTS_AT[kind]}/{number}/" if kind in _EVENTS_AT else ""
    parent = "job" if is_job else str(kind)
    related: dict[str, Any] = {parent: url_of(kind, job["id"])}
    summary: dict[str, Any] = {
        parent: {
            "id": job["id"],
            "name": job["name"],
            "description": job["description"],
            "status": job["status"],
            "failed": job["failed"],
            "elapsed": elapsed_of(job, clock.now()),
            "type": str(kind),
        }
    }
    if is_job:
        related["children"] = f"{url}children/"
        summary["job"]["job_template_id"] = job["job_template_id"]
        summary["job"]["job_template_name"] = job["name"] if job["job_template_id"] else None
        summary["role"] = {}
    if row["host"] is not None and kind in _EVENTS_AT:
        related["host"] = f"/api/v2/hosts/{row['host']}/"
        summary["host"] = {"id": row["host"], "name": row["host_name"], "description": ""}
    body = {
        "id": number,
        "type": f"{kind}_event",
        "url": url,
        "related": related,
        "summary_fields": summary,
        "created": _zulu(row["created"]),
        "modified": _zulu(row["created"]),
        parent: job["id"],
        "event": row["event"],
        "counter": row["counter"],
        "event_display": event_display(row["event"], row["play"], row["role"], row["task"]),
        "event_data": msgspec.Raw(_bytes(row["event_data"])),
        "event_level": event_level(row["event"]),
        "failed": row["failed"],
        "changed": row["changed"],
        "uuid": row["uuid"],
        "parent_uuid": row["parent_uuid"],
        "host": row["host"],
        "host_name": row["host_name"],
        "playbook": row["playbook"],
        "play": row["play"],
        "task": row["task"],
        "role": row["role"],
        "stdout": _cut(row, limit) if truncate else row["stdout"],
        "start_line": row["start_line"],
        "end_line": row["end_line"],
        "verbosity": row["verbosity"],
    }
    left_out = _NOT_IN_EVENTS.get(kind, ())
    return {name: value for name, value in body.items() if name not in left_out}


def render_host_summary(row: Row, job: Row) -> dict[str, Any]:
    """Return one host's line of a job's recap."""
    url = f"/api/v2/job_host_summaries/{row['id']}/"
    related = {"job": url_of(JobKind.JOB, job["id"])}
    summary: dict[str, Any] = {
        "job": {
            "id": job["id"],
            "name": job["name"],
            "description": job["description"],
            "status": job["status"],
            "failed": job["failed"],
            "elapsed": elapsed_of(job, clock.now()),
            "type": "job",
            "job_template_id": job["job_template_id"],
            "job_template_name": job["name"] if job["job_template_id"] else None,
        }
    }
    if row["host"] is not None:
        related["host"] = f"/api/v2/hosts/{row['host']}/"
        summary["host"] = {"id": row["host"], "name": row["host_name"], "description": ""}
    counts = ("changed", "dark", "failures", "ok", "processed", "skipped")
    return {
        "id": row["id"],
        "type": "job_host_summary",
        "url": url,
        "related": related,
        "summary_fields": summary,
        "created": time_of(row["created"]),
        "modified": time_of(row["created"]),
        "job": job["id"],
        "host": row["host"],
        "constructed_host": row["constructed_host"],
        "host_name": row["host_name"],
        **{name: row[name] for name in counts},
        "failed": row["failed"],
        "ignored": row["ignored"],
        "rescued": row["rescued"],
    }


def can_cancel(row: Row) -> bool:
    """True while a job is active."""
    return Status(row["status"]) in ACTIVE


def _zulu(text: str) -> str:
    """Return an event's time as AWX writes it; the callback says ``+00:00``."""
    return text.replace("+00:00", "Z")


def _cut(row: Row, limit: int) -> str:
    """Return an event's output as lists show it; a limit of 0 cuts nothing.

    Colours that the cut leaves open are closed, so that they do not run into what follows.
    """
    text: str = row["stdout"]
    if row["event"].startswith("playbook_on_") or not 0 < limit < len(text):
        return text
    shown = text[: limit - 1] + "…"
    colours = _COLOUR.findall(shown)
    return shown + _RESET * (len(colours) - 2 * colours.count(_RESET))


def _json(value: Any, default: Any) -> Any:
    if value is None:
        return default
    return msgspec.json.decode(value) if isinstance(value, str | bytes) else value


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
