"""Who has access to an object, and how: all users with a role that reaches it (``api.md`` 1.12)."""

from __future__ import annotations

from typing import Any

from controlplane.api import listing, render
from controlplane.api.call import Call
from controlplane.api.links import url_of
from controlplane.api.listing import Found, Within
from controlplane.api.where import AnyOf, Sql, Where
from controlplane.domain import access
from controlplane.domain.access import Facts
from controlplane.shell.read_model import Row, View
from schemas import roles
from schemas.resource import RESOURCES


async def access_list(
    call: Call, view: View, kind: str, object_id: int, facts: Facts
) -> tuple[Found, list[dict[str, Any]]]:
    """Return a page of users with ``direct_access`` and ``indirect_access`` in their summaries."""
    reaching = _reaching(kind, facts)
    where = AnyOf(parts=(Sql(text='{t}."is_superuser"'), *_holding(reaching)))
    found = await listing.find(call, view, "user", Within(where=where))
    shown = await render.page(view, call.who, "user", found.rows)
    grants = await view.named("grants_of_users", [row["id"] for row in found.rows])
    names = await _names(view, reaching)
    for user, row in zip(shown, found.rows, strict=True):
        direct, indirect = _entries(row, grants, reaching, names, (kind, object_id))
        user["summary_fields"] |= {"direct_access": direct, "indirect_access": indirect}
    return found, shown


def _reaching(kind: str, facts: Facts) -> dict[tuple[str, int], set[str]]:
    """Return the objects, each with the roles on it, that give any access to the object."""
    reaching: dict[tuple[str, int], set[str]] = {}
    for role in access.PARENTS.get(kind, {}):
        for source in access.role_holders(kind, role):
            found = facts.ids.get(source.path)
            if found is not None:
                reaching.setdefault((source.kind, found), set()).add(source.role)
    return reaching


def _holding(reaching: dict[tuple[str, int], set[str]]) -> list[Where]:
    text = (
        '{t}."id" in (select g."user_id" from "role_grant" g where g."kind" = {0}'
        ' and g."object_id" = {1} and g."role" = any({2}::text[]))'
    )
    return [
        Sql(text=text, values=(kind, number, sorted(held)))
        for (kind, number), held in reaching.items()
    ]


async def _names(
    view: View, reaching: dict[tuple[str, int], set[str]]
) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for kind, number in reaching:
        sql = f'select t."name" from "{kind}" t where t."id" = $1'  # noqa: S608 - kinds from rules
        found[kind, number] = await view.value(sql, number) or ""
    return found


def _entries(
    user: Row,
    grants: list[Row],
    reaching: dict[tuple[str, int], set[str]],
    names: dict[tuple[str, int], str],
    target: tuple[str, int],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    direct: list[dict[str, Any]] = []
    indirect: list[dict[str, Any]] = []
    if user["is_superuser"]:
        indirect.append({"role": _system_administrator(), "descendant_roles": ["admin_role"]})
    for grant in grants:
        place = (grant["kind"], grant["object_id"])
        if grant["user_id"] != user["id"] or grant["role"] not in reaching.get(place, ()):
            continue
        entry = {
            "role": _role(place, grant["role"], names[place]),
            "descendant_roles": [roles.field_name(grant["role"])],
        }
        (direct if place == target else indirect).append(entry)
    return direct, indirect


def _role(place: tuple[str, int], role: str, name: str) -> dict[str, Any]:
    kind, number = place
    return {
        "id": roles.role_id(kind, number, role),
        "name": roles.NAMES[role],
        "description": roles.description(kind, role),
        "resource_name": name,
        "resource_type": kind,
        "related": {kind: url_of(kind, number)} if kind in RESOURCES else {},
        "user_capabilities": {"unattach": False},
    }


def _system_administrator() -> dict[str, Any]:
    name = "system_administrator"
    return {
        "id": roles.role_id(roles.SYSTEM, 0, name),
        "name": roles.NAMES[name],
        "description": roles.description(roles.SYSTEM, name),
        "user_capabilities": {"unattach": False},
    }
