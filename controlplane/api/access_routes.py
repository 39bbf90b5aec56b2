"""Who has which access: access lists, owners of credentials, what a user or a team can see."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options, pagination, role_table, visibility
from controlplane.api.access_list import access_list
from controlplane.api.assignment_routes import assignment_handlers
from controlplane.api.auth import principal_of
from controlplane.api.call import Call, answer
from controlplane.api.errors import Missing
from controlplane.api.guards import needs
from controlplane.api.listing import Within
from controlplane.api.resource_routes import page_of
from controlplane.api.role_routes import DEPRECATED, describe, role_handlers
from controlplane.api.routing import Endpoint, Opt, routes
from controlplane.api.where import AnyOf, Sql
from controlplane.domain import access
from controlplane.domain.access import Principal
from schemas.resource import RESOURCES


def access_handlers() -> list[HTTPRouteHandler]:
    """Return the routes about roles and access."""
    handlers = [*role_handlers(), *assignment_handlers()]
    for kind in role_table.KINDS:
        path = f"/api/v2/{RESOURCES[kind].plural}/{{key:str}}/access_list"
        handlers += _access_list(path, needs("read", kind))
    handlers += _access_list("/api/v2/users/{key:str}/access_list", _USER)
    for name, kind, condition in OWNERS:
        handlers += _owners(name, kind, condition)
    handlers += _listed("/api/v2/users/{key:str}/projects", _USER, "project", show_projects)
    handlers += _listed("/api/v2/teams/{key:str}/projects", _TEAM, "project", show_of_team)
    handlers += _listed("/api/v2/projects/{key:str}/teams", _PROJECT, "team", show_teams)
    return handlers


_USER = needs("read", "user")
_TEAM = needs("read", "team")
_PROJECT = needs("read", "project")
_OWNING = (
    '({t}."id" = any(array(select a."{kind}_id" from "role_assignment" a'
    ' where a."kind" = \'credential\' and a."object_id" = {0} and a."role" = \'admin\'))'
    ' or {t}."id" = (select c."{kind}" from "credential" c where c."id" = {0}))'
)
OWNERS = tuple(
    (f"owner_{kind}s", kind, _OWNING.replace("{kind}", kind)) for kind in ("user", "team")
)
"""(path below a credential, kind listed, condition on the listed row)."""


def _owners(name: str, kind: str, condition: str) -> list[HTTPRouteHandler]:
    async def show(call: Call) -> Response[Any]:
        where = Sql(text=condition, values=(call.target.id,))
        return await page_of(call, kind, Within(where=where))

    path = f"/api/v2/credentials/{{key:str}}/{name}"
    return _listed(path, needs("read", "credential"), kind, show)


def _listed(path: str, permission: Opt, kind: str, show: Endpoint) -> list[HTTPRouteHandler]:
    """Return the routes of a list that cannot be added to."""

    async def described(_call: Call) -> Response[Any]:
        return answer(options.of_list(RESOURCES[kind], create=False))

    return routes(path, {"GET": (permission, show)}, (permission, described))


def _access_list(path: str, permission: Opt) -> list[HTTPRouteHandler]:
    return routes(path, {"GET": (permission, show_access)}, (permission, describe))


async def show_projects(call: Call) -> Response[Any]:
    """List the projects that both a user and the caller may read."""
    async with call.read() as view:
        row = await view.named_row("user_by_id", call.target.id)
        if row is None:
            raise Missing("User")
        theirs = await principal_of(row, view)
    return await page_of(call, "project", Within(where=visibility.visible(theirs, "project")))


async def show_of_team(call: Call) -> Response[Any]:
    """List the projects that both a team and the caller may read."""
    async with call.read() as view:
        rows = await view.named("grants_of_team", call.target.id)
    grants: dict[tuple[str, int], frozenset[str]] = {}
    for row in rows:
        place = (row["kind"], row["object_id"])
        grants[place] = grants.get(place, frozenset()) | {row["role"]}
    team = Principal(id=0, username="", grants=grants)
    return await page_of(call, "project", Within(where=visibility.visible(team, "project")))


async def show_teams(call: Call) -> Response[Any]:
    """List the teams that may read a project."""
    parts = tuple(
        Sql(text=_HOLDING_TEAM, values=(source.kind, number, source.role))
        for source in access.holders("project", "read")
        if (number := call.facts.ids.get(source.path)) is not None
    )
    return await page_of(call, "team", Within(where=AnyOf(parts=parts)))


_HOLDING_TEAM = (
    '{t}."id" = any(array(select g."team_id" from "role_grant" g'
    ' where g."kind" = {0} and g."object_id" = {1} and g."role" = {2}))'
)


async def show_access(call: Call) -> Response[Any]:
    """List the users with any access to an object, and through which roles."""
    kind, object_id = call.target.kind, call.target.id
    async with call.read() as view:
        found, results = await access_list(call, view, kind, object_id, call.facts)
    body = pagination.envelope(found.page, call.path, call.pairs, found.count, results)
    return answer(body, 200, DEPRECATED)
