"""What a deletion takes along, as statements.

Children by cascade, links, grants, emptied references.

The ids that go are collected in the table ``doomed``, kind by kind from the root downwards; it is
empty again at the end. Everything is computed from the rows as they stand at that position, so a
rebuild does the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from projections.projection import Run
from projections.tables import links, quoted
from schemas.resource import RESOURCES, members

DDL = "CREATE TABLE doomed (kind text, id bigint, PRIMARY KEY (kind, id))"

_ROOTS = """
INSERT INTO doomed (kind, id) SELECT DISTINCT $1::text, gone FROM unnest($2::bigint[]) AS gone
"""

COUNTED = {
    "host": "total_hosts",
    "group": "total_groups",
    "inventory_source": "total_inventory_sources",
}
"""Kinds that an inventory counts, and the column it does so in."""

_GROUP_ROOTS = """
INSERT INTO doomed (kind, id)
WITH RECURSIVE down (id) AS (
    SELECT $1::bigint
    UNION SELECT child.target FROM group_children child JOIN down ON child.id = down.id
), kept (id) AS (
    SELECT child.target FROM group_children child
    WHERE child.target <> $1 AND child.target IN (SELECT id FROM down)
      AND child.id NOT IN (SELECT id FROM down)
    UNION SELECT child.target FROM group_children child JOIN kept ON child.id = kept.id
)
SELECT 'group', id FROM (SELECT id FROM down EXCEPT SELECT id FROM kept) AS gone
"""
"""A group takes its descendants along, save those that are also below a group that stays."""

_GROUP_HOSTS = """
INSERT INTO doomed (kind, id)
SELECT DISTINCT 'host', member.target FROM group_hosts member
WHERE member.id IN (SELECT id FROM doomed WHERE kind = 'group')
  AND NOT EXISTS (
    SELECT 1 FROM group_hosts other
    WHERE other.target = member.target
      AND other.id NOT IN (SELECT id FROM doomed WHERE kind = 'group')
  )
"""
"""Hosts that are in no group that stays."""

_COUNTS = """
UPDATE inventory SET {column} = {column} - gone.number
FROM (
    SELECT inventory, count(*) AS number FROM {table}
    WHERE id IN (SELECT id FROM doomed WHERE kind = '{kind}') GROUP BY inventory
) AS gone
WHERE inventory.id = gone.inventory
"""


@functools.cache
def order(root: str) -> tuple[tuple[str, str, str], ...]:
    """Return (kind, field, parent kind) of every cascade below a kind, parents before children."""
    edges = [
        (kind, field.name, parent)
        for kind, resource in RESOURCES.items()
        for field in resource.fields.values()
        if field.ref is not None and field.ref.on_delete == "cascade"
        for parent in members(field.ref.kind)
    ]
    depth = {root: 0}
    for _ in RESOURCES:
        for kind, _field, parent in edges:
            if parent in depth:
                depth[kind] = max(depth.get(kind, 0), depth[parent] + 1)
    below = [edge for edge in edges if edge[2] in depth]
    return tuple(sorted(below, key=lambda edge: depth[edge[0]]))


def delete(kind: str, ids: Sequence[int], position: int) -> Iterator[Run]:
    """Yield the statements that remove resources of a kind and all that goes with them.

    Groups go one by one: what the next one takes along depends on what the last one left.
    """
    if kind == "group" and len(ids) > 1:
        for number in ids:
            yield from delete(kind, [number], position)
        return
    yield from _doom(kind, ids)
    kinds = tuple(dict.fromkeys([kind, *(child for child, _, _ in order(kind))]))
    if kind == "group":
        kinds = ("group", "host")
    if kind in COUNTED:
        for child in kinds:
            if child in COUNTED:
                sql = _COUNTS.format(column=COUNTED[child], table=quoted(child), kind=child)
                yield Run(sql=sql)
    yield from _links(kinds)
    for each in kinds:
        yield Run(sql=f"DELETE FROM {quoted(each)} WHERE id IN ({_doomed(each)})")
    yield from _references(kinds, position)
    yield from _grants(kinds)
    if "application" in kinds:
        yield Run(sql=f"DELETE FROM token WHERE application IN ({_doomed('application')})")
    if "user" in kinds:
        yield Run(sql=f"DELETE FROM token WHERE user_id IN ({_doomed('user')})")
    yield Run(sql="DELETE FROM doomed")


def _grants(kinds: tuple[str, ...]) -> Iterator[Run]:
    yield Run(
        sql="DELETE FROM role_assignment USING doomed"
        " WHERE role_assignment.kind = doomed.kind AND role_assignment.object_id = doomed.id"
    )
    for kind, column in (
        ("user", "user_id"),
        ("team", "team_id"),
        ("role_definition", "definition"),
    ):
        if kind in kinds:
            yield Run(sql=f"DELETE FROM role_assignment WHERE {column} IN ({_doomed(kind)})")


def _doom(kind: str, ids: Sequence[int]) -> Iterator[Run]:
    if kind == "group":
        yield Run(sql=_GROUP_ROOTS, args=(*ids,))
        yield Run(sql=_GROUP_HOSTS)
        return
    yield Run(sql=_ROOTS, args=(kind, list(ids)))
    for child, field, parent in order(kind):
        yield Run(
            sql=f"INSERT INTO doomed (kind, id) SELECT '{child}', id FROM {quoted(child)}"
            f" WHERE {quoted(field)} IN ({_doomed(parent)}) ON CONFLICT DO NOTHING"
        )


def _links(kinds: tuple[str, ...]) -> Iterator[Run]:
    for link in links():
        conditions = [
            f"{column} IN ({_doomed(of)})"
            for column, of in (("id", link.kind), ("target", link.target_kind))
            if of in kinds
        ]
        for condition in conditions:
            yield Run(sql=f"DELETE FROM {link.table} WHERE {condition}")


def _references(kinds: tuple[str, ...], position: int) -> Iterator[Run]:
    for kind, resource in RESOURCES.items():
        for field in resource.fields.values():
            if field.ref is None or field.ref.on_delete != "set_null":
                continue
            column = quoted(field.name)
            for gone in members(field.ref.kind):
                if gone in kinds:
                    yield Run(
                        sql=f"UPDATE {quoted(kind)} SET {column} = NULL, position = $1"
                        f" WHERE {column} IN ({_doomed(gone)})",
                        args=(position,),
                    )


def _doomed(kind: str) -> str:
    return f"SELECT id FROM doomed WHERE kind = '{kind}'"
