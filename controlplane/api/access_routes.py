"""Object roles: listing, granting and revoking them; who has which access (``api.md`` 3.4)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import listing, options, pagination, role_table, visibility
from controlplane.api.access_list import access_list
from controlplane.api.auth import principal_of
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import BadRequest, Missing, PermissionDenied
from controlplane.api.guards import LOGIN, needs
from controlplane.api.listing import Within
from controlplane.api.resource_routes import page_of
from controlplane.api.resource_writes import identity
from controlplane.api.routing import Opt, routes
from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, Sql, Where
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain import access
from controlplane.domain.numerals import whole
from controlplane.shell import access_commands
from controlplane.shell.read_model import View
from schemas import roles
from schemas.resource import RESOURCES
from schemas.roles import ObjectRole

DEPRECATED = {
    "Warning": (
        '299 awx "This resource has been deprecated and will be removed in a future release."'
    )
}


def access_handlers() -> list[HTTPRouteHandler]:
    """Return the routes about roles and access."""
    handlers = [
        *routes("/api/v2/roles", {"GET": (LOGIN, show_all)}, (LOGIN, describe)),
        *routes("/api/v2/roles/{key:str}", {"GET": (LOGIN, show_one)}, (LOGIN, describe)),
        *routes(
            "/api/v2/roles/{key:str}/users",
            {"GET": (LOGIN, show_members), "POST": (LOGIN, change_members)},
            (LOGIN, describe_members),
        ),
        *routes(
            "/api/v2/users/{key:str}/roles",
            {"GET": (_USER, show_of_user), "POST": (_USER, change_of_user)},
            (_USER, describe_roles),
        ),
    ]
    for kind in role_table.KINDS:
        base, permission = f"/api/v2/{RESOURCES[kind].plural}/{{key:str}}", needs("read", kind)
        handlers += routes(
            f"{base}/object_roles", {"GET": (permission, show_of_object)}, (permission, describe)
        )
        handlers += _access_list(f"{base}/access_list", permission)
    handlers += _access_list("/api/v2/users/{key:str}/access_list", _USER)
    for name, kind, condition in OWNERS:
        handlers += _owners(name, kind, condition)
    handlers += routes(
        "/api/v2/users/{key:str}/projects",
        {"GET": (_USER, show_projects)},
        (_USER, describe_projects),
    )
    return handlers


_USER = needs("read", "user")
_OWNER_USERS = (
    '({t}."id" in (select g."user_id" from "role_grant" g where g."kind" = \'credential\''
    ' and g."object_id" = {0} and g."role" = \'admin\')'
    ' or {t}."id" = (select c."user" from "credential" c where c."id" = {0}))'
)
_OWNER_TEAMS = '{t}."id" = (select c."team" from "credential" c where c."id" = {0})'
OWNERS = (("owner_users", "user", _OWNER_USERS), ("owner_teams", "team", _OWNER_TEAMS))
"""(path below a credential, kind listed, condition on the listed row)."""


def _owners(name: str, kind: str, condition: str) -> list[HTTPRouteHandler]:
    permission = needs("read", "credential")

    async def show(call: Call) -> Response[Any]:
        where = Sql(text=condition, values=(call.target.id,))
        return await page_of(call, kind, Within(where=where))

    async def describe_owners(_call: Call) -> Response[Any]:
        return answer(options.of_list(RESOURCES[kind], create=False))

    path = f"/api/v2/credentials/{{key:str}}/{name}"
    return routes(path, {"GET": (permission, show)}, (permission, describe_owners))


def _access_list(path: str, permission: Opt) -> list[HTTPRouteHandler]:
    return routes(path, {"GET": (permission, show_access)}, (permission, describe))


async def describe(_call: Call) -> Response[Any]:
    """Describe a list of roles, with the warning that makes awxkit's export leave it out."""
    body = options.plain("Role List", ("role",), {"GET": _FIELDS})
    lists = {"search_fields": list(table_of("role").search), "related_search_fields": []}
    return answer({**body, **lists, "max_page_size": pagination.PAGE_SIZE_MAX}, 200, DEPRECATED)


async def describe_roles(_call: Call) -> Response[Any]:
    """Describe a user's roles: POST takes a role's id."""
    return answer(
        options.plain("Role List", ("role",), {"GET": _FIELDS, "POST": _ID}), 200, DEPRECATED
    )


async def describe_members(_call: Call) -> Response[Any]:
    """Describe the users that hold a role: POST takes a user's id."""
    return answer(options.of_attach(RESOURCES["user"]))


async def show_all(call: Call) -> Response[Any]:
    """List the roles of every object the caller may read."""
    return await _page(call, role_table.visible(call.who))


async def show_of_object(call: Call) -> Response[Any]:
    """List the roles of one object."""
    return await _page(call, role_table.on_object(call.target.kind, call.target.id))


