"""Constructed inventories, whose one source keeps four of their fields (``api.md`` 3.14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import listing, options, pagination, render, visibility
from controlplane.api.call import Call, answer
from controlplane.api.errors import Missing
from controlplane.api.guards import LOGIN, needs
from controlplane.api.links import ROOT
from controlplane.api.resource_writes import append_object, delete_object, made_in
from controlplane.api.routing import routes
from controlplane.api.tables import table_of
from controlplane.api.where import Compare
from controlplane.api.writes import (
    caught_up,
    check_update,
    position_header,
    submit,
    together,
)
from controlplane.domain import access, field_values
from controlplane.domain.errors import Invalid, Unavailable
from controlplane.domain.resource import Update
from controlplane.shell.config_writer import Appended
from controlplane.shell.read_model import Row, View
from schemas.resource import RESOURCES
from schemas.resources.inventory_source import CONSTRUCTED_FIELDS

BASE = "/api/v2/constructed_inventories"
INVENTORY = RESOURCES["inventory"]
SOURCE = RESOURCES["inventory_source"]
LATE = "The inventory is stored; it can be read in a moment."
_LEFT_OUT = ("kind", "host_filter")
"""What a body of theirs does not hold."""


def constructed_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of constructed inventories."""
    read, edit = needs("read", "inventory"), needs("edit", "inventory")
    return [
        *routes(BASE, {"GET": (LOGIN, show_list), "POST": (LOGIN, create)}, (LOGIN, describe_list)),
        *routes(
            f"{BASE}/{{key:str}}",
            {
                "GET": (read, show_one),
                "PUT": (edit, replace),
                "PATCH": (edit, change),
                "DELETE": (needs("delete", "inventory"), remove),
            },
            (needs("read", "inventory", missing=True), describe_one),
        ),
    ]


async def show_list(call: Call) -> Response[Any]:
    """Answer one page of constructed inventories."""
    constructed = Compare(
        column=table_of("inventory").columns["kind"], lookup="exact", value="constructed"
    )
    async with call.read() as view:
        found = await listing.find(call, view, "inventory", listing.Within(where=constructed))
        results = await _shown(call, view, found.rows)
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, results))


async def show_one(call: Call) -> Response[Any]:
    """Answer one constructed inventory; other inventories are not found here."""
    async with call.read() as view:
        return answer(await _one(call, view, call.target.id))


async def create(call: Call) -> Response[Any]:
    """Make a constructed inventory and its source: 201."""
    body = await call.body()
    values = source_values(body)
    body = {name: value for name, value in body.items() if name != "host_filter"}
    appended = await append_object(
        call, INVENTORY, {**body, "kind": "constructed"}, companion=values
    )
    return await _answer(call, made_in(appended) or 0, appended, 201)


async def replace(call: Call) -> Response[Any]:
    """Change a constructed inventory as a whole."""
    return await _update(call, partial=False)


async def change(call: Call) -> Response[Any]:
    """Change some fields of a constructed inventory."""
    return await _update(call, partial=True)


async def remove(call: Call) -> Response[Any]:
    """Delete a constructed inventory with its source."""
    async with call.read() as view:
        await _source(view, call.target.id)
    return await delete_object(call, INVENTORY, 202)


async def describe_list(call: Call) -> Response[Any]:
    """Describe the list, and the body that makes one if the caller may."""
    body = options.of_list(INVENTORY, create=access.may_create(call.who, "inventory"))
    return answer(_described(body))


async def describe_one(call: Call) -> Response[Any]:
    """Describe one, and the body that changes it if the caller may."""
    facts = call.target.facts
    may = access.may_create(call.who, "inventory") if facts is None else False
    if facts is not None:
        may = access.may(call.who, "edit", "inventory", facts)
    return answer(_described(options.of_detail(INVENTORY, edit=may)))


def source_values(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a body says of the four fields, read as the source's; raises Invalid.

    Null stands for what the source has by default.
    """
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name in CONSTRUCTED_FIELDS:
        if name not in body:
            continue
        field = SOURCE.fields[name]
        try:
            values[name] = (
                field.default if body[name] is None else field_values.read(field, body[name])
            )
            if name == "source_vars" and values[name]:
                field_values.variables(values[name])
        except field_values.Unreadable as error:
            errors[name] = [str(error)]
    if errors:
        raise Invalid(errors)
    return values


async def _update(call: Call, *, partial: bool) -> Response[Any]:
    body, number = await call.body(), call.target.id
    values = source_values(body)
    body = {name: value for name, value in body.items() if name not in _LEFT_OUT}
    async with call.read() as view:
        source = await _source(view, number)
        await check_update(view, call.who, INVENTORY, body, number)
    commands = [
        Update(kind="inventory", id=number, changes=body, partial=partial),
        Update(kind="inventory_source", id=source["id"], changes=values),
    ]
    appended = await submit(call, together(commands, call.services))
    return await _answer(call, number, appended, 200)


async def _answer(call: Call, number: int, appended: Appended, status: int) -> Response[Any]:
    if not await caught_up(call, appended):
        raise Unavailable(LATE)
    async with call.read() as view:
        return answer(await _one(call, view, number), status, position_header(appended))


async def _one(call: Call, view: View, number: int) -> dict[str, Any]:
    await _source(view, number)
    sql = (
        f"select t.*{visibility.fact_columns('inventory')}"  # noqa: S608 - names from declarations
        ' from "inventory" t where t."id" = $1'
    )
    return (await _shown(call, view, await view.fetch(sql, number), detail=True))[0]


async def _source(view: View, inventory: int) -> Row:
    row = await view.named_row("constructed_source", inventory)
    if row is None:
        raise Missing(INVENTORY.verbose)
    return row


async def _shown(
    call: Call, view: View, rows: Sequence[Row], *, detail: bool = False
) -> list[dict[str, Any]]:
    """Return rows of inventories as constructed ones: with their source's fields."""
    shown = await render.page(view, call.who, "inventory", rows, detail=detail)
    ids = [row["id"] for row in rows]
    kept = {row["inventory"]: row for row in await view.named("constructed_sources", ids)}
    for each in shown:
        each["url"] = f"{ROOT}constructed_inventories/{each['id']}/"
        each.pop("host_filter")
        source = kept.get(each["id"])
        each |= {name: None if source is None else source[name] for name in CONSTRUCTED_FIELDS}
    return shown


def _described(body: dict[str, Any]) -> dict[str, Any]:
    """Return a description of inventories as one of constructed ones."""
    shown, taken = options.readable(SOURCE), options.writable(SOURCE)
    for method, fields in body["actions"].items():
        source = shown if method == "GET" else taken
        for name in _LEFT_OUT if method != "GET" else ("host_filter",):
            fields.pop(name, None)
        for name in CONSTRUCTED_FIELDS:
            fields[name] = {key: v for key, v in source[name].items() if key != "default"}
    return body
