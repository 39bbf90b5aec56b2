"""Giving and taking object roles: who may, to whom, and what AWX refuses (``api.md`` 3.4)."""

from __future__ import annotations

from typing import Any

from litestar import Response

from controlplane.api import visibility
from controlplane.api.call import Call, empty
from controlplane.api.errors import BadRequest, Missing, PermissionDenied
from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, Sql, Statement
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain import access
from controlplane.domain.access import Facts, Principal
from controlplane.domain.resource import Update
from controlplane.shell import access_commands
from controlplane.shell.access_commands import Holder
from controlplane.shell.read_model import Row, View
from controlplane.shell.resource_commands import prepare_for
from schemas import roles
from schemas.resource import RESOURCES
from schemas.roles import ObjectRole

PARTICIPATION = "You cannot assign an Organization participation role as a child role for a Team."
SYSTEM_TO_TEAM = "You cannot grant system-level permissions to a team."
PRIVATE = "You cannot grant private credential access to another user"
FOREIGN = "You cannot grant credential access to a user not in the credentials' organization"
FOREIGN_TEAM = (
    "You cannot grant credential access to a team when the Organization field isn't set,"
    " or belongs to a different organization"
)
FLAGS = {"system_administrator": "is_superuser", "system_auditor": "is_system_auditor"}
"""System role to the field of a user that it is."""


async def change(call: Call, role: ObjectRole, holder: Holder, *, revoke: bool) -> Response[Any]:
    """Grant an object role, or revoke it: 204 either way."""
    async with call.read() as view:
        await check_holder(call, view, role, holder, revoke=revoke)
    if role.kind == roles.SYSTEM:
        changes = {FLAGS[role.role]: not revoke}
        flag = Update(kind="user", id=holder.user, changes=changes)
        prepare = prepare_for(flag, call.services)
    else:
        prepare = (access_commands.revoke if revoke else access_commands.grant)(role, holder)
    appended = await submit(call, prepare)
    await caught_up(call, appended)
    return empty(204, position_header(appended))


async def check_holder(
    call: Call, view: View, role: ObjectRole, holder: Holder, *, revoke: bool
) -> None:
    """Raise unless the caller may change whether a user or team holds a role."""
    if role.kind == roles.SYSTEM:
        if holder.team:
            raise BadRequest({"msg": SYSTEM_TO_TEAM})
        if not call.who.superuser:
            raise PermissionDenied
    else:
        await check_object(call.who, view, role, "grant")
    kind, number = holder.key
    facts = await visibility.load(view, kind, number)
    if facts is None:
        raise BadRequest({"detail": f"{table_of(kind).verbose} matching query does not exist."})
    verb = "read"
    if kind == "user" and role.kind == "organization" and role.role in access.ADOPTING:
        verb = "read" if revoke else "adopt"
    if not access.may(call.who, verb, kind, facts):
        raise PermissionDenied
    if revoke:
        return
    if holder.team and role.kind == "organization" and role.role in access.ADOPTING:
        raise BadRequest({"msg": PARTICIPATION})
    problem = await misfit(call.who, view, role, holder, facts)
    if problem:
        raise BadRequest({"msg": problem})


async def check_object(who: Principal, view: View, role: ObjectRole, verb: str) -> None:
    """Raise unless the role's object exists and the caller may do something to it."""
    if role.kind == roles.SYSTEM:
        if not (who.superuser or who.auditor):
            raise PermissionDenied
        return
    facts = await visibility.load(view, role.kind, role.object_id)
    if facts is None:
        raise Missing("Role")
    if not access.may(who, verb, role.kind, facts):
        raise PermissionDenied


async def grantable(who: Principal, view: View, rows: list[Row]) -> frozenset[tuple[str, int]]:
    """Return the objects, among those that roles on a page are about, whose roles one may give."""
    places: dict[str, set[int]] = {}
    for row in rows:
        if row["kind"] in RESOURCES:
            places.setdefault(row["kind"], set()).add(row["object_id"])
    found: set[tuple[str, int]] = set()
    for kind, ids in places.items():
        mine = visibility.visible(who, kind, "grant")
        these = Sql(text='{t}."id" = any({0}::bigint[])', values=(sorted(ids),))
        statement = Statement()
        condition = statement.condition(AllOf(parts=(these, mine)), "t")
        sql = f'select t."id" from "{kind}" t where {condition}'  # noqa: S608 - values are bound
        rows_found = () if who.read_only else await view.fetch(sql, *statement.args)
        found.update((kind, row["id"]) for row in rows_found)
    return frozenset(found)


async def misfit(who: Principal, view: View, role: ObjectRole, holder: Holder, facts: Facts) -> str:
    """Return why a credential is not shared with somebody; empty when it may be."""
    if role.kind != "credential":
        return ""
    sql = 'select t."organization" from "credential" t where t."id" = $1'
    organization = await view.value(sql, role.object_id)
    if holder.team:
        same = organization is not None and facts.ids.get(("organization",)) == organization
        return "" if same else FOREIGN_TEAM
    if organization is None:
        return "" if who.superuser else PRIVATE
    return "" if facts.superuser or organization in facts.organizations else FOREIGN
