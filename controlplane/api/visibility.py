"""The access rules as conditions of list queries, and the facts they need of single objects."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, Among, AnyOf, Sql, Where
from controlplane.domain import access
from controlplane.domain.access import Facts, Principal, Source
from controlplane.shell.read_model import Row, View
from schemas.resource import members

MANAGED_IN_WORDS = frozenset({"role_definition"})
"""Kinds whose managed objects are refused by a rule that says so, not as a matter of rights."""

NAME_MAX = 58
_POWERFUL = 'select u."id" from "user" u where u."is_superuser" or u."is_system_auditor"'
_MEMBERS = (
    'select m."user_id" from "role_assignment" m'
    " where m.\"kind\" = 'organization' and m.\"role\" in ('member', 'admin')"
    ' and m."object_id" = any({1}::bigint[])'
)
_USERS = " or ".join(
    ['({t}."id" = {0}', *(f'{{t}}."id" = any(array({each}))' for each in (_POWERFUL, _MEMBERS))]
)


def visible(who: Principal, kind: str, verb: str = "read") -> Where:
    """Return the condition that somebody may do ``verb`` to a row of ``kind``.

    Every part of it compares a column with ids known beforehand, so that an index finds the rows.
    """
    if who.superuser or (verb == "read" and access.may_list_all(who, kind)):
        return AllOf(parts=())
    if kind == "user":
        organizations = sorted({number for of, number in who.grants if of == "organization"})
        return Sql(text=f"{_USERS})", values=(who.id, organizations))
    if members(kind) != (kind,):
        return AnyOf(parts=tuple(_member(who, each, verb) for each in members(kind)))
    parts = list(_granted(who, kind, access.holders(kind, verb)))
    if verb == "read" and kind in access.OPEN_WITHOUT:
        parts.append(Sql(text=f'{{t}}."{access.OPEN_WITHOUT[kind]}" is null'))
    return AnyOf(parts=tuple(parts))


def _member(who: Principal, kind: str, verb: str) -> Where:
    """Return the condition on a row of several kinds: the constant lets the others fall away."""
    this = Sql(text=f"{{t}}.\"kind\" = '{kind}'")
    seen = Among(column='{t}."id"', kind=kind, where=visible(who, kind, verb))
    return AllOf(parts=(this, seen))


def holding(who: Principal, kind: str, role: str) -> Where:
    """Return the condition that somebody holds an object role, for ``role_level``."""
    if who.superuser:
        return AllOf(parts=())
    return AnyOf(parts=tuple(_granted(who, kind, access.role_holders(kind, role))))


def granted(who: Principal, kind: str) -> Where:
    """Return the condition that a role of somebody's lets them read a row, not that all may."""
    return AnyOf(parts=tuple(_granted(who, kind, access.holders(kind, "read"))))


def _granted(who: Principal, kind: str, sources: Iterable[Source]) -> Iterable[Where]:
    """Yield a condition for each place where the caller holds something that suffices."""
    held: dict[tuple[tuple[str, ...], tuple[str, ...]], set[int]] = {}
    for source in sources:
        numbers = who.where(source.kind, source.role)
        if numbers:
            held.setdefault((source.path, source.creator), set()).update(numbers)
    for (path, creator), ids in held.items():
        yield _reached(kind, path, creator, (sorted(ids), who.id))


def reached(kind: str, path: tuple[str, ...], ids: list[int]) -> Where:
    """Return the condition that a path of references ends at one of some ids."""
    return _reached(kind, path, (), (ids, 0))


def _reached(
    kind: str, path: tuple[str, ...], creator: tuple[str, ...], values: tuple[list[int], int]
) -> Where:
    """Return the condition that a path ends at one of some ids, and was created by a user."""
    column = _column(kind, path[0] if path else "id")
    where: Where = Sql(text=f"{column} = any({{0}}::bigint[])", values=values[:1])
    there = table_of(kind).relations[path[0]].table if len(path) > 1 else ""
    if there and path[1] in members(there):
        there, path, creator = path[1], (path[0], *path[2:]), (*creator[:1], *creator[2:])
    if len(path) > 1:
        inner = _reached(there, path[1:], creator[1:], values)
        where = Among(column=column, kind=there, where=inner)
    if len(creator) == 1:
        mine = Sql(text=f"{_column(kind, creator[0])} = {{0}}", values=values[1:])
        where = AllOf(parts=(where, mine))
    return where


def _column(kind: str, name: str) -> str:
    """Return the SQL of a column, which may be one that is not shown."""
    known = table_of(kind).columns
    return known[name].sql if name in known else f'{{t}}."{name}"'


@functools.cache
def fact_columns(kind: str) -> str:
    """Return select-list expressions, each preceded by a comma, for the facts of rows called t."""
    columns = [f', {path_sql(kind, path)} as "{alias(path)}"' for path in access.paths(kind)]
    if kind == "user":
        columns.append(
            ', array(select m."object_id" from "role_assignment" m where m."user_id" = t."id"'
            " and m.\"kind\" = 'organization' and m.\"role\" in ('member', 'admin'))"
            ' as "@organizations"'
        )
    return "".join(columns)


def alias(path: tuple[str, ...]) -> str:
    """Return the name of a fact's column; Postgres cuts names off at 63 characters."""
    name = ".".join(path)
    if len(name) > NAME_MAX:
        name = f"{name[-NAME_MAX:]}{len(name)}"
    return f"@{name}"


def facts_of(kind: str, row: Row) -> Facts:
    """Return the facts of a row selected with ``fact_columns``."""
    ids: dict[tuple[str, ...], int | None] = {(): row["id"]}
    for path in access.paths(kind):
        ids[path] = row[alias(path)]
    if kind == "user":
        return Facts(
            ids=ids,
            organizations=frozenset(row["@organizations"]),
            superuser=bool(row["is_superuser"] or row["is_system_auditor"]),
        )
    managed = bool(row.get("managed")) and kind not in MANAGED_IN_WORDS
    return Facts(ids=ids, managed=managed)


async def load(view: View, kind: str, object_id: int) -> Facts | None:
    """Return the facts of one object; None when there is no such object."""
    sql = f'select t.*{fact_columns(kind)} from {table_of(kind).source} t where t."id" = $1'  # noqa: S608 - names from declarations
    row = await view.row(sql, object_id)
    return None if row is None else facts_of(kind, row)


def path_sql(kind: str, path: tuple[str, ...], near: str = "t", depth: int = 0) -> str:
    """Return the expression of the column at the end of a path of fields."""
    if len(path) == 1:
        return table_of(kind).columns[path[0]].sql.format(t=near)
    relation = table_of(kind).relations[path[0]]
    far = f"p{depth}"
    inner = path_sql(relation.table, path[1:], far, depth + 1)
    join = relation.on.format(near=near, far=far)
    return f"(select {inner} from {table_of(relation.table).source} {far} where {join})"  # noqa: S608 - names from declarations
