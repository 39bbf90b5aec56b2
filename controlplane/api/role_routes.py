"""Object roles: listing them, who holds them, and their place in the graph (``api.md`` 3.4)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import granting, listing, options, pagination, role_table, visibility
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, Missing
from controlplane.api.guards import LOGIN, needs
from controlplane.api.listing import Within
from controlplane.api.resource_routes import page_of
from controlplane.api.resource_writes import identity
from controlplane.api.routing import routes
from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, Among, AnyOf, Sql, Where
from controlplane.domain import access
from controlplane.domain.numerals import whole
from controlplane.shell.access_commands import Holder
from schemas import roles
from schemas.resource import RESOURCES
from schemas.roles import SYSTEM, ObjectRole

DEPRECATED = {
    "Warning": (
        '299 awx "This resource has been deprecated and will be removed in a future release."'
    )
}
_USER = needs("read", "user")
_TEAM = needs("read", "team")
_ABOVE_ALL = {
    ("organization", "admin"): "system_administrator",
    ("organization", "auditor"): "system_auditor",
    ("instance_group", "admin"): "system_administrator",
}
"""Object roles that a system role includes."""


def role_handlers() -> list[HTTPRouteHandler]:
    """Return the routes about object roles."""
    one = "/api/v2/roles/{key:str}"
    handlers = [
        *routes("/api/v2/roles", {"GET": (LOGIN, show_all)}, (LOGIN, describe)),
        *routes(one, {"GET": (LOGIN, show_one)}, (LOGIN, describe)),
        *routes(f"{one}/parents", {"GET": (LOGIN, show_parents)}, (LOGIN, describe)),
        *routes(f"{one}/children", {"GET": (LOGIN, show_children)}, (LOGIN, describe)),
        *_holders(f"{one}/users", "user"),
        *_holders(f"{one}/teams", "team"),
        *_held("user", "/api/v2/users/{key:str}/roles"),
        *_held("team", "/api/v2/teams/{key:str}/roles"),
    ]
    for kind in role_table.KINDS:
        path, seen = f"/api/v2/{RESOURCES[kind].plural}/{{key:str}}", needs("read", kind)
        handlers += routes(
            f"{path}/object_roles", {"GET": (seen, show_of_object)}, (seen, describe)
        )
    return handlers


def _holders(path: str, kind: str) -> list[HTTPRouteHandler]:
    """Return the routes of the users, or the teams, that hold a role directly."""

    async def show(call: Call) -> Response[Any]:
        role = _role(call)
        async with call.read() as view:
            await granting.check_object(call.who, view, role, "read")
        return await page_of(call, kind, Within(where=_holding(role, kind)))

    async def change(call: Call) -> Response[Any]:
        body = await call.body()
        holder = Holder(**{kind: identity(body)})
        return await granting.change(call, _role(call), holder, revoke="disassociate" in body)

    async def described(_call: Call) -> Response[Any]:
        return answer(options.of_attach(RESOURCES[kind]))

    return routes(path, {"GET": (LOGIN, show), "POST": (LOGIN, change)}, (LOGIN, described))


def _held(kind: str, path: str) -> list[HTTPRouteHandler]:
    """Return the routes of the roles that a user, or a team, holds directly."""
    permission = needs("read", kind)

    async def show(call: Call) -> Response[Any]:
        seen: Where = AllOf(parts=())
        if (kind, call.target.id) != ("user", call.who.id):
            seen = role_table.visible(call.who)
        held = role_table.held_by(kind, call.target.id)
        return await _page(call, AllOf(parts=(held, seen)), unattach=True)

    async def change(call: Call) -> Response[Any]:
        body = await call.body()
        role = _role_of(identity(body))
        if role is None:
            raise BadRequest({"detail": "Role matching query does not exist."})
        holder = Holder(**{kind: call.target.id})
        return await granting.change(call, role, holder, revoke="disassociate" in body)

    async def described(_call: Call) -> Response[Any]:
        return answer(_description(_ID), 200, DEPRECATED)

    return routes(
        path, {"GET": (permission, show), "POST": (permission, change)}, (permission, described)
    )


async def describe(_call: Call) -> Response[Any]:
    """Describe a list of roles, with the warning that makes awxkit's export leave it out."""
    return answer(_description(None), 200, DEPRECATED)


async def show_all(call: Call) -> Response[Any]:
    """List the roles of every object the caller may read."""
    return await _page(call, role_table.visible(call.who))


async def show_of_object(call: Call) -> Response[Any]:
    """List the roles of one object."""
    return await _page(call, role_table.on_object(call.target.kind, call.target.id))


async def show_one(call: Call) -> Response[Any]:
    """Show one role of an object the caller may read."""
    role = _role(call)
    async with call.read() as view:
        await granting.check_object(call.who, view, role, "read")
        where = role_table.exactly(*role)
        found = await listing.find(call, view, "role", Within(where=where), open_list=True)
    if not found.rows:
        raise Missing("Role")
    return answer(role_table.render(found.rows[0]), 200, DEPRECATED)


