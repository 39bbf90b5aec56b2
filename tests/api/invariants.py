"""What must hold of the tables of CONFIG whatever was done, said by the declarations alone."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg

from projections.cascade import COUNTED
from projections.tables import links, quoted
from schemas.resource import RESOURCES, members
from schemas.resources.workflow_job_template_node import KIND as NODE
from schemas.resources.workflow_job_template_node import NEXT

_HELD = (
    ("role_assignment", "user_id", "user"),
    ("role_assignment", "team_id", "team"),
    ("role_assignment", "definition", "role_definition"),
    ("token", "user_id", "user"),
    ("token", "application", "application"),
)
"""(table, column, kind) of references that no declaration tells of; 0 is nobody."""


async def broken(pool: asyncpg.Pool[asyncpg.Record]) -> list[str]:
    """Return what does not hold: references and links to nothing, doubles, cycles, wrong counts."""
    found = []
    for name, sql in (*_dangling(), *_doubled(), *_cyclic(), *_miscounted()):
        rows = [tuple(row) for row in await pool.fetch(sql)]
        if rows:
            found.append(f"{name}: {rows[:5]}")
    return found


def _dangling() -> Iterator[tuple[str, str]]:
    for kind, resource in RESOURCES.items():
        for field in resource.fields.values():
            if field.ref is not None:
                yield _to_nothing(kind, field.name, members(field.ref.kind))
    for link in links():
        table = link.table.strip('"')
        yield _to_nothing(table, "id", (link.kind,))
        yield _to_nothing(table, "target", (link.target_kind,))
    for table, column, kind in _HELD:
        yield _to_nothing(table, column, (kind,))
    for kind in RESOURCES:
        name, sql = _to_nothing("role_assignment", "object_id", (kind,))
        yield f"{name} of {kind}", f"{sql} AND t.kind = '{kind}'"


def _to_nothing(table: str, column: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    there = " UNION ALL ".join(f"SELECT id FROM {quoted(kind)}" for kind in kinds)
    sql = (
        f"SELECT t.{quoted(column)} FROM {quoted(table)} t WHERE t.{quoted(column)} <> 0"
        f" AND t.{quoted(column)} NOT IN ({there})"
    )
    return f"{table}.{column} leads to nothing", sql


def _doubled() -> Iterator[tuple[str, str]]:
    """Doubles with a null are left out: two organizations' templates may become nobody's."""
    for kind, resource in RESOURCES.items():
        for unique in resource.unique:
            names = ", ".join(quoted(each) for each in unique.fields)
            there = " AND ".join(f"{quoted(each)} IS NOT NULL" for each in unique.fields)
            sql = f"SELECT {names} FROM {quoted(kind)} WHERE {there}"
            yield f"{kind} twice", f"{sql} GROUP BY {names} HAVING count(*) > 1"


def _cyclic() -> Iterator[tuple[str, str]]:
    edges = " UNION ALL ".join(f"SELECT id, target FROM {quoted(f'{NODE}_{n}')}" for n in NEXT)
    for name, pairs in (("groups", "SELECT id, target FROM group_children"), ("nodes", edges)):
        sql = (
            f"WITH RECURSIVE edge AS ({pairs}), path (start, at) AS (SELECT id, target FROM edge"
            " UNION SELECT path.start, edge.target FROM path JOIN edge ON edge.id = path.at)"
            " SELECT start FROM path WHERE start = at"
        )
        yield f"a cycle of {name}", sql


def _miscounted() -> Iterator[tuple[str, str]]:
    for kind, column in COUNTED.items():
        sql = (
            f"SELECT i.id, i.{column} FROM inventory i WHERE i.{column} <>"
            f" (SELECT count(*) FROM {quoted(kind)} t WHERE t.inventory = i.id)"
        )
        yield f"inventory.{column}", sql
