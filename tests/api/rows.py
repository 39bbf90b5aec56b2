"""A read model without a log: the tables of every projection, filled as a test wants them.

Making the application registers the tables that are not declared.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

from controlplane.api import tables as filtered
from controlplane.api.tables import Table, table_of
from ops import ids, postgres
from projections import checkpoint
from projections.checkpoint import Connection
from projections.main import PROJECTIONS
from schemas.resource import RESOURCES
from tests.servers import PostgresServer
from tests.tidy.test_routes import application

WORDS = ("", "a", "B", "b_1", "50%", "ä", "x\\y", "12", "null", "web.example.org", "-3")
TEXTS = ('{"a": 1}', "---\na: 1", *WORDS)
BEGAN = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = date(2026, 11, 24)
COMPOSED = frozenset(
    {"activity_stream", "role_team_assignment", "role_user_assignment", "service_resource"}
)
"""Kinds whose rows are made of those of several tables: random ids would name several of them."""


def _kinds() -> tuple[str, ...]:
    """Return every kind that a filter can reach, once the routes are made."""
    application()
    found: set[str] = set()
    left = {*RESOURCES, *filtered._tables}
    while left:
        found |= left
        left = {each.table for kind in left for each in table_of(kind).relations.values()} - found
    return tuple(sorted(found))


KINDS = _kinds()
PLAIN = tuple(kind for kind in KINDS if kind not in COMPOSED)


@contextlib.asynccontextmanager
async def tables(server: PostgresServer) -> AsyncIterator[Connection]:
    """A database of its own with every projection's tables, empty; dropped at the end."""
    name = f"r{ids.new_id()}"
    admin = await asyncpg.connect(server.dsn)
    await admin.execute(f"create database {name}")
    dsn = server.dsn.rsplit("/", 1)[0] + f"/{name}"
    connection = await asyncpg.connect(dsn, **postgres.options(None))
    try:
        for projection in PROJECTIONS:
            await checkpoint.install(connection, projection)
        yield connection
    finally:
        await connection.close()
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


async def fill(connection: Connection, count: int, seed: int) -> None:
    """Put rows of random values into every table: ids and references from 1 to ``count``."""
    draw = random.Random(seed)
    await connection.execute(
        "create table if not exists job_event_day partition of job_event"
        " for values from ('2026-11-24') to ('2026-11-25')"
    )
    for name, columns in (await _columns(connection)).items():
        if name == "activity_hidden":
            continue  # its one row says what is hidden: nothing
        places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        names = ", ".join(f'"{column}"' for column, _, _ in columns)
        sql = f'insert into "{name}" ({names}) values ({places}) on conflict do nothing'
        alone = {u.fields[0] for u in RESOURCES[name].unique} if name in RESOURCES else set()
        rows = [
            [_value(draw, column, number, count, unique=column[0] in alone) for column in columns]
            for number in _numbers(name, count)
        ]
        await connection.executemany(sql, rows)


def _numbers(name: str, count: int) -> list[int]:
    """Return the ids of a table's rows: kinds that draw from one counter never share one."""
    sequence = RESOURCES[name].sequence if name in RESOURCES else name
    sharing = [kind for kind, each in RESOURCES.items() if each.sequence == sequence] or [name]
    first = sharing.index(name) + 1
    return [first + step * len(sharing) for step in range(count)]


async def _columns(connection: Connection) -> dict[str, list[tuple[str, str, bool]]]:
    """Return (name, type, nullable) of each column of each table that is filled."""
    found = await connection.fetch(
        "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull"
        " from pg_attribute a join pg_class c on c.oid = a.attrelid"
        " where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')"
        " and not c.relispartition and a.attnum > 0 and not a.attisdropped"
        " and a.attgenerated = '' and c.relname not like 'projection%' and c.relname <>"
        " 'checkpoint' order by 1, a.attnum"
    )
    by_table: dict[str, list[tuple[str, str, bool]]] = {}
    for row in found:
        column = (row["attname"], row["type"], not row["attnotnull"])
        by_table.setdefault(row["relname"], []).append(column)
    return by_table