async def show_parents(call: Call) -> Response[Any]:
    """List the roles that include a role: those of the graph, and of the teams that hold it."""
    role = _role(call)
    async with call.read() as view:
        await granting.check_object(call.who, view, role, "read")
        facts = await visibility.load(view, role.kind, role.object_id) if role.object_id else None
    parts = []
    for parent in access.PARENTS.get(role.kind, {}).get(role.role, ()):
        *path, above = parent.split(".")
        number = None if facts is None else facts.ids.get(tuple(path))
        if number is not None:
            parts.append(role_table.exactly(access.kind_at(role.kind, tuple(path)), number, above))
    if (role.kind, role.role) in _ABOVE_ALL:
        parts.append(role_table.exactly(SYSTEM, 0, _ABOVE_ALL[role.kind, role.role]))
    parts.append(_of_teams(role))
    return await _page(call, AllOf(parts=(AnyOf(parts=tuple(parts)), role_table.visible(call.who))))


async def show_children(call: Call) -> Response[Any]:
    """List the roles that a role includes: those of the graph, and what a team holds."""
    role = _role(call)
    async with call.read() as view:
        await granting.check_object(call.who, view, role, "read")
    parts = [_below(role, kind) for kind in role_table.KINDS]
    if (role.kind, role.role) == ("team", "member"):
        parts.append(role_table.held_by("team", role.object_id))
    where = AllOf(parts=(AnyOf(parts=tuple(parts)), role_table.visible(call.who)))
    return await _page(call, where)


def _below(role: ObjectRole, kind: str) -> Where:
    """Return the condition that a role of a kind's object lies right below another role."""
    found: list[Where] = []
    for child, parents in access.PARENTS[kind].items():
        if _ABOVE_ALL.get((kind, child)) == role.role:
            found.append(Sql(text=_KIND_AND_ROLE, values=(kind, child)))
        for parent in parents:
            *path, above = parent.split(".")
            there = access.kind_at(kind, tuple(path))
            if (there, above) == (role.kind, role.role):
                found.append(_reaching(kind, child, tuple(path), role.object_id))
    return AnyOf(parts=tuple(found))


_KIND_AND_ROLE = '({t}."kind" = {0} and {t}."role" = {1})'


def _reaching(kind: str, child: str, path: tuple[str, ...], number: int) -> Where:
    """Return the condition that it is role ``child`` of an object whose ``path`` ends at an id."""
    if not path:
        return role_table.exactly(kind, number, child)
    here = Sql(text=_KIND_AND_ROLE, values=(kind, child))
    end = visibility.reached(kind, path, [number])
    return AllOf(parts=(here, Among(column='{t}."object_id"', kind=kind, where=end)))


def _of_teams(role: ObjectRole) -> Where:
    text = (
        '({t}."kind" = \'team\' and {t}."role" = \'member\' and {t}."object_id" = any(array('
        'select a."team_id" from "role_assignment" a where a."kind" = {0} and a."object_id" = {1}'
        ' and a."role" = {2} and a."team_id" > 0)))'
    )
    return Sql(text=text, values=tuple(role))


def _holding(role: ObjectRole, kind: str) -> Where:
    if role.kind == SYSTEM:
        flag = granting.FLAGS[role.role]
        return Sql(text=f'{{t}}."{flag}"' if kind == "user" else "false")
    return Sql(text=_HOLDERS.replace("{holder}", kind), values=tuple(role))


_HOLDERS = (
    '{t}."id" = any(array(select a."{holder}_id" from "role_assignment" a'
    ' where a."kind" = {0} and a."object_id" = {1} and a."role" = {2}))'
)


def _role(call: Call) -> ObjectRole:
    number = whole(str(call.request.path_params["key"]))
    found = None if number is None else _role_of(number)
    if found is None:
        raise Missing("Role")
    return found


def _role_of(number: int) -> ObjectRole | None:
    try:
        found = roles.role_of(number)
    except KeyError:
        return None
    return found if found.kind in (*RESOURCES, SYSTEM) else None


async def _page(call: Call, where: Where, *, unattach: bool = False) -> Response[Any]:
    async with call.read() as view:
        found = await listing.find(call, view, "role", Within(where=where), open_list=True)
        mine = await granting.grantable(call.who, view, found.rows) if unattach else frozenset()
    shown = []
    for row in found.rows:
        allowed = (row["kind"], row["object_id"]) in mine if unattach else None
        shown.append(role_table.render(row, unattach=allowed))
    body = pagination.envelope(found.page, call.path, call.pairs, found.count, shown)
    return answer(body, 200, DEPRECATED)


def _description(post: dict[str, Any] | None) -> dict[str, Any]:
    actions: dict[str, Any] = {"GET": _FIELDS} if post is None else {"GET": _FIELDS, "POST": post}
    body = options.plain("Role List", ("role",), actions)
    lists = {"search_fields": list(table_of("role").search), "related_search_fields": []}
    return {**body, **lists, "max_page_size": pagination.PAGE_SIZE_MAX}


_ID = {"id": {"type": "integer", "required": True, "label": "ID", "filterable": True}}
_FIELDS = {
    name: {"type": kind, "label": name.replace("_", " ").title(), "filterable": kind == "integer"}
    for name, kind in (
        ("id", "integer"),
        ("type", "choice"),
        ("url", "string"),
        ("related", "object"),
        ("summary_fields", "object"),
        ("name", "field"),
        ("description", "field"),
    )
}
