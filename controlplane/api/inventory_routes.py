"""What inventories, groups and hosts have beyond lists: script, tree, variables, closures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from controlplane.api import options, render, smart_hosts, visibility
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, Missing
from controlplane.api.guards import needs
from controlplane.api.listing import Within
from controlplane.api.resource_routes import page_of
from controlplane.api.resource_writes import create_object
from controlplane.api.routing import Endpoint, routes
from controlplane.api.tables import table_of
from controlplane.api.where import Sql
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain import extra_vars
from controlplane.domain.access import Principal
from controlplane.domain.inventory_script import hostvars
from controlplane.domain.resource import Update
from controlplane.shell.inventory_content import Members, read_members, script_parts
from controlplane.shell.read_model import Row, View
from controlplane.shell.resource_commands import prepare_for
from schemas.resource import RESOURCES

TREE_MAX = 50_000
"""Rows that a tree of groups may have; groups below several others multiply."""
DEPTH_MAX = 200
_TRUE = frozenset({"1", "true", "yes", "t"})

ROOT_GROUPS = (
    '{t}."inventory" = {0} and {t}."id" not in (select c."target" from "group_children" c'
    ' join "group" p on p."id" = c."id" where p."inventory" = {0})'
)
ALL_HOSTS = (
    '{t}."id" in (with recursive d ("id") as (select {0}::bigint union select c."target" from'
    ' "group_children" c join d on d."id" = c."id") select m."target" from "group_hosts" m'
    ' join d on d."id" = m."id")'
)
ALL_GROUPS = (
    '{t}."id" in (with recursive u ("id") as (select m."id" from "group_hosts" m'
    ' where m."target" = {0} union select c."id" from "group_children" c join u'
    ' on u."id" = c."target") select u."id" from u)'
)
POTENTIAL_CHILDREN = (
    '{t}."inventory" = (select g."inventory" from "group" g where g."id" = {0})'
    ' and {t}."id" not in (with recursive u ("id") as (select {0}::bigint union select c."id" from'
    ' "group_children" c join u on u."id" = c."target") select u."id" from u)'
    ' and {t}."id" not in (select c."target" from "group_children" c where c."id" = {0})'
)
CLOSURES = (
    ("inventory", "root_groups", "group", ROOT_GROUPS),
    ("group", "all_hosts", "host", ALL_HOSTS),
    ("group", "potential_children", "group", POTENTIAL_CHILDREN),
    ("host", "all_groups", "group", ALL_GROUPS),
)
"""(kind, path, kind listed, condition on the listed row ``{t}`` given the object's id)."""


def inventory_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of inventories, groups and hosts that no declaration describes."""
    inventory = "/api/v2/inventories/{key:str}"
    read = needs("read", "inventory")
    handlers = [
        *routes(f"{inventory}/script", {"GET": (read, show_script)}, "Inventory Script"),
        *routes(f"{inventory}/tree", {"GET": (read, show_tree)}, "Inventory Tree"),
    ]
    for kind in ("inventory", "group", "host"):
        path = f"/api/v2/{RESOURCES[kind].plural}/{{key:str}}/variable_data"
        edit = (needs("edit", kind), replace_variables)
        handlers += routes(
            path,
            {"GET": (needs("read", kind), show_variables), "PUT": edit, "PATCH": edit},
            f"{RESOURCES[kind].verbose} Variable Data",
        )
    for kind, name, listed, condition in CLOSURES:
        handlers += _closure(kind, name, listed, condition)
    handlers += routes(
        "/api/v2/hosts/{key:str}/smart_inventories",
        {"GET": (needs("read", "host"), show_smart_inventories)},
        (needs("read", "host"), options_of("inventory")),
    )
    handlers += routes(
        "/api/v2/hosts/{key:str}/ansible_facts",
        {"GET": (needs("read", "host"), show_facts)},
        "Host Ansible Facts",
    )
    return handlers


def _closure(kind: str, name: str, listed: str, condition: str) -> list[HTTPRouteHandler]:
    permission = needs("read", kind)

    async def show(call: Call) -> Response[Any]:
        where = Sql(text=condition, values=(call.target.id,))
        return await page_of(call, listed, Within(where=where))

    async def create(call: Call) -> Response[Any]:
        body = await call.body()
        return await create_object(call, RESOURCES[listed], {**body, kind: call.target.id})

    async def describe(_call: Call) -> Response[Any]:
        return answer(options.of_list(RESOURCES[listed], create=name == "root_groups"))

    path = f"/api/v2/{RESOURCES[kind].plural}/{{key:str}}/{name}"
    methods: dict[Any, tuple[Any, Endpoint]] = {"GET": (permission, show)}
    if name == "root_groups":
        methods["POST"] = (permission, create)
    return routes(path, methods, (permission, describe))


async def show_script(call: Call) -> Response[Any]:
    """Stream Ansible's dynamic-inventory JSON; ``?host=`` answers one host's variables."""
    members = await _members(call)
    tower_vars = call.parameter("towervars").lower() in _TRUE
    if wanted := call.parameter("host"):
        host = next((each for each in members.hosts if each.name == wanted and each.enabled), None)
        if host is None:
            raise Missing("Host")
        async with call.read() as view:
            found = await view.named("variables_of_hosts", [host.id])
        text = found[0]["variables"] if found else ""
        return answer(hostvars(host, text, tower_vars=tower_vars))
    hosts = call.parameter("hostvars").lower() in _TRUE
    parts = script_parts(members, call.read, tower_vars=tower_vars, hosts=hosts)
    return Stream(parts, media_type="application/json", status_code=200)


async def _members(call: Call) -> Members:
    async with call.read() as view:
        members = await read_members(view, call.target.id, smart_hosts.selection)
    if members is None:
        raise Missing("Inventory")
    if call.parameter("all").lower() not in _TRUE:
        return members
    everyone = tuple(host._replace(enabled=True) for host in members.hosts)
    return msgspec.structs.replace(members, hosts=everyone)


async def show_smart_inventories(call: Call) -> Response[Any]:
    """List the smart inventories that have this host among theirs."""
    async with call.read() as view:
        found = await view.named("smart_inventories_near_host", call.target.id)
    where = smart_hosts.containing(call.target.id, found)
    return await page_of(call, "inventory", Within(where=where))


async def show_tree(call: Call) -> Response[Any]:
    """Answer the groups of an inventory as nested rows: a bare list of the root groups."""
    async with call.read() as view:
        return answer(await tree_of(view, call.who, call.target.id))


async def tree_of(view: View, who: Principal, inventory: int) -> list[dict[str, Any]]:
    """Return the groups of an inventory as nested rows; raises BadRequest for too many."""
    facts = visibility.fact_columns("group")
    sql = f'select t.*{facts} from "group" t where t."inventory" = $1 order by t."name"'  # noqa: S608 - names from declarations
    shown = await render.page(view, who, "group", await view.fetch(sql, inventory))
    links = {row["id"]: row for row in await view.named("inventory_groups", inventory)}
    return nest({row["id"]: row for row in shown}, links)


def nest(shown: Mapping[int, Row], links: Mapping[int, Row]) -> list[dict[str, Any]]:
    """Return root groups with their descendants under ``children``; groups form no cycles.

    A group that is below several stands below each. Raises BadRequest when that is too much.
    """
    below = {child for row in links.values() for child in row["children"]}
    left = TREE_MAX

    def grown(number: int, depth: int) -> dict[str, Any]:
        nonlocal left
        left -= 1
        if left < 0 or depth > DEPTH_MAX:
            raise BadRequest("The groups of this inventory are too many to be shown as a tree.")
        children = [
            grown(child, depth + 1) for child in links[number]["children"] if child in shown
        ]
        return {**shown[number], "children": children}

    return [grown(number, 1) for number in shown if number not in below]


async def show_variables(call: Call) -> Response[Any]:
    """Answer the variables of an object as a JSON object."""
    async with call.read() as view:
        text = await _variables(view, call.target.kind, call.target.id)
    try:
        return answer(extra_vars.parse(text))
    except extra_vars.NotVariables as error:
        raise BadRequest(str(error)) from error


async def replace_variables(call: Call) -> Response[Any]:
    """Replace all variables of an object by the body, for PUT and PATCH alike."""
    body = await call.body()
    kind, number = call.target.kind, call.target.id
    try:
        changes = {"variables": extra_vars.as_text(extra_vars.parse(body))}
    except extra_vars.NotVariables as error:
        raise BadRequest(str(error)) from error
    appended = await submit(
        call,
        prepare_for(Update(kind=kind, id=number, changes=changes), call.services),
    )
    await caught_up(call, appended)
    return answer(body, 200, position_header(appended))


def options_of(kind: str) -> Endpoint:
    """Return the OPTIONS of a list of a kind that nothing is added to."""

    async def describe(_call: Call) -> Response[Any]:
        return answer(options.of_list(RESOURCES[kind], create=False))

    return describe


async def show_facts(call: Call) -> Response[Any]:
    """Answer the cached facts of a host."""
    async with call.read() as view:
        if await visibility.load(view, "host", call.target.id) is None:
            raise Missing(table_of("host").verbose)
        row = await view.named_row("facts_of_host", call.target.id)
    return answer({} if row is None else msgspec.Raw(row["facts"].encode()))


async def _variables(view: View, kind: str, object_id: int) -> str:
    sql = f'select t."variables" from "{kind}" t where t."id" = $1'  # noqa: S608 - kinds from above
    found = await view.value(sql, object_id)
    if found is None:
        raise Missing(table_of(kind).verbose)
    return str(found)
