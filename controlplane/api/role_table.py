"""Object roles as rows: they are stored nowhere, every object of a kind with roles has them."""

from __future__ import annotations

from typing import Any

from controlplane.api import visibility
from controlplane.api.links import url_of
from controlplane.api.tables import Column, Relation, Table, column, register
from controlplane.api.where import AllOf, Among, AnyOf, Sql, Where
from controlplane.domain.access import Principal
from controlplane.shell.read_model import Row
from schemas import roles
from schemas.resource import RESOURCES

KINDS = tuple(kind for kind, resource in RESOURCES.items() if resource.roles)
"""Kinds whose objects have roles."""
SYSTEM_ROLES = ("system_administrator", "system_auditor")


def _source() -> str:
    """Return every role of every object as a sub-select."""
    number = f'o."id" * {roles.ROLES_PER_OBJECT} + r."code"'
    columns = f'{number} as "id", o."id" as "object_id", r."role", o."name" as "resource_name"'
    pieces = [
        f'select {columns}, \'{kind}\' as "kind" from "{kind}" o'  # noqa: S608 - names from declarations
        f' cross join (values {_values(kind)}) as r ("code", "role")'
        for kind in KINDS
    ]
    pieces += [
        f"select {roles.role_id(roles.SYSTEM, 0, role)}, 0::bigint, '{role}', '', '{roles.SYSTEM}'"
        for role in SYSTEM_ROLES
    ]
    return f"({' union all '.join(pieces)})"


def _values(kind: str) -> str:
    return ", ".join(
        f"({roles.role_id(kind, 0, role)}, '{role}')" for role in RESOURCES[kind].roles
    )


def _object(kind: str) -> Relation:
    on = f'{{far}}."id" = {{near}}."object_id" and {{near}}."kind" = \'{kind}\''
    return Relation(name=kind, table=kind, on=on, many=False)


_HELD = (
    'exists (select 1 from "role_assignment" a where a."{holder}_id" = {id}'
    ' and a."kind" = {near}."kind" and a."object_id" = {near}."object_id"'
    ' and a."role" = {near}."role")'
)
_FLAGS = (
    '({near}."role" = \'system_administrator\' and {far}."is_superuser"'
    ' or {near}."role" = \'system_auditor\' and {far}."is_system_auditor")'
)


def _members() -> Relation:
    held = _HELD.replace("{holder}", "user").replace("{id}", '{far}."id"')
    return Relation(name="members", table="user", on=f"({held} or {_FLAGS})", many=True)


_FIELD = f"({{t}}.\"role\" || case when {{t}}.\"kind\" = '{roles.SYSTEM}' then '' else '_role' end)"

register(
    Table(
        kind="role",
        source=_source(),
        verbose="Role",
        columns={
            "id": column("id", "int"),
            "role_field": Column(name="role_field", base="str", sql=_FIELD),
            "object_id": column("object_id", "int"),
            "content_type__model": Column(
                name="content_type__model", base="str", sql="replace({t}.\"kind\", '_', '')"
            ),
        },
        relations={"members": _members(), **{kind: _object(kind) for kind in KINDS}},
        order=("id",),
        search=("role_field", "content_type__model"),
    )
)


def visible(who: Principal) -> Where:
    """Return the condition that the role is on an object the caller may read."""
    if who.superuser or who.auditor:
        return AllOf(parts=())
    return AnyOf(parts=tuple(visible_on(who, kind) for kind in KINDS))


def visible_on(who: Principal, kind: str) -> Where:
    """Return the condition that a row is about an object of a kind the caller may read.

    The kind is a constant, so that parts of a union about other kinds fall away.
    """
    of_kind = Sql(text=f"{{t}}.\"kind\" = '{kind}'")
    seen = Among(column='{t}."object_id"', kind=kind, where=visibility.visible(who, kind))
    return AllOf(parts=(of_kind, seen))


def on_object(kind: str, object_id: int) -> Where:
    """Return the condition that the role is on one object."""
    return Sql(text='{t}."kind" = {0} and {t}."object_id" = {1}', values=(kind, object_id))


def exactly(kind: str, object_id: int, role: str) -> Where:
    """Return the condition that it is this role."""
    text = f'{{t}}."kind" = \'{kind}\' and {{t}}."object_id" = {{0}} and {{t}}."role" = {{1}}'
    return Sql(text=f"({text})", values=(object_id, role))


def held_by(holder: str, number: int) -> Where:
    """Return the condition that a ``user`` or a ``team`` holds the role directly."""
    text = _HELD.replace("{holder}", holder).replace("{id}", "{0}").replace("{near}", "{t}")
    held = Sql(text=text, values=(number,))
    if holder != "user":
        return held
    flags = _FLAGS.replace("{near}", "{t}").replace("{far}", "u")
    text = f'exists (select 1 from "user" u where u."id" = {{0}} and {flags})'  # noqa: S608 - constants
    return AnyOf(parts=(held, Sql(text=text, values=(number,))))


def render(row: Row, *, unattach: bool | None = None) -> dict[str, Any]:
    """Return a role's row as shown; ``unattach`` adds whether the caller may take it away."""
    kind, object_id, role = row["kind"], row["object_id"], row["role"]
    summary: dict[str, Any] = {}
    url = url_of("role", row["id"])
    related = {"users": f"{url}users/", "teams": f"{url}teams/"}
    if kind in RESOURCES:
        related[kind] = url_of(kind, object_id)
        summary = {
            "resource_name": row["resource_name"],
            "resource_type": kind,
            "resource_type_display_name": RESOURCES[kind].verbose,
            "resource_id": object_id,
        }
    if unattach is not None:
        summary["user_capabilities"] = {"unattach": unattach}
    return {
        "id": row["id"],
        "type": "role",
        "url": url,
        "related": related,
        "summary_fields": summary,
        "name": roles.NAMES[role],
        "description": roles.description(kind, role),
    }
