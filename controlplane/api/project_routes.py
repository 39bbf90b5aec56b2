"""What a project has beyond lists: the playbooks and inventory files of its newest content."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer
from controlplane.api.guards import needs
from controlplane.api.routing import routes
from ops.tree_archive import TooLarge


def project_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of project content."""
    read = needs("read", "project")
    base = "/api/v2/projects/{key:str}"
    return [
        *routes(f"{base}/playbooks", {"GET": (read, show_playbooks)}, "Project Playbooks"),
        *routes(f"{base}/inventories", {"GET": (read, show_inventories)}, "Project Inventories"),
    ]


async def show_playbooks(call: Call) -> Response[Any]:
    """Answer a bare list of playbook paths; empty before the first update."""
    return answer(await _files(call, "playbooks"))


async def show_inventories(call: Call) -> Response[Any]:
    """Answer a bare list of inventory file paths."""
    return answer(await _files(call, "inventory_files"))


async def _files(call: Call, column: str) -> list[str]:
    async with call.read() as view:
        row = await view.named_row("project_files", call.target.id)
    if row is None:
        return []
    if not row["scm_type"]:
        return await _of_directory(call, row["local_path"], column)
    found: list[str] = msgspec.json.decode(row[column] or b"[]")
    return found


async def _of_directory(call: Call, local_path: str, column: str) -> list[str]:
    """Return what stands in a manual project's directory now."""
    try:
        found = await call.services.launch_tools.manual.offered(local_path)
    except (FileNotFoundError, TooLarge):
        return []
    return list(getattr(found, column))
