"""What a project has beyond lists: the playbooks and inventory files of its newest content."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer
from controlplane.api.guards import needs
from controlplane.api.routing import routes


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
    found: list[str] = [] if row is None else msgspec.json.decode(row[column])
    return found
