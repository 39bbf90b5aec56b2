"""Tables of declared resources, derived from their declarations; identifiers are always quoted.

A kind's table is named by the kind (``"group"`` and ``"user"`` are words of SQL: hence the quotes).
A relation that is kept by links has a table ``<kind>_<relation>``; one whose links are role grants
has a view of the same shape, so that a reader need not know the difference.
"""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

import schemas.resources  # noqa: F401 - declares every kind
from schemas.resource import RESOURCES, Field, Related, Resource

COLUMN_TYPES = {
    "id": "bigint",
    "str": "text",
    "int": "bigint",
    "bool": "boolean",
    "float": "double precision",
    "time": "timestamptz",
}
SYSTEM_COLUMNS = ("id", "created", "modified", "created_by", "modified_by", "position")
"""Columns of every resource table that are no fields of it.

``position`` is that of the last change.
"""
_encoder = msgspec.json.Encoder()


class Link(Struct, frozen=True, kw_only=True):
    """A many-to-many relation kept by links: rows (id of ``kind``, target of ``target_kind``)."""

    kind: str
    relation: str
    target_kind: str

    @property
    def table(self) -> str:
        """Return its quoted table name."""
        return quoted(f"{self.kind}_{self.relation}")


def quoted(name: str) -> str:
    """Return a name as a SQL identifier."""
    return f'"{name}"'


def columns(resource: Resource) -> tuple[str, ...]:
    """Return the columns of a kind's table in order: the system's, then one per field."""
    return (*SYSTEM_COLUMNS, *resource.fields)


def column_type(field: Field) -> str:
    """Return the SQL type of a field's column."""
    if field.base == "json":
        return "text" if field.json is not None and field.json.form == "text" else "jsonb"
    return COLUMN_TYPES[field.base]


def column_value(field: Field, value: Any) -> Any:
    """Return a stored field value as the argument its column takes (JSON values as JSON text)."""
    if column_type(field) == "jsonb":
        return _encoder.encode(value).decode()
    if field.base == "time" and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


@functools.cache
def links() -> tuple[Link, ...]:
    """Return every relation that has a table of links."""
    return tuple(
        Link(kind=kind, relation=related.name, target_kind=related.kind)
        for kind, resource in RESOURCES.items()
        for related in resource.related
        if related.kept
    )


def grant_views() -> tuple[tuple[str, Related], ...]:
    """Return (kind, relation) of every relation whose links are role grants."""
    return tuple(
        (kind, related)
        for kind, resource in RESOURCES.items()
        for related in resource.related
        if related.role
    )


def ddl() -> list[str]:
    """Return the statements that make the tables, indexes and views of all declared resources."""
    statements: list[str] = []
    for resource in RESOURCES.values():
        statements += _table(resource)
    for link in links():
        statements += [
            (
                f"CREATE TABLE {link.table} (id bigint NOT NULL, target bigint NOT NULL,"
                " position bigint NOT NULL, PRIMARY KEY (id, target))"
            ),
            f"CREATE INDEX ON {link.table} (target)",
        ]
    return statements


def views() -> list[str]:
    """Return the statements for relations kept as role grants, over ``role_assignment``."""
    return [
        f"CREATE VIEW {quoted(f'{kind}_{related.name}')} AS SELECT object_id AS id,"
        " user_id AS target, min(position) AS position FROM role_assignment"
        f" WHERE kind = '{kind}' AND role = '{related.role}' AND user_id > 0"
        " GROUP BY object_id, user_id"
        for kind, related in grant_views()
    ]


def names() -> list[str]:
    """Return the names, unquoted, of the tables that ``ddl`` makes."""
    return [*RESOURCES, *(f"{link.kind}_{link.relation}" for link in links())]


def _table(resource: Resource) -> list[str]:
    table = quoted(resource.kind)
    lines = [
        "id bigint PRIMARY KEY",
        "created timestamptz NOT NULL",
        "modified timestamptz NOT NULL",
        "created_by bigint",
        "modified_by bigint",
        "position bigint NOT NULL",
    ]
    for field in resource.fields.values():
        null = "" if field.nullable else " NOT NULL"
        lines.append(f"{quoted(field.name)} {column_type(field)}{null}")
    return [
        f"CREATE TABLE {table} ({', '.join(lines)})",
        *(f"CREATE INDEX ON {table} ({', '.join(each)})" for each in _indexes(resource)),
    ]


def _indexes(resource: Resource) -> list[tuple[str, ...]]:
    """Choose indexes: references, unique fields with references first, what lists are ordered by.

    An order ends with the id, as every list's does.
    """
    found: list[tuple[str, ...]] = []
    for unique in resource.unique:
        refs = [name for name in unique.fields if resource.fields[name].ref is not None]
        rest = [name for name in unique.fields if name not in refs]
        found.append((*refs, *rest))
    found += [(field.name,) for field in resource.fields.values() if field.ref is not None]
    orders = [resource.order[0].removeprefix("-")]
    orders += [name for name in ("name", "username") if name in resource.fields]
    orders += ["created", "modified"] if resource.has_created else []
    found += [(name, "id") for name in orders if name != "id"]
    return [tuple(quoted(name) for name in each) for each in dict.fromkeys(found)]
