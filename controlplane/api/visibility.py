"""The access rules as conditions of list queries, and the facts they need of single objects."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, AnyOf, Related, Sql, Where
from controlplane.domain import access
from controlplane.domain.access import Facts, Principal, Source
from controlplane.shell.read_model import Row, View

VERBS = ("read", "edit", "delete", "use", "start", "schedule", "copy", "adhoc", "update", "cancel")

_GRANTED = (
    '{t}."id" in (select g."object_id" from "role_grant" g'
    ' where g."user_id" = {0} and g."kind" = {1} and g."role" = any({2}::text[]))'
)
_USERS = (
    '({t}."id" = {0} or {t}."is_superuser" or {t}."id" in ('
    'select m."user_id" from "role_grant" m where m."kind" = \'organization\''
    " and m.\"role\" in ('member', 'admin')"
    ' and m."object_id" in (select g."object_id" from "role_grant" g'
    ' where g."user_id" = {0} and g."kind" = \'organization\')))'
)


def visible(who: Principal, kind: str, verb: str = "read") -> Where:
    """Return the condition that somebody may do ``verb`` to a row of ``kind``."""
    if who.superuser or (verb == "read" and access.may_list_all(who, kind)):
        return AllOf(parts=())
    if kind == "user":
        return Sql(text=_USERS, values=(who.id,))
    parts = [*_granted(who, kind, access.holders(kind, verb))]
    if verb == "read" and kind in access.OPEN_WITHOUT:
        parts.append(Sql(text=f'{{t}}."{access.OPEN_WITHOUT[kind]}" is null'))
    return AnyOf(parts=tuple(parts))


def holding(who: Principal, kind: str, role: str) -> Where:
    """Return the condition that somebody holds an object role, for ``role_level``."""
    if who.superuser:
        return AllOf(parts=())
    return AnyOf(parts=tuple(_granted(who, kind, access.role_holders(kind, role))))


def granted(who: Principal, kind: str) -> Where:
    """Return the condition that a role of somebody's lets them read a row, not that all may."""
    return AnyOf(parts=tuple(_granted(who, kind, access.holders(kind, "read"))))


def _granted(who: Principal, kind: str, sources: Sequence[Source]) -> list[Where]:
    here: dict[str, list[str]] = {}
    below: dict[str, list[Source]] = {}
    for source in sources:
        if source.path:
            shorter = Source(path=source.path[1:], kind=source.kind, role=source.role)
            below.setdefault(source.path[0], []).append(shorter)
        else:
            here.setdefault(source.kind, []).append(source.role)
    found: list[Where] = [
        Sql(text=_GRANTED, values=(who.id, of, roles)) for of, roles in here.items()
    ]
    for field, inner in below.items():
        relation = table_of(kind).relations[field]
        parts = _granted(who, relation.table, inner)
        found.append(Related(relation=relation, where=AnyOf(parts=tuple(parts))))
    return found


@functools.cache
def fact_paths(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the paths whose ids the facts of a kind hold."""
    needed = {path for path in access.paths(kind, VERBS) if path}
    if kind in access.OPEN_WITHOUT:
        needed.add((access.OPEN_WITHOUT[kind],))
    return tuple(sorted(needed))


@functools.cache
def fact_columns(kind: str) -> str:
    """Return select-list expressions, each preceded by a comma, for the facts of rows called t."""
    columns = [f', {path_sql(kind, path)} as "@{".".join(path)}"' for path in fact_paths(kind)]
    if kind == "user":
        columns.append(
            ', array(select m."object_id" from "role_grant" m where m."user_id" = t."id"'
            " and m.\"kind\" = 'organization' and m.\"role\" in ('member', 'admin'))"
            ' as "@organizations"'
        )
    return "".join(columns)


def facts_of(kind: str, row: Row) -> Facts:
    """Return the facts of a row selected with ``fact_columns``."""
    ids: dict[tuple[str, ...], int | None] = {(): row["id"]}
    for path in fact_paths(kind):
        ids[path] = row[f"@{'.'.join(path)}"]
    if kind == "user":
        return Facts(
            ids=ids,
            organizations=frozenset(row["@organizations"]),
            superuser=bool(row["is_superuser"] or row["is_system_auditor"]),
        )
    return Facts(ids=ids, managed=bool(row.get("managed")))


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
