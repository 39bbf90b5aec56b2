"""Object roles as rows: they are stored nowhere, every object of a kind with roles has them."""

from __future__ import annotations

from typing import Any

from controlplane.api import visibility
from controlplane.api.links import url_of
from controlplane.api.tables import Column, Relation, Table, column, register, table_of
from controlplane.api.where import AllOf, AnyOf, Related, Sql, Where
from controlplane.domain.access import Principal
from controlplane.shell.read_model import Row
from schemas import roles
from schemas.resource import RESOURCES

KINDS = tuple(kind for kind, resource in RESOURCES.items() if resource.roles)
"""Kinds whose objects have roles."""


def _source() -> str:
    """Return every role of every object as a sub-select."""
    number = f'o."id" * {roles.ROLES_PER_OBJECT} + r."code"'
    columns = f'{number} as "id", o."id" as "object_id", r."role", o."name" as "resource_name"'
    pieces = [
        f'select {columns}, \'{kind}\' as "kind" from "{kind}" o'  # noqa: S608 - names from declarations
        f' cross join (values {_values(kind)}) as r ("code", "role")'
        for kind in KINDS
    ]
    return f"({' union all '.join(pieces)})"


def _values(kind: str) -> str:
    return ", ".join(
        f"({roles.role_id(kind, 0, role)}, '{role}')" for role in RESOURCES[kind].roles
    )


def _object(kind: str) -> Relation:
    on = f'{{far}}."id" = {{near}}."object_id" and {{near}}."kind" = \'{kind}\''
    return Relation(name=kind, table=kind, on=on, many=False)


def _members() -> Relation:
    on = (
        '{far}."id" in (select g."user_id" from "role_grant" g where g."kind" = {near}."kind"'
        ' and g."object_id" = {near}."object_id" and g."role" = {near}."role")'
    )
    return Relation(name="members", table="user", on=on, many=True)


register(
    Table(
        kind="role",
        source=_source(),
        verbose="Role",
        columns={
            "id": column("id", "int"),
            "role_field": Column(name="role_field", base="str", sql="({t}.\"role\" || '_role')"),
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
    table = table_of("role")
    return AnyOf(
        parts=tuple(
            Related(relation=table.relations[kind], where=visibility.visible(who, kind))
            for kind in KINDS
        )
    )


def on_object(kind: str, object_id: int) -> Where:
    """Return the condition that the role is on one object."""
    return Sql(text='{t}."kind" = {0} and {t}."object_id" = {1}', values=(kind, object_id))


def held_by(user: int) -> Where:
    """Return the condition that a user holds the role directly."""
    text = (
        'exists (select 1 from "role_grant" g where g."user_id" = {0} and g."kind" = {t}."kind"'
        ' and g."object_id" = {t}."object_id" and g."role" = {t}."role")'
    )
    return Sql(text=text, values=(user,))


def render(row: Row, *, unattach: bool | None = None) -> dict[str, Any]:
    """Return a role's row as shown; ``unattach`` adds whether the caller may take it away."""
    kind, object_id, role = row["kind"], row["object_id"], row["role"]
    summary: dict[str, Any] = {
        "resource_name": row["resource_name"],
        "resource_type": kind,
        "resource_type_display_name": RESOURCES[kind].verbose,
        "resource_id": object_id,
    }
    if unattach is not None:
        summary["user_capabilities"] = {"unattach": unattach}
    url = url_of("role", row["id"])
    return {
        "id": row["id"],
        "type": "role",
        "url": url,
        "related": {"users": f"{url}users/", kind: url_of(kind, object_id)},
        "summary_fields": summary,
        "name": roles.NAMES[role],
        "description": roles.description(kind, role),
    }
