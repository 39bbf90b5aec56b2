"""OPTIONS of what is read but not declared: jobs, their events and recaps, roles, tokens.

``awx jobs list`` exists only because ``actions.GET`` does (``api.md`` 1.10).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.api import options
from controlplane.api.pagination import PAGE_SIZE_MAX
from controlplane.api.tables import table_of
from schemas.resources.choices import VERBOSITIES, WEBHOOK_SERVICES
from schemas.resources.inventory_source import SOURCES

_UNIFIED = {
    "name": "string",
    "description": "string",
    "unified_job_template": "id",
    "launch_type": "choice",
    "status": "choice",
    "execution_environment": "id",
    "failed": "boolean",
    "started": "datetime",
    "finished": "datetime",
    "canceled_on": "datetime",
    "elapsed": "decimal",
    "job_explanation": "string",
    "execution_node": "string",
    "controller_node": "string",
    "launched_by": "field",
    "work_unit_id": "string",
}
_JOB = {
    "job_type": "choice",
    "inventory": "id",
    "project": "id",
    "playbook": "string",
    "scm_branch": "string",
    "forks": "integer",
    "limit": "string",
    "verbosity": "choice",
    "extra_vars": "json",
    "job_tags": "string",
    "force_handlers": "boolean",
    "skip_tags": "string",
    "start_at_task": "string",
    "timeout": "integer",
    "use_fact_cache": "boolean",
    "organization": "id",
    "job_template": "id",
    "passwords_needed_to_start": "field",
    "allow_simultaneous": "boolean",
    "artifacts": "json",
    "scm_revision": "string",
    "instance_group": "id",
    "diff_mode": "boolean",
    "job_slice_number": "integer",
    "job_slice_count": "integer",
    "webhook_service": "choice",
    "webhook_credential": "id",
    "webhook_guid": "string",
}
_PROJECT_UPDATE = {
    "local_path": "string",
    "scm_type": "choice",
    "scm_url": "string",
    "scm_branch": "string",
    "scm_refspec": "string",
    "scm_clean": "boolean",
    "scm_track_submodules": "boolean",
    "scm_delete_on_update": "boolean",
    "credential": "id",
    "timeout": "integer",
    "scm_revision": "string",
    "project": "id",
    "job_type": "choice",
    "job_tags": "string",
}
_SYSTEM_JOB = {
    "system_job_template": "id",
    "job_type": "choice",
    "extra_vars": "string",
    "result_stdout": "field",
}
_INVENTORY_UPDATE = {
    "source": "choice",
    "source_path": "string",
    "source_vars": "string",
    "scm_branch": "string",
    "credential": "integer",
    "enabled_var": "string",
    "enabled_value": "string",
    "host_filter": "string",
    "overwrite": "boolean",
    "overwrite_vars": "boolean",
    "custom_virtualenv": "string",
    "timeout": "integer",
    "verbosity": "choice",
    "limit": "string",
    "inventory": "id",
    "inventory_source": "id",
    "license_error": "boolean",
    "org_host_limit_error": "boolean",
    "source_project_update": "id",
    "instance_group": "id",
    "scm_revision": "string",
}
_AD_HOC = {
    "job_type": "choice",
    "inventory": "id",
    "limit": "string",
    "credential": "id",
    "module_name": "choice",
    "module_args": "string",
    "forks": "integer",
    "verbosity": "choice",
    "extra_vars": "string",
    "become_enabled": "boolean",
    "diff_mode": "boolean",
}
_AD_HOC_EVENT = {
    "ad_hoc_command": "id",
    "event": "choice",
    "counter": "integer",
    "event_display": "string",
    "event_data": "json",
    "failed": "boolean",
    "changed": "boolean",
    "uuid": "string",
    "host": "id",
    "host_name": "string",
    "stdout": "string",
    "start_line": "integer",
    "end_line": "integer",
    "verbosity": "integer",
}
_WORKFLOW_JOB = {
    "workflow_job_template": "id",
    "extra_vars": "json",
    "allow_simultaneous": "boolean",
    "job_template": "id",
    "is_sliced_job": "boolean",
    "inventory": "id",
    "limit": "string",
    "scm_branch": "string",
    "webhook_service": "choice",
    "webhook_credential": "id",
    "webhook_guid": "string",
    "skip_tags": "string",
    "job_tags": "string",
}
_WORKFLOW_APPROVAL = {
    "can_approve_or_deny": "field",
    "approval_expiration": "field",
    "timed_out": "boolean",
}
_WORKFLOW_JOB_NODE = {
    "extra_data": "json",
    "inventory": "id",
    "scm_branch": "string",
    "job_type": "choice",
    "job_tags": "string",
    "skip_tags": "string",
    "limit": "string",
    "diff_mode": "boolean",
    "verbosity": "choice",
    "execution_environment": "id",
    "forks": "integer",
    "job_slice_count": "integer",
    "timeout": "integer",
    "job": "id",
    "workflow_job": "id",
    "unified_job_template": "id",
    "success_nodes": "field",
    "failure_nodes": "field",
    "always_nodes": "field",
    "all_parents_must_converge": "boolean",
    "do_not_run": "boolean",
    "identifier": "string",
}
_EVENT = {
    "job": "id",
    "event": "choice",
    "counter": "integer",
    "event_display": "string",
    "event_data": "json",
    "event_level": "integer",
    "failed": "boolean",
    "changed": "boolean",
    "uuid": "string",
    "parent_uuid": "string",
    "host": "id",
    "host_name": "string",
    "playbook": "string",
    "play": "string",
    "task": "string",
    "role": "string",
    "stdout": "string",
    "start_line": "integer",
    "end_line": "integer",
    "verbosity": "integer",
}
_SUMMARY = {
    "job": "id",
    "host": "id",
    "constructed_host": "id",
    "host_name": "string",
    "changed": "integer",
    "dark": "integer",
    "failures": "integer",
    "ok": "integer",
    "processed": "integer",
    "skipped": "integer",
    "failed": "boolean",
    "ignored": "integer",
    "rescued": "integer",
}
_TOKEN = {
    "description": "string",
    "user": "id",
    "token": "string",
    "refresh_token": "field",
    "application": "id",
    "expires": "datetime",
    "scope": "string",
}
_INSTANCE = {
    "hostname": "string",
    "uuid": "string",
    "last_seen": "datetime",
    "health_check_started": "datetime",
    "health_check_pending": "field",
    "last_health_check": "datetime",
    "errors": "string",
    "capacity_adjustment": "decimal",
    "version": "string",
    "capacity": "integer",
    "consumed_capacity": "field",
    "percent_capacity_remaining": "field",
    "jobs_running": "integer",
    "jobs_total": "integer",
    "cpu": "decimal",
    "memory": "integer",
    "cpu_capacity": "integer",
    "mem_capacity": "integer",
    "enabled": "boolean",
    "managed_by_policy": "boolean",
    "node_type": "choice",
    "node_state": "choice",
    "ip_address": "string",
    "peers": "field",
    "reverse_peers": "field",
    "listener_port": "integer",
    "peers_from_control_nodes": "boolean",
    "protocol": "field",
    "managed": "boolean",
}
_DETAIL = {
    "job_args": "string",
    "job_cwd": "string",
    "job_env": "json",
    "result_traceback": "string",
    "event_processing_finished": "boolean",
    "host_status_counts": "json",
    "playbook_counts": "field",
}
FIELDS: dict[str, dict[str, str]] = {
    "unified_job": _UNIFIED,
    "job": {**_UNIFIED, **_JOB},
    "project_update": {**_UNIFIED, **_PROJECT_UPDATE},
    "system_job": {**_UNIFIED, **_SYSTEM_JOB},
    "inventory_update": {**_UNIFIED, **_INVENTORY_UPDATE},
    "ad_hoc_command": {
        name: shape
        for name, shape in {**_UNIFIED, **_AD_HOC}.items()
        if name not in ("description", "unified_job_template")
    },
    "ad_hoc_command_event": _AD_HOC_EVENT,
    "workflow_job": {**_UNIFIED, **_WORKFLOW_JOB},
    "workflow_approval": {**_UNIFIED, **_WORKFLOW_APPROVAL},
    "workflow_job_node": _WORKFLOW_JOB_NODE,
    "job_event": _EVENT,
    "job_host_summary": _SUMMARY,
    "token": _TOKEN,
    "instance": _INSTANCE,
}
"""Kind to what its rows show after id, type, url, related, summary_fields, created, modified."""
TYPES = {
    "unified_job": (
        *("project_update", "inventory_update", "job", "ad_hoc_command", "system_job"),
        "workflow_job",
    ),
    "token": ("o_auth2_access_token",),
}
_LAUNCH_TYPES = (
    *("manual", "relaunch", "callback", "scheduled", "dependency", "workflow", "webhook"),
    *("sync", "scm"),
)
_NODE_STATES = (
    *("provisioning", "provision-fail", "installed", "ready", "unavailable"),
    *("deprovisioning", "deprovision-fail"),
)
_CHOICES: Mapping[str, list[list[Any]]] = {
    "node_type": [[name, name.title()] for name in ("control", "execution", "hybrid", "hop")],
    "node_state": [[name, name.title()] for name in _NODE_STATES],
    "status": [list(pair) for pair in options.STATUSES[:8]],
    "launch_type": [[name, name.title()] for name in _LAUNCH_TYPES],
    "job_type": [["run", "Run"], ["check", "Check"], ["scan", "Scan"]],
    "verbosity": [list(pair) for pair in VERBOSITIES],
    "source": [list(pair) for pair in SOURCES],
    "webhook_service": [["", "---------"], *(list(pair) for pair in WEBHOOK_SERVICES)],
}
_BOUNDS = {
    "forks": (0, options.INT_MAX),
    "job_slice_number": (0, options.INT_MAX),
    "job_slice_count": (0, options.INT_MAX),
    "timeout": (-options.INT_MAX - 1, options.INT_MAX),
}
_HEAD = {
    "id": "integer",
    "type": "choice",
    "url": "string",
    "related": "object",
    "summary_fields": "object",
    "created": "datetime",
    "modified": "datetime",
}


def readable(kind: str, *, detail: bool = False) -> dict[str, Any]:
    """Return ``actions.GET`` of a kind; a job's detail shows more than its list row."""
    fields = {**_HEAD, **FIELDS[kind]}
    if detail and "launch_type" in fields:
        fields |= _DETAIL
    columns = table_of(kind).columns
    found = {
        name: {
            "type": shape,
            "label": name.replace("_", " ").capitalize(),
            "filterable": name in columns,
            "hidden": False,
        }
        for name, shape in fields.items()
    }
    for name, choices in _CHOICES.items():
        if name in found and found[name]["type"] == "choice":
            found[name]["choices"] = choices
    for name, (low, high) in _BOUNDS.items():
        if name in found and found[name]["type"] == "integer":
            found[name] |= {"min_value": low, "max_value": high}
    if "launch_type" not in fields:
        found["type"].pop("filterable", None)
    types = TYPES.get(kind, (kind,))
    found["type"]["choices"] = [[each, each.replace("_", " ").title()] for each in types]
    return found


def of_list(kind: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the body for a list of a kind; ``more`` holds the actions beyond GET."""
    table = table_of(kind)
    relations = [f"{name}__search" for name in table.relations]
    title = f"{kind.replace('_', ' ').title()} List"
    actions = {"GET": readable(kind), **(more or {})}
    return {
        **options.plain(title, TYPES.get(kind, (kind,)), actions),
        "search_fields": list(table.search),
        "related_search_fields": relations,
        "max_page_size": PAGE_SIZE_MAX,
    }


def of_detail(kind: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the body for one object of a kind; ``more`` holds the actions beyond GET."""
    title = f"{kind.replace('_', ' ').title()} Detail"
    actions = {"GET": readable(kind, detail=True), **(more or {})}
    return options.plain(title, TYPES.get(kind, (kind,)), actions)