def _value(
    draw: random.Random,
    column: tuple[str, str, bool],
    number: int,
    count: int,
    *,
    unique: bool = False,
) -> Any:
    name, kind, nullable = column
    if unique and kind == "text":
        return f"{draw.choice(WORDS)}{number}"
    if name == "id":
        return number
    if nullable and draw.random() < 0.3:
        return None
    if name == "kind":
        return draw.choice(("job", "project_update", "organization"))
    made: dict[str, Any] = {
        "bigint": draw.randint(1, count),
        "integer": draw.randint(1, count),
        "smallint": draw.randint(1, count),
        "text": draw.choice(TEXTS),
        "boolean": draw.random() < 0.5,
        "double precision": draw.choice((0.0, 1.5, -2.0)),
        "timestamp with time zone": BEGAN + timedelta(hours=draw.randint(0, 9)),
        "date": DAY,
        "jsonb": draw.choice(('{"a": 1}', "[]", '"a"', "{}")),
        "bigint[]": [draw.randint(1, count)],
        "text[]": [draw.choice(WORDS)],
        "bytea": b"x",
    }
    return made.get(kind, [])


async def seen(connection: Connection, table: Table) -> dict[int, dict[str, tuple[Any, Any]]]:
    """Return each row's values as (value, text) by column, as filters see them."""
    names = [name for name, column in table.columns.items() if not column.secret]
    picked = ", ".join(
        f'{table.columns[name].sql.format(t="t")} as "v{number}",'
        f' ({table.columns[name].sql.format(t="t")})::text as "t{number}"'
        for number, name in enumerate(names)
    )
    found = await connection.fetch(f'select t."id", {picked} from {table.source} t')
    return {
        row["id"]: {
            name: (row[f"v{number}"], row[f"t{number}"]) for number, name in enumerate(names)
        }
        for row in found
    }


async def related(connection: Connection, table: Table, name: str) -> set[tuple[int, int]]:
    """Return the pairs (row, related row) of a relation."""
    relation = table.relations[name]
    far = table_of(relation.table)
    on = relation.on.format(near="n", far="f")
    sql = f'select n."id" as n, f."id" as f from {table.source} n join {far.source} f on {on}'
    return {(row["n"], row["f"]) for row in await connection.fetch(sql)}


async def grow(connection: Connection, table: str, count: int, values: dict[str, str]) -> None:
    """Fill a table with many rows: ``values`` are expressions over the row's number ``n``.

    It is indexed afterwards, which takes a fraction of the time, each partition included.
    """
    plain = {
        "text": "''",
        "boolean": "false",
        "timestamp with time zone": f"'{BEGAN.isoformat()}'::timestamptz + n * interval '1 second'",
        "date": f"'{DAY}'::date",
        "jsonb": "'{}'::jsonb",
        "double precision": "0",
    }
    columns = (await _columns(connection))[table]
    made = {
        name: values.get(name)
        or ("null" if nullable and kind != "timestamp with time zone" else "")
        or plain.get(kind, "'{}'" if kind.endswith("[]") else "0")
        for name, kind, nullable in columns
    }
    made["id"] = "1000 + n"
    names = ", ".join(f'"{name}"' for name in made)
    picked = ", ".join(made.values())
    indexes = await connection.fetch(
        "select indexname, indexdef from pg_indexes where schemaname = current_schema()"
        " and tablename = $1 and indexdef not like 'CREATE UNIQUE%'",
        table,
    )
    for index in indexes:
        await connection.execute(f'drop index "{index["indexname"]}"')
    await connection.execute(
        f'insert into "{table}" ({names}) select {picked} from generate_series(1, {count}) n'
    )
    for index in indexes:
        await connection.execute(index["indexdef"].replace(" ON ONLY ", " ON "))
