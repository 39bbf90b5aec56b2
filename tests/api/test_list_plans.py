"""Lists are found by index: no page reads or sorts a whole table, however long it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from controlplane.api import filters, listing, pagination, visibility
from controlplane.api.event_routes import narrowed
from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, Sql, Statement
from projections.checkpoint import Connection
from schemas.resource import RESOURCES
from tests.api import rows
from tests.servers import PostgresServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 100_000
FEW = 2_000
"""A sort or scan of more rows than that is one of a whole table."""
COMPUTED = rows.COMPOSED | {"role", "job_event", "host_metric_summary_monthly"}
"""Kinds whose list is computed from others' rows, or is only ever read within a job."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grown(postgres_server: PostgresServer) -> AsyncIterator[Connection]:
    """A hundred thousand hosts and as many jobs, in twenty inventories of five organizations."""
    async with rows.tables(postgres_server) as connection:
        await rows.fill(connection, 20, seed=3)
        await rows.grow(
            connection,
            "host",
            MANY,
            {"name": "'host-' || n", "inventory": "n % 20 + 1", "enabled": "n % 2 = 0"},
        )
        await rows.grow(
            connection,
            "unified_job",
            MANY,
            {
                "name": "'job-' || n % 100",
                "kind": "case when n % 10 = 0 then 'project_update' else 'job' end",
                "status": "case when n % 50 = 0 then 'failed' else 'successful' end",
                "job_template_id": "n % 100 + 1",
                "unified_job_template_id": "n % 100 + 1",
                "project_id": "n % 20 + 1",
                "inventory_id": "n % 20 + 1",
                "organization_id": "n % 5 + 1",
            },
        )
        await rows.grow(
            connection,
            "job_event",
            MANY,
            {
                "job_day": f"'{rows.DAY}'::date",
                "attempt": "1",
                "event": "case when n % 20000 = 0 then 'runner_on_failed' else 'runner_on_ok' end",
                "host": "n % 100 + 1",
                "host_name": "'host-' || n % 100",
                "task": "'task-' || n / 1000",
                "uuid": "'uuid-' || n",
                "parent_uuid": "'parent-' || n / 1000",
                "failed": "n % 20000 = 0",
                "changed": "n % 5000 = 0",
            },
        )
        await connection.execute("analyze")
        yield connection


OF_ATTEMPT = '{t}."id" between 0 and 16777215 and {t}."job_day" = {0}'


@pytest.mark.parametrize(
    "query",
    [
        "task=task-7",
        "host_name=host-7",
        "host=7",
        "failed=true",
        "changed=true",
        "parent_uuid=parent-9",
        "event=runner_on_failed",
        "task=task-7&host_name=host-7&failed=true",
    ],
)
async def test_what_a_job_of_100_000_events_is_asked_for_is_found_by_index(
    grown: Connection, query: str
) -> None:
    """A task's, a host's or the failed events are counted and shown without reading the others."""
    pairs = [(name, value) for name, _, value in (p.partition("=") for p in query.split("&"))]
    table = table_of("job_event")
    within = Sql(text=OF_ATTEMPT, values=(rows.DAY,))
    asked = filters.condition(table, pairs)
    where = AllOf(parts=(within, *narrowed(0, pairs), asked))
    page = pagination.read(pairs)
    writing = listing._Writing(table, where, ('t."id"', filters.orderings(table, pairs)), page)
    statement = Statement()
    shown = writing._rows(statement, "limit 25 offset 0", backwards=False)
    for sql, values in ((shown, statement.args), (writing._count, writing._counting.args)):
        found = await plan(grown, sql, values)
        ranges = [
            each
            for each in nodes(found)
            if each["Node Type"] == "Seq Scan"
            or (each.get("Index Name", "").endswith("pkey") and each["Plan Rows"] > FEW)
            or each.get("Plan Rows", 0) > FEW
        ]
        assert ranges == [], json.dumps(found, indent=1)


def statement(kind: str, query: list[tuple[str, str]]) -> tuple[str, list[Any]]:
    """Return the statement of a page as a superuser asks it, and its values."""
    table = table_of(kind)
    where = filters.condition(table, query)
    order = ("", filters.orderings(table, query))
    page, asked = pagination.read(query), Statement()
    bounds = f"limit {page.size} offset {page.offset}"
    writing = listing._Writing(table, where, order, page)
    return writing._rows(asked, bounds, backwards=False), asked.args


