"""Role definitions given to users and teams, and what they may be made of (``api.md`` 3.5-3.7)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import (
    assignment_body,
    assignment_table,
    granting,
    listing,
    options,
    pagination,
    visibility,
)
from controlplane.api.assignment_body import Wanted
from controlplane.api.assignment_table import ACTORS, kind_of
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import Missing, PermissionDenied
from controlplane.api.guards import LOGIN, needs
from controlplane.api.listing import Within
from controlplane.api.routing import routes
from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, Sql, Statement, Where
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain import access
from controlplane.domain.errors import Refused
from controlplane.domain.numerals import whole
from controlplane.domain.resource import Update
from controlplane.shell import access_commands
from controlplane.shell.access_commands import Holder
from controlplane.shell.config_writer import Appended
from controlplane.shell.read_model import Row, View
from controlplane.shell.resource_commands import prepare_for
from schemas import permissions
from schemas.resources.role_definition import CONTENT_TYPES
from schemas.role_definitions import role_of
from schemas.roles import ObjectRole

_DEFINITION = needs("read", "role_definition")
_TEAM_PARTICIPATION = {
    "member": "Assigning organization member permission to teams is not allowed",
    "admin": "Assigning organization permissions that manage other teams is not allowed",
}
_TEAM_GLOBAL = "Global roles can not be assigned to teams"


def assignment_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of assignments, and of what they are made of."""
    handlers = routes("/api/v2/role_metadata", {"GET": (LOGIN, show_metadata)})
    for actor in ACTORS:
        handlers += _assignments(actor)
    return handlers


def _assignments(actor: str) -> list[HTTPRouteHandler]:
    async def show(call: Call) -> Response[Any]:
        return await _page(call, actor, AllOf(parts=()))

    async def show_of_definition(call: Call) -> Response[Any]:
        this = Sql(text='{t}."role_definition" = {0}', values=(call.target.id,))
        return await _page(call, actor, this)

    async def create(call: Call) -> Response[Any]:
        return await _create(call, actor)

    async def show_one(call: Call) -> Response[Any]:
        async with call.read() as view:
            return answer(
                (await assignment_table.page(view, actor, [await _one(call, view, actor)]))[0]
            )

    async def remove(call: Call) -> Response[Any]:
        return await _remove(call, actor)

    async def describe(_call: Call) -> Response[Any]:
        return answer(_described(actor, create=True))

    async def describe_shown(_call: Call) -> Response[Any]:
        return answer(_described(actor, create=False))

    path = f"/api/v2/{kind_of(actor)}s"
    below = f"/api/v2/role_definitions/{{key:str}}/{actor}_assignments"
    return [
        *routes(path, {"GET": (LOGIN, show), "POST": (LOGIN, create)}, (LOGIN, describe)),
        *routes(
            f"{path}/{{key:str}}",
            {"GET": (LOGIN, show_one), "DELETE": (LOGIN, remove)},
            (LOGIN, describe_shown),
        ),
        *routes(below, {"GET": (_DEFINITION, show_of_definition)}, (_DEFINITION, describe_shown)),
    ]


async def show_metadata(_call: Call) -> Response[Any]:
    """Show which permissions a definition for each type of object may carry."""
    return answer({"allowed_permissions": permissions.metadata()})


async def _page(call: Call, actor: str, where: Where) -> Response[Any]:
    seen = assignment_table.visible(call.who, actor)
    within = Within(where=AllOf(parts=(where, seen)))
    async with call.read() as view:
        found = await listing.find(call, view, kind_of(actor), within, open_list=True)
        shown = await assignment_table.page(view, actor, found.rows)
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, shown))


async def _one(call: Call, view: View, actor: str) -> Row:
    """Return the assignment that the path names; raises Missing for one the caller cannot see."""
    number = whole(str(call.request.path_params["key"]))
    if number is not None and 0 < number < 2**63:
        this = Sql(text='{t}."id" = {0}', values=(number,))
        rows = await _rows(
            view, actor, AllOf(parts=(this, assignment_table.visible(call.who, actor)))
        )
        if rows:
            return rows[0]
    raise Missing(assignment_table.verbose(actor))


async def _rows(view: View, actor: str, where: Where) -> list[Row]:
    statement = Statement()
    condition = statement.condition(where, "t")
    sql = f"select t.* from {table_of(kind_of(actor)).source} t where {condition}"  # noqa: S608 - values are bound
    return await view.fetch(sql, *statement.args)


