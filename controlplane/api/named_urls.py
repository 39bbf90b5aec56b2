"""Names in place of ids in paths (``api.md`` 1.8): ``web++acme`` for acme's template web."""

from __future__ import annotations

import re
from urllib.parse import quote

from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, Compare, Related, Sql, Statement, Where
from controlplane.domain.numerals import whole
from controlplane.shell.read_model import Row, View
from schemas.resource import RESOURCES

_PLUS = re.compile(r"(?<!\[)\+\+(?!\])")
_SINGLE = re.compile(r"(?<!\[)\+(?!\])")

NAMED_ONLY = {"instance": ("hostname",)}
"""Named URLs of kinds that are not declared resources."""


def fields_of(kind: str) -> tuple[str, ...]:
    """Return the fields of a kind's named URL; empty when it has none."""
    if kind in RESOURCES:
        return RESOURCES[kind].named_url
    return NAMED_ONLY.get(kind, ())


def format_of(kind: str) -> str:
    """Return how a kind's named URL is made up: ``<name>++<organization.name>``."""
    return "++".join(
        "+".join(f"<{'.'.join((*path, name))}>" for name in names)
        for path, names in _groups(fields_of(kind))
    )


def references_of(kind: str) -> dict[str, str]:
    """Return the fields of a kind through which its named URL goes, and the kinds they lead to."""
    found: dict[str, str] = {}
    for path, _names in _groups(fields_of(kind)):
        if path:
            found[path[0]] = table_of(kind).relations[path[0]].table
    return found


async def resolve(view: View, kind: str, key: str) -> int | None:
    """Return the id that a path segment stands for; None when there is no such object.

    A segment of digits is always an id and is returned unchecked.
    """
    if key.isdecimal():
        return whole(key)
    fields = fields_of(kind)
    if not fields or "\x00" in key:
        return None
    groups = _groups(fields)
    parts = [_SINGLE.split(part) for part in _PLUS.split(key)]
    if len(parts) == 1:
        groups = groups[:1]
    if [len(part) for part in parts] != [len(names) for _, names in groups]:
        return None
    return await _only(view, kind, _match(kind, groups, parts))


def encode(kind: str, row: Row, names: dict[str, str]) -> str:
    """Return the named URL segment of a row; ``names`` holds the values beyond references."""
    return "++".join(
        "+".join(
            _escape(
                str(names.get(".".join((*path, name)), "") if path else row.get(name, "") or "")
            )
            for name in fields
        )
        for path, fields in _groups(fields_of(kind))
    )


def _groups(fields: tuple[str, ...]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Group dotted fields by the object they belong to, in order."""
    found: list[tuple[tuple[str, ...], list[str]]] = []
    for field in fields:
        *path, name = field.split(".")
        if found and found[-1][0] == tuple(path):
            found[-1][1].append(name)
        else:
            found.append((tuple(path), [name]))
    return found


def _match(
    kind: str, groups: list[tuple[tuple[str, ...], list[str]]], parts: list[list[str]]
) -> Where:
    conditions: list[Where] = []
    for (path, names), values in zip(groups, parts, strict=True):
        conditions.append(_at(kind, path, names, [_unescape(value) for value in values]))
    return AllOf(parts=tuple(conditions))


def _at(kind: str, path: tuple[str, ...], names: list[str], values: list[str]) -> Where:
    table = table_of(kind)
    if not path:
        return AllOf(
            parts=tuple(
                Compare(column=table.columns[name], lookup="exact", value=value)
                for name, value in zip(names, values, strict=True)
            )
        )
    if not any(values) and len(path) == 1:
        return Sql(text=f'{{t}}."{path[0]}" is null')
    relation = table.relations[path[0]]
    return Related(relation=relation, where=_at(relation.table, path[1:], names, values))


async def _only(view: View, kind: str, where: Where) -> int | None:
    statement = Statement()
    condition = statement.condition(where, "t")
    sql = f'select t."id" from {table_of(kind).source} t where {condition} limit 2'  # noqa: S608 - values are bound
    rows = await view.fetch(sql, *statement.args)
    return rows[0]["id"] if len(rows) == 1 else None


def _escape(text: str) -> str:
    return quote(text.replace("+", "[+]"), safe="[+] !$&'()*,:@~")


def _unescape(text: str) -> str:
    return text.replace("[+]", "+")
