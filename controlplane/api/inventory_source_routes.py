"""What inventory sources have beyond lists: updates, and what these made (``api.md`` 3.17)."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import job_lists
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import BadRequest, Refusal
from controlplane.api.guards import needs
from controlplane.api.inventory_routes import options_of
from controlplane.api.launch_answers import (
    REPLAYED,
    context_by,
    launched,
    launched_before,
    once,
    request_of,
)
from controlplane.api.launch_answers import caught_up as jobs_caught_up
from controlplane.api.listing import Within
from controlplane.api.resource_routes import members, page_of
from controlplane.api.routing import Endpoint, routes
from controlplane.api.where import Sql
from controlplane.api.writes import caught_up, submit
from controlplane.domain import inventory_update
from controlplane.domain.resource import BulkDelete
from controlplane.shell import inventory_launching
from controlplane.shell.launch_keys import Request
from controlplane.shell.launch_tools import Launched
from controlplane.shell.read_model import View
from controlplane.shell.resource_commands import prepare_for
from schemas.resource import RESOURCES

KIND = "inventory_update"

NO_SOURCES = "No inventory sources to update."
MADE = (
    ("inventory_source", "hosts", "host"),
    ("inventory_source", "groups", "group"),
    ("host", "inventory_sources", "inventory_source"),
    ("group", "inventory_sources", "inventory_source"),
)
"""(kind, path, kind listed): what updates made."""
CANNOT = "Could not start because `can_update` returned False"
PARTLY = 202


def inventory_source_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of inventory sources that no declaration describes."""
    handlers = [
        *routes(
            "/api/v2/inventory_sources/{key:str}/update",
            {
                "GET": (needs("read", "inventory_source"), show_update),
                "POST": (
                    needs("start", "inventory_source"),
                    once(launch_update, status=202),
                ),
            },
            "Inventory Source Update",
        ),
        *routes(
            "/api/v2/inventories/{key:str}/update_inventory_sources",
            {
                "GET": (needs("read", "inventory"), show_updates),
                "POST": (needs("update", "inventory"), launch_updates),
            },
            "Inventory Sources Update",
        ),
    ]
    handlers += routes(
        "/api/v2/inventory_updates/{key:str}/credentials",
        {"GET": (needs("read", KIND), show_credentials)},
        (needs("read", KIND), options_of("credential")),
    )
    for kind, name, listed in MADE:
        handlers += _made(kind, name, listed)
    return handlers


def _made(kind: str, name: str, listed: str) -> list[HTTPRouteHandler]:
    resource = RESOURCES[kind]
    related = next(each for each in resource.related if each.name == name)

    async def show(call: Call) -> Response[Any]:
        return await page_of(call, listed, members(resource, related, call.target.id))

    async def remove(call: Call) -> Response[Any]:
        return await _remove(call, name, listed)

    read = needs("read", kind)
    methods: dict[Any, tuple[Any, Endpoint]] = {"GET": (read, show)}
    if kind == "inventory_source":
        methods["DELETE"] = (needs("delete", kind), remove)
    path = f"/api/v2/{resource.plural}/{{key:str}}/{name}"
    return routes(path, methods, (read, options_of(listed)))


async def _remove(call: Call, relation: str, kind: str) -> Response[Any]:
    """Delete all that a source made; groups take their hosts along, as anywhere."""
    await call.body()
    async with call.read() as view:
        rows = await view.fetch(
            f'select "target" from "inventory_source_{relation}" where "id" = $1 order by "target"',  # noqa: S608 - a declared relation
            call.target.id,
        )
    found = tuple(row["target"] for row in rows)
    if found:
        command = BulkDelete(kind=kind, ids=found)
        await caught_up(call, await submit(call, prepare_for(command, call.services)))
    return empty(204)


async def show_credentials(call: Call) -> Response[Any]:
    """Answer the credential that an update was launched with, as a list."""
    held = '{t}."id" = (select j."credential_id" from "unified_job" j where j."id" = {0})'
    where = Sql(text=held, values=(call.target.id,))
    return await page_of(call, "credential", Within(where=where))


async def show_update(call: Call) -> Response[Any]:
    """Answer whether the source has what its update needs."""
    async with call.read() as view:
        row = await view.named_row("source_for_launch", call.target.id)
    return answer({"can_update": row is not None and inventory_update.can_update(row)})


async def launch_update(call: Call) -> Response[Any]:
    """Start an update of a source; 202 with the update."""
    await call.body()
    async with call.read() as view:
        row = await view.named_row("source_for_launch", call.target.id)
        if row is None or not inventory_update.can_update(row):
            raise Refusal(405, {"detail": 'Method "POST" not allowed.'})
        done = await inventory_launching.launch_inventory_update(
            call.services.launch_tools, view, call.target.id, context_by(call)
        )
    return await launched(call, done, KIND, status=202)


async def show_updates(call: Call) -> Response[Any]:
    """Answer of each source of an inventory whether it has what its update needs."""
    async with call.read() as view:
        rows = await view.named("sources_to_update", call.target.id)
    return answer(
        [
            {"inventory_source": row["id"], "can_update": inventory_update.can_update(row)}
            for row in rows
        ]
    )


async def launch_updates(call: Call) -> Response[Any]:
    """Start an update of each source that has what it needs; AWX's status tells whether all did.

    Under one ``Idempotency-Key`` each source is updated once.
    """
    await call.body()
    request = await request_of(call)
    results: list[dict[str, Any]] = []
    started: list[Launched] = []
    async with call.read() as view:
        rows = await view.named("sources_to_update", call.target.id)
        can = {row["id"] for row in rows if inventory_update.can_update(row)}
        if request is not None and can:
            # The key itself stands for no job: it only tells another request from this one.
            await call.services.launch_tools.keys.job_of(request)
        for row in rows:
            details: dict[str, Any] = {"inventory_source": row["id"], "status": CANNOT}
            if row["id"] in can:
                done = await _launch_update(call, view, row["id"], request)
                started.append(done)
                details |= {"status": "started", KIND: done.job}
            results.append(details)
    if not results:
        raise BadRequest(NO_SOURCES)
    return await _all_started(call, results, started)


async def _launch_update(call: Call, view: View, source: int, whole: Request | None) -> Launched:
    """Start an update of one source, or return the one that a request for all has started."""
    tools = call.services.launch_tools
    if whole is not None:
        own = Request(cause=f"{whole.cause}:{source}", mark=whole.mark)
        before = await launched_before(call, own)
        if before is not None:
            return before
        tools = msgspec.structs.replace(tools, request=own)
    return await inventory_launching.launch_inventory_update(tools, view, source, context_by(call))


async def _all_started(
    call: Call, results: list[dict[str, Any]], started: list[Launched]
) -> Response[Any]:
    if started and await jobs_caught_up(call, max(each.position for each in started)):
        async with call.read() as view:
            for each in results:
                if KIND in each:
                    body = await job_lists.job_body(call.who, view, KIND, each[KIND])
                    each |= {**body, **each}
    whole = 200 if len(started) == len(results) else PARTLY
    again = bool(started) and all(each.repeated for each in started)
    return answer(results, whole if started else 400, {REPLAYED: "true"} if again else {})