async def _create(call: Call, actor: str) -> Response[Any]:
    """Give a role definition: 201, whether it was held before or not."""
    body = await call.body()
    async with call.read() as view:
        wanted = await assignment_body.read(view, call.who, actor, body)
        await _check(call, view, wanted)
    holder, place = wanted.holder, (wanted.kind, wanted.number)
    if wanted.kind:
        prepare = access_commands.assign(wanted.definition, holder, *place)
    else:
        prepare = prepare_for(_auditing(holder.user, auditor=True), call.services)
    appended = await submit(call, prepare)
    await caught_up(call, appended)
    return await _made(call, actor, wanted, appended)


async def _made(call: Call, actor: str, wanted: Wanted, appended: Appended) -> Response[Any]:
    texts = [f'{{t}}."{actor}" = {{0}}', '{t}."role_definition" = {1}', '{t}."kind" = {2}']
    values: tuple[Any, ...] = (wanted.holder.key[1], wanted.definition, wanted.kind)
    if wanted.kind:
        texts.append('{t}."object_id" = {3}')
        values = (*values, wanted.number)
    async with call.read() as view:
        rows = await _rows(view, actor, Sql(text=" and ".join(texts), values=values))
        shown = await assignment_table.page(view, actor, rows)
    if not shown:
        raise Missing(assignment_table.verbose(actor))
    return answer(shown[0], 201, position_header(appended))


async def _remove(call: Call, actor: str) -> Response[Any]:
    async with call.read() as view:
        row = await _one(call, view, actor)
        await _check_grants(call, view, row["kind"], row["object_id"])
    if row["kind"]:
        holder = Holder(**{actor: row[actor]})
        place = (row["kind"], row["object_id"])
        prepare = access_commands.unassign(row["role_definition"], holder, *place)
    else:
        prepare = prepare_for(_auditing(row[actor], auditor=False), call.services)
    appended = await submit(call, prepare)
    await caught_up(call, appended)
    return empty(204, position_header(appended))


def _auditing(user: int, *, auditor: bool) -> Update:
    return Update(kind="user", id=user, changes={"is_system_auditor": auditor})


async def _check_grants(call: Call, view: View, kind: str, number: int | None) -> None:
    """Raise 403 unless the caller gives the roles of an object; of the system, superusers do."""
    if not kind or number is None:
        if not call.who.superuser:
            raise PermissionDenied
        return
    facts = await visibility.load(view, kind, number)
    if facts is None or not access.may(call.who, "grant", kind, facts):
        raise PermissionDenied


async def _check(call: Call, view: View, wanted: Wanted) -> None:
    """Raise unless the caller may give the definition on the object to the holder."""
    await _check_grants(call, view, wanted.kind, wanted.number)
    role, holder = role_of(wanted.definition), wanted.holder
    if not wanted.kind:
        if holder.team:
            raise Refused([_TEAM_GLOBAL])
        return
    adopting = wanted.kind == "organization" and role in access.ADOPTING
    if adopting and holder.team:
        raise Refused([_TEAM_PARTICIPATION[role]])
    if adopting and not access.may(call.who, "adopt", "user", wanted.facts):
        raise PermissionDenied
    on = ObjectRole(wanted.kind, wanted.number, role)
    problem = await granting.misfit(call.who, view, on, holder, wanted.facts)
    if problem:
        raise Refused({"detail": problem})


def _described(actor: str, *, create: bool) -> dict[str, Any]:
    shown = {
        "id": "integer",
        "url": "string",
        "related": "object",
        "summary_fields": "object",
        "created": "datetime",
        "created_by": "id",
        "content_type": "id",
        **_WRITTEN,
        actor: "id",
        f"{actor}_ansible_id": "string",
    }
    written = {**_WRITTEN, actor: "id", f"{actor}_ansible_id": "string"}
    actions = {"GET": {name: _field(name, kind) for name, kind in shown.items()}}
    actions["GET"]["content_type"]["choices"] = [list(pair) for pair in CONTENT_TYPES]
    if create:
        actions["POST"] = {
            name: {**_field(name, kind), "required": name == "role_definition"}
            for name, kind in written.items()
        }
    name = f"Role {actor.title()} Assignment List"
    return {**options.plain(name, (), actions), "max_page_size": pagination.PAGE_SIZE_MAX}


_WRITTEN = {"object_id": "string", "object_ansible_id": "string", "role_definition": "id"}


def _field(name: str, kind: str) -> dict[str, Any]:
    filterable = kind != "object" and not name.endswith("_ansible_id") and name != "url"
    label = name.replace("_", " ").capitalize()
    return {"type": kind, "label": label, "filterable": filterable, "hidden": False}