async def plan(connection: Connection, sql: str, values: list[Any]) -> dict[str, Any]:
    """Return how Postgres will answer a statement."""
    told = await connection.fetchval(f"explain (format json) {sql}", *values)
    found: dict[str, Any] = json.loads(told)[0]["Plan"]
    return found


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return every step of a plan."""
    yield node
    for each in node.get("Plans", ()):
        yield from nodes(each)


def whole(node: dict[str, Any]) -> list[str]:
    """Return the steps that read or sort a whole long table."""
    return [
        f"{each['Node Type']} {each.get('Relation Name', '')} {each['Plan Rows']}"
        for each in nodes(node)
        if (each["Node Type"] == "Seq Scan" and each["Relation Name"] in ("host", "unified_job"))
        or (each["Node Type"] == "Sort" and each["Plans"][0]["Plan Rows"] > FEW)
    ]


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("host", ""),
        ("host", "order_by=-name"),
        ("host", "order_by=id"),
        ("host", "order_by=-id"),
        ("host", "order_by=-modified"),
        ("host", "order_by=created"),
        ("host", "name=host-7"),
        ("host", "inventory=3"),
        ("host", "inventory=3&name=host-7"),
        ("host", "inventory__name=a"),
        ("host", "inventory__organization=2"),
        ("host", "inventory__organization__name=a"),
        ("host", "enabled=true"),
        ("host", "name__startswith=host-9"),
        ("host", "groups=1"),
        ("host", "page=40&page_size=200"),
        ("job", ""),
        ("job", "order_by=-id"),
        ("job", "order_by=-finished"),
        ("job", "order_by=-created"),
        ("job", "name=job-7"),
        ("job", "inventory=3"),
        ("job", "organization=2"),
        ("job", "job_template=7"),
        ("job", "job_template__name=a"),
        ("job", "status=failed"),
        ("job", "status__in=running,pending"),
        ("project_update", ""),
        ("project_update", "project=3"),
        ("unified_job", ""),
        ("unified_job", "order_by=-finished"),
        ("unified_job", "type=job"),
        ("unified_job", "status=running"),
        ("unified_job", "unified_job_template=7&order_by=-id"),
        ("unified_job", "name=job-7"),
    ],
)
async def test_a_page_of_a_long_list_is_found_by_index(
    grown: Connection, kind: str, query: str
) -> None:
    """At 100,000 rows the planner itself chooses indexes for order and filters."""
    pairs = [
        (name, value) for name, _, value in (p.partition("=") for p in query.split("&")) if name
    ]
    found = await plan(grown, *statement(kind, pairs))
    assert whole(found) == [], json.dumps(found, indent=1)


@pytest.mark.parametrize("kind", sorted({*rows.KINDS} - COMPUTED))
async def test_every_list_has_an_index_for_its_order(grown: Connection, kind: str) -> None:
    """Where Postgres may neither scan nor sort, the first page of each list still needs neither."""
    sql, values = statement(kind, [])
    table = table_of(kind)
    async with grown.transaction():
        for name in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
            await grown.execute(f"set local {name} = off")
        cut = sql.replace(visibility.fact_columns(kind), "")
        found = await plan(grown, cut, values)
    steps = [each["Node Type"] for each in nodes(found)]
    assert "Sort" not in steps, (table.order, json.dumps(found, indent=1))


@pytest.mark.parametrize("kind", sorted(RESOURCES))
async def test_every_reference_and_name_is_indexed(grown: Connection, kind: str) -> None:
    """Filtering a declared kind by a reference or its name reads no more than what it finds."""
    resource = RESOURCES[kind]
    names = [field.name for field in resource.fields.values() if field.ref and not field.hidden]
    names += [
        each
        for each in ("name", "username", "created", "modified")
        if each in table_of(kind).columns
    ]
    async with grown.transaction():
        await grown.execute("set local enable_seqscan = off")
        for name in names:
            value = "2026-11-24T12:00:00Z" if name in ("created", "modified") else "1"
            sql = f'select 1 from "{kind}" t where '
            writing = Statement()
            sql += writing.condition(filters.condition(table_of(kind), [(name, value)]), "t")
            found = await plan(grown, sql, writing.args)
            used = [each for each in nodes(found) if "Index Cond" in each]
            assert used, (name, json.dumps(found, indent=1))
