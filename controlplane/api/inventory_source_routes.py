"""What inventory sources have beyond lists: updates, and what these made (``api.md`` 3.17)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import BadRequest
from controlplane.api.guards import needs
from controlplane.api.inventory_routes import options_of
from controlplane.api.listing import Within
from controlplane.api.resource_routes import page_of
from controlplane.api.routing import Endpoint, routes
from controlplane.api.where import AnyOf
from schemas.resource import RESOURCES

NO_UPDATES = "Playlog does not run inventory updates yet."
NO_SOURCES = "No inventory sources to update."
MADE = (
    ("inventory_source", "hosts", "host"),
    ("inventory_source", "groups", "group"),
    ("host", "inventory_sources", "inventory_source"),
    ("group", "inventory_sources", "inventory_source"),
)
"""(kind, path, kind listed): what updates made, which is nothing as long as none runs."""


def inventory_source_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of inventory sources that no declaration describes."""
    handlers = [
        *routes(
            "/api/v2/inventory_sources/{key:str}/update",
            {
                "GET": (needs("read", "inventory_source"), show_update),
                "POST": (needs("start", "inventory_source"), refuse_update),
            },
            "Inventory Source Update",
        ),
        *routes(
            "/api/v2/inventories/{key:str}/update_inventory_sources",
            {
                "GET": (needs("read", "inventory"), show_updates),
                "POST": (needs("update", "inventory"), refuse_updates),
            },
            "Inventory Sources Update",
        ),
    ]
    for kind, name, listed in MADE:
        handlers += _made(kind, name, listed)
    return handlers


def _made(kind: str, name: str, listed: str) -> list[HTTPRouteHandler]:
    async def show(call: Call) -> Response[Any]:
        return await page_of(call, listed, Within(where=AnyOf(parts=())))

    async def remove(call: Call) -> Response[Any]:
        await call.body()
        return empty(204)

    read = needs("read", kind)
    methods: dict[Any, tuple[Any, Endpoint]] = {"GET": (read, show)}
    if kind == "inventory_source":
        methods["DELETE"] = (needs("delete", kind), remove)
    path = f"/api/v2/{RESOURCES[kind].plural}/{{key:str}}/{name}"
    return routes(path, methods, (read, options_of(listed)))


async def show_update(_call: Call) -> Response[Any]:
    """Say that the source cannot be updated."""
    return answer({"can_update": False})


async def refuse_update(_call: Call) -> Response[Any]:
    """Refuse to update a source, rather than record an update that never runs."""
    raise BadRequest(NO_UPDATES)


async def show_updates(call: Call) -> Response[Any]:
    """Say of each source of an inventory that it cannot be updated."""
    return answer([{"inventory_source": each, "can_update": False} for each in await _ids(call)])


async def refuse_updates(call: Call) -> Response[Any]:
    """Refuse to update the sources of an inventory."""
    raise BadRequest(NO_UPDATES if await _ids(call) else NO_SOURCES)


async def _ids(call: Call) -> list[int]:
    async with call.read() as view:
        return [row["id"] for row in await view.named("sources_of_inventory", call.target.id)]
