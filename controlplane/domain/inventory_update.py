"""From an inventory source to the launch of its update, and whether one is due. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from controlplane.domain import task_impact
from controlplane.domain.checks.inventory_source import WITHOUT_CREDENTIAL
from schemas.events.job import InventoryUpdateLaunch, JobLaunched, NamedRef, ProjectContent
from schemas.resources.inventory_source import CLOUD_SOURCES
from schemas.status import ACTIVE, LaunchType, Status


class Around(Struct, frozen=True, kw_only=True):
    """What a launch depends on besides its source."""

    job: int
    created: datetime
    launch_type: LaunchType
    launched_by: NamedRef
    config_position: int
    groups: tuple[str, ...]
    input_inventories: tuple[int, ...] = ()
    inputs: tuple[str, ...] = ()
    facts: str = ""
    project_update: int | None = None
    pinned: ProjectContent | None = None
    waits_for: tuple[int, ...] = ()


def can_update(source: Mapping[str, Any]) -> bool:
    """Return whether a source has what its update needs (AWX 3.17)."""
    match source["source"]:
        case "scm":
            return source["source_project"] is not None
        case "constructed":
            return True
        case kind if kind in CLOUD_SOURCES:
            return kind in WITHOUT_CREDENTIAL or source["credential"] is not None
        case _:
            return False


def is_due(last: Mapping[str, Any], cache_s: int, now: datetime) -> bool:
    """Return whether a launch updates a source first; ``last`` is what is known of its updates."""
    status = last["status"]
    if status is None:
        return True
    if Status(status) in ACTIVE:
        return False
    ended = last["last_job_run"]
    fresh = ended is not None and ended + timedelta(seconds=cache_s) >= now
    return status != Status.SUCCESSFUL or not fresh


def update_of(source: Mapping[str, Any], around: Around) -> JobLaunched:
    """Return the launch of a source's update.

    ``source`` is its row with ``inventory_name`` and ``organization``.
    """
    by = around.launched_by
    named = {
        "inventory": source["inventory"],
        "inventory_source": source["id"],
        "organization": source["organization"],
        "credential": source["credential"],
        "project": source["source_project"],
    }
    inputs = tuple(f"inventory:{number}" for number in around.input_inventories)
    record = InventoryUpdateLaunch(
        inventory=source["inventory"],
        inventory_source=source["id"],
        input_inventories=around.input_inventories,
        inputs=around.inputs,
        facts=around.facts,
        source_project_update=around.project_update,
        pinned=around.pinned,
        **{name: source[name] for name in _COPIED},
    )
    return JobLaunched(
        id=around.job,
        name=f"{source['inventory_name']} - {source['name']}",
        description=source["description"],
        created=around.created,
        organization=source["organization"],
        template=source["id"],
        launch_type=around.launch_type,
        launched_by=by,
        created_by=by.id if by.type == "user" else None,
        record=record,
        config_position=around.config_position,
        depends=(*(f"{kind}:{number}" for kind, number in named.items() if number), *inputs),
        instance_groups=around.groups,
        impact=task_impact.INVENTORY_UPDATE,
        timeout_s=source["timeout"],
        waits_for=around.waits_for,
    )


_COPIED = (
    *("source", "source_path", "source_vars", "scm_branch", "credential", "enabled_var"),
    *("enabled_value", "host_filter", "overwrite", "overwrite_vars", "verbosity", "limit"),
    *("execution_environment", "source_project"),
)
"""Fields of a source that its update keeps as they were."""
