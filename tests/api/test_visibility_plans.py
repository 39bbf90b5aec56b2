"""Lists of who sees little among much: found by indexes, whatever the role came by."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from controlplane.api import assignment_table, role_table, visibility
from controlplane.api.job_tables import register_job_tables
from controlplane.api.tables import table_of
from controlplane.api.where import Statement, Where
from controlplane.domain.access import Principal
from projections.checkpoint import Connection
from schemas.role_definitions import EXECUTE_OWN
from tests.api import rows
from tests.servers import PostgresServer

register_job_tables()
pytestmark = pytest.mark.asyncio(loop_scope="module")

PER_ORGANIZATION = 10
BIG = {
    **dict.fromkeys(("project", "job_template", "host", "unified_job"), 100_000),
    **dict.fromkeys(("organization", "team", "inventory", "credential", "user"), 20_000),
    "role_assignment": 20_000,
}
"""Table to its rows: a hundred thousand of what there may be most, enough of the others."""
REFERENCES = frozenset({"organization", "organization_id", "object_id", "user_id"})
VALUES = {
    "boolean": "false",
    "jsonb": "'{}'::jsonb",
    "ARRAY": "'{}'",
    "timestamp with time zone": "now()",
    "text": "'x' || n",
}
"""Type to the value of a column that may not be null."""

FEW = Principal(
    id=7,
    username="few",
    sees_users=False,
    grants={
        ("organization", 5): frozenset({"auditor", "awx.view_project"}),
        ("project", 11): frozenset({"use"}),
        ("inventory", 12): frozenset({"adhoc"}),
        ("job_template", 13): frozenset({EXECUTE_OWN}),
        ("job_template", 14): frozenset({"execute"}),
        ("credential", 15): frozenset({"awx.view_credential"}),
        ("team", 16): frozenset({"member"}),
    },
)
MEMBER = Principal(id=9, username="member", grants={("organization", 5): frozenset({"member"})})
NOBODY = Principal(id=8, username="nobody")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full(postgres_server: PostgresServer) -> AsyncIterator[Connection]:
    """A read model with many rows of each big kind, ten in an organization."""
    async with rows.tables(postgres_server) as connection:
        for name in BIG:
            await _fill(connection, name)
        yield connection


async def _fill(connection: Connection, name: str) -> None:
    """Fill a table first and index it then, which takes a fraction of the time."""
    found = await connection.fetch(
        "select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as made"
        " from pg_index i where i.indrelid = $1::text::regclass and not i.indisprimary"
        " and not exists (select 1 from pg_constraint c where c.conindid = i.indexrelid)",
        f'"{name}"',
    )
    drops = [f"drop index {row['name']}" for row in found]
    filling = await _filling(connection, name)
    makes = [row["made"] for row in found]
    unlogged = f'alter table "{name}" set unlogged'
    await connection.execute("; ".join([*drops, unlogged, filling, *makes, f'analyze "{name}"']))


async def _filling(connection: Connection, name: str) -> str:
    columns = await connection.fetch(
        "select column_name, data_type, is_nullable from information_schema.columns"
        " where table_schema = current_schema() and table_name = $1",
        name,
    )
    names = ", ".join(f'"{row["column_name"]}"' for row in columns)
    values = ", ".join(_value(name, row) for row in columns)
    return f'insert into "{name}" ({names}) select {values} from generate_series(1, {BIG[name]}) n'


def _value(name: str, row: Any) -> str:
    column = row["column_name"]
    if column in REFERENCES:
        return f"1 + n % {BIG[name] // PER_ORGANIZATION}"
    if column in ("id", "inventory", "project_id", "job_template_id", "definition"):
        return "n"
    if name == "role_assignment" and column in ("kind", "role"):
        return {"kind": "'organization'", "role": "'member'"}[column]
    if column == "kind":
        return "'job'"
    if row["is_nullable"] == "YES":
        return "null"
    return VALUES.get(row["data_type"], "0")


def statements(kind: str, where: Where) -> Iterator[tuple[str, list[Any]]]:
    """Yield a list's two statements as ``listing`` writes them: the count and a page."""
    source = table_of(kind).source
    counting = Statement()
    condition = counting.condition(where, "t")
    yield f"select count(*) from {source} t where {condition}", counting.args
    facts = visibility.fact_columns(kind)
    page = f'select t.*{facts} from {source} t where {condition} order by t."id" limit 25'
    yield page, counting.args


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the tables that a plan reads from end to end."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for below in plan.get("Plans", ()):
        yield from scans(below)


async def read_whole(connection: Connection, sql: str, args: list[Any]) -> set[str]:
    """Return the big tables that a statement reads from end to end."""
    plan = json.loads(await connection.fetchval(f"explain (format json) {sql}", *args))
    return set(scans(plan[0]["Plan"])) & set(BIG)


@pytest.mark.parametrize("who", [FEW, NOBODY], ids=lambda who: who.username)
@pytest.mark.parametrize(
    "kind",
    [
        *("organization", "team", "project", "inventory", "job_template", "credential", "host"),
        *("job", "unified_job", "unified_job_template"),
    ],
)
async def test_no_list_reads_a_big_table_whole(full: Connection, who: Principal, kind: str) -> None:
    """Of a hundred thousand rows only those that a role leads to are looked at."""
    for sql, args in statements(kind, visibility.visible(who, kind)):
        assert await read_whole(full, sql, args) == set(), sql
        found = await full.fetch(sql, *args)
        assert len(found) <= 25


EXPECTED = {
    "organization": 1,
    "team": 11,
    "project": 11,
    "inventory": 11,
    "job_template": 20,
    "credential": 11,
    "host": 11,
    "job": 19,
}


@pytest.mark.parametrize(("kind", "number"), EXPECTED.items())
async def test_who_holds_little_sees_little(full: Connection, kind: str, number: int) -> None:
    """What the organization has, its inventories' templates too, and what is held besides.

    Of the template that is run by own right the job that nobody launched is not seen.
    """
    count, _ = statements(kind, visibility.visible(FEW, kind))
    assert await full.fetchval(count[0], *count[1]) == number
    count, _ = statements(kind, visibility.visible(NOBODY, kind))
    assert await full.fetchval(count[0], *count[1]) == 0


async def test_users_roles_and_assignments_are_found_by_indexes(full: Connection) -> None:
    """Roles are rows of no table and yet are found through those of the objects they are on."""
    for kind, where in (
        ("user", visibility.visible(MEMBER, "user")),
        ("role", role_table.visible(FEW)),
        ("role", role_table.on_object("project", 11)),
        ("role_user_assignment", assignment_table.visible(MEMBER, "user")),
        ("role_team_assignment", assignment_table.visible(FEW, "team")),
    ):
        (sql, args), _ = statements(kind, where)
        assert await read_whole(full, sql, args) == set(), kind