async def show_of_user(call: Call) -> Response[Any]:
    """List the roles that a user holds directly, as far as the caller may see their objects."""
    seen: Where = AllOf(parts=())
    if call.target.id != call.who.id:
        seen = role_table.visible(call.who)
    held = role_table.held_by(call.target.id)
    return await _page(call, AllOf(parts=(held, seen)), unattach=True)


async def show_projects(call: Call) -> Response[Any]:
    """List the projects that both a user and the caller may read."""
    async with call.read() as view:
        row = await view.named_row("user_by_id", call.target.id)
        if row is None:
            raise Missing("User")
        theirs = await principal_of(row, view)
    return await page_of(call, "project", Within(where=visibility.visible(theirs, "project")))


async def describe_projects(_call: Call) -> Response[Any]:
    """Describe a list of projects that cannot be added to."""
    return answer(options.of_list(RESOURCES["project"], create=False))


async def show_one(call: Call) -> Response[Any]:
    """Show one role of an object the caller may read."""
    role = _role(call)
    async with call.read() as view:
        await _check_object(call, view, role, "read")
        where = role_table.on_object(role.kind, role.object_id)
        this = Sql(text='{t}."role" = {0}', values=(role.role,))
        found = await listing.find(
            call, view, "role", Within(where=AllOf(parts=(where, this))), open_list=True
        )
    if not found.rows:
        raise Missing("Role")
    return answer(role_table.render(found.rows[0]), 200, DEPRECATED)


async def show_members(call: Call) -> Response[Any]:
    """List the users that hold a role directly."""
    role = _role(call)
    async with call.read() as view:
        await _check_object(call, view, role, "read")
    text = (
        '{t}."id" in (select g."user_id" from "role_grant" g where g."kind" = {0}'
        ' and g."object_id" = {1} and g."role" = {2})'
    )
    where = Sql(text=text, values=(role.kind, role.object_id, role.role))
    return await page_of(call, "user", Within(where=where))


async def change_members(call: Call) -> Response[Any]:
    """Grant a role to the user in the body, or revoke it: 204 either way."""
    body = await call.body()
    return await _change(call, _role(call), identity(body), revoke="disassociate" in body)


async def change_of_user(call: Call) -> Response[Any]:
    """Grant the role in the body to a user, or revoke it: 204 either way."""
    body = await call.body()
    number = identity(body)
    role = _role_of(number)
    if role is None:
        raise BadRequest({"detail": "Role matching query does not exist."})
    return await _change(call, role, call.target.id, revoke="disassociate" in body)


async def show_access(call: Call) -> Response[Any]:
    """List the users with any access to an object, and through which roles."""
    kind, object_id = call.target.kind, call.target.id
    async with call.read() as view:
        facts = call.facts
        found, results = await access_list(call, view, kind, object_id, facts)
    body = pagination.envelope(found.page, call.path, call.pairs, found.count, results)
    return answer(body, 200, DEPRECATED)


async def _change(call: Call, role: ObjectRole, user: int, *, revoke: bool) -> Response[Any]:
    """Only who administers the object may change who holds its roles."""
    async with call.read() as view:
        await _check_object(call, view, role, "edit")
        facts = await visibility.load(view, "user", user)
        if facts is None:
            raise BadRequest({"detail": "User matching query does not exist."})
        adopting = role.kind == "organization" and role.role in access.ADOPTING and not revoke
        if not access.may(call.who, "adopt" if adopting else "read", "user", facts):
            raise PermissionDenied
        if role.kind == "credential" and not revoke:
            await _check_same_organization(view, role.object_id, facts)
    prepare = access_commands.revoke if revoke else access_commands.grant
    appended = await submit(call, prepare(role, user))
    await caught_up(call, appended)
    return empty(204, position_header(appended))


async def _check_object(call: Call, view: View, role: ObjectRole, verb: str) -> None:
    facts = await visibility.load(view, role.kind, role.object_id)
    if facts is None:
        raise Missing("Role")
    if not access.may(call.who, verb, role.kind, facts):
        raise PermissionDenied


async def _check_same_organization(view: View, credential: int, user: access.Facts) -> None:
    sql = 'select t."organization" from "credential" t where t."id" = $1'
    organization = await view.value(sql, credential)
    if user.superuser or (organization is not None and organization in user.organizations):
        return
    text = (
        "You cannot grant private credential access to another user"
        if organization is None
        else "You cannot grant credential access to a user not in the credentials' organization"
    )
    raise BadRequest({"msg": text})


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
    return found if found.kind in RESOURCES else None


async def _page(call: Call, where: Where, *, unattach: bool = False) -> Response[Any]:
    async with call.read() as view:
        found = await listing.find(call, view, "role", Within(where=where), open_list=True)
        shown = []
        for row in found.rows:
            allowed = None
            if unattach:
                allowed = call.who.superuser or call.who.holds(
                    row["kind"], row["object_id"], ("admin",)
                )
            shown.append(role_table.render(row, unattach=allowed))
    body = pagination.envelope(found.page, call.path, call.pairs, found.count, shown)
    return answer(body, 200, DEPRECATED)


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
