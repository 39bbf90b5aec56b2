"""Filters, orders and searches of every table against a plain evaluation of the same in memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api import filters, listing
from controlplane.api.errors import Refusal
from controlplane.api.tables import Column, Table, table_of
from controlplane.api.where import Statement
from projections.checkpoint import Connection
from tests.api import rows
from tests.servers import PostgresServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 8
QUICK = settings(max_examples=150)
LOOKUPS = sorted(filters.LOOKUPS - {"search"})
MODES = ("", "not__", "or__", "or__not__", "chain__", "chain__not__")
REGEXES = ("a", "^$", "[0-9]+", "b.1", "^a|B$")
Values = dict[int, dict[str, tuple[Any, Any]]]


class World:
    """Every table's rows, as they are in Postgres and as a plain evaluation sees them."""

    def __init__(self, connection: Connection, values: dict[str, Values]) -> None:
        self.connection = connection
        self.values = values
        self._pairs: dict[tuple[str, str], set[tuple[int, int]]] = {}

    async def pairs(self, table: Table, relation: str) -> set[tuple[int, int]]:
        """Return the pairs of a relation, read once."""
        key = (table.kind, relation)
        if key not in self._pairs:
            self._pairs[key] = await rows.related(self.connection, table, relation)
        return self._pairs[key]

    async def found(self, table: Table, pairs: list[tuple[str, str]]) -> set[int]:
        """Return the ids that a query finds in Postgres."""
        statement = Statement()
        condition = statement.condition(filters.condition(table, pairs), "t")
        sql = f'select t."id" from {table.source} t where {condition}'
        return {row["id"] for row in await self.connection.fetch(sql, *statement.args)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(postgres_server: PostgresServer) -> AsyncIterator[World]:
    """Rows of random values in every table there is."""
    async with rows.tables(postgres_server) as connection:
        await rows.fill(connection, COUNT, seed=7)
        values = {kind: await rows.seen(connection, table_of(kind)) for kind in rows.KINDS}
        yield World(connection, values)


def plain_columns(table: Table) -> list[Column]:
    """Return the columns that may be filtered by."""
    return [column for column in table.columns.values() if not column.secret]


def text_test(lookup: str, wanted: str) -> Callable[[str], bool]:
    """Return what a lookup of text asks of a value."""
    low = wanted.lower()
    return {
        "iexact": lambda text: text.lower() == low,
        "contains": lambda text: wanted in text,
        "icontains": lambda text: low in text.lower(),
        "startswith": lambda text: text.startswith(wanted),
        "istartswith": lambda text: text.lower().startswith(low),
        "endswith": lambda text: text.endswith(wanted),
        "iendswith": lambda text: text.lower().endswith(low),
        "regex": lambda text: re.search(wanted, text) is not None,
        "iregex": lambda text: re.search(wanted, text, re.IGNORECASE) is not None,
    }[lookup]


def holds(column: Column, lookup: str, wanted: str, value: tuple[Any, Any]) -> bool:
    """Return whether one value meets a lookup: what is null meets none but isnull."""
    native, text = value
    if lookup == "isnull":
        return (native is None) == (wanted == "true")
    if (
        wanted in ("null", "none")
        and lookup in ("exact", "iexact")
        and column.base
        not in (
            "str",
            "json",
        )
    ):
        return native is None
    if native is None:
        return False
    if lookup == "in":
        return any(native == given_as(column, each) for each in wanted.split(","))
    if lookup in ("exact", "gt", "gte", "lt", "lte"):
        other = given_as(column, wanted)
        left: Any
        right: Any
        left, right = (native, other) if column.base != "str" else (native.encode(), other.encode())
        compared: dict[str, bool] = {
            "exact": left == right,
            "gt": left > right,
            "gte": left >= right,
            "lt": left < right,
            "lte": left <= right,
        }
        return compared[lookup]
    return text_test(lookup, wanted)(text)


def given_as(column: Column, wanted: str) -> Any:
    """Return what a query's text means for a column."""
    return filters._convert(column.base, wanted, column.name)


async def searched(world: World, table: Table, words: list[str]) -> set[int]:
    """Return the rows in which each word stands in some searched field, perhaps a related one."""
    found = set(world.values[table.kind])
    for word in words:
        fit: set[int] = set()
        for name in table.search:
            path, _, column = name.rpartition("__") if name not in table.columns else ("", "", name)
            far = table_of(table.relations[path].table) if path else table
            there = {
                number
                for number, row in world.values[far.kind].items()
                if word in (row.get(column, (None, None))[1] or "").lower()
            }
            pairs = await world.pairs(table, path) if path else {(each, each) for each in there}
            fit |= {near for near, other in pairs if other in there}
        found &= fit
    return found


def status_of(table: Table, pairs: list[tuple[str, str]]) -> int:
    """Return the status that filters are refused with, 0 when they are taken."""
    try:
        filters.condition(table, pairs)
    except Refusal as refusal:
        return refusal.status
    return 0


@st.composite
def terms(draw: st.DrawFn, world: World, table: Table) -> tuple[str, str, str, Column, str, str]:
    """Draw (mode, relation, name, column, lookup, value) of one filter."""
    relation = draw(st.sampled_from(["", "", *sorted(table.relations)]))
    far = table_of(table.relations[relation].table) if relation else table
    column = draw(st.sampled_from(plain_columns(far)))
    lookup = draw(st.sampled_from(LOOKUPS))
    values = [row[column.name] for row in world.values[far.kind].values()]
    texts = [text for _, text in values if text is not None]
    texts = texts or [{"time": "2026-11-24T12:00:00Z", "bool": "true"}.get(column.base, "1")]
    wanted = draw(st.sampled_from(texts))
    if lookup == "isnull":
        wanted = draw(st.sampled_from(("true", "false")))
    elif lookup in ("regex", "iregex"):
        wanted = draw(st.sampled_from(REGEXES))
    elif lookup == "in":
        wanted = ",".join(draw(st.lists(st.sampled_from(texts), min_size=1, max_size=3))) or "x"
    elif lookup not in ("exact", "gt", "gte", "lt", "lte"):
        wanted = wanted[draw(st.integers(0, 2)) :]
    mode = draw(st.sampled_from(MODES))
    path = f"{relation}__" if relation else ""
    return mode, relation, f"{mode}{path}{column.name}__{lookup}", column, lookup, wanted


async def expected(world: World, table: Table, drawn: list[Any]) -> set[int]:
    """Evaluate filters row by row: related rows must meet all plain terms of a relation at once."""
    everything = set(world.values[table.kind])
    met = set(everything)
    either: set[int] | None = None
    shared: dict[str, set[int]] = {}
    for mode, relation, _, column, lookup, wanted in drawn:
        far = table.relations[relation].table if relation else table.kind
        fit = {
            number
            for number, row in world.values[far].items()
            if holds(column, lookup, wanted, row[column.name])
        }
        if relation and not mode:
            shared[relation] = shared.get(relation, set(world.values[far])) & fit
            continue
        if relation:
            fit = {near for near, other in await world.pairs(table, relation) if other in fit}
        if "not__" in mode:
            fit = everything - fit
        if mode.startswith("or__"):
            either = fit if either is None else either | fit
        else:
            met &= fit
    for relation, fit in shared.items():
        met &= {near for near, other in await world.pairs(table, relation) if other in fit}
    return met if either is None else met & either


@given(data=st.data())
@QUICK
async def test_filters_find_what_a_plain_evaluation_finds(world: World, data: Any) -> None:
    """One to three terms over any columns, relations, lookups and prefixes of any table."""
    table = table_of(data.draw(st.sampled_from(rows.PLAIN)))
    drawn = [data.draw(terms(world, table)) for _ in range(data.draw(st.integers(1, 3)))]
    pairs = [(name, wanted) for _, _, name, _, _, wanted in drawn]
    assert status_of(table, pairs) == 0, (table.kind, pairs)
    found = await world.found(table, pairs)
    assert found == await expected(world, table, drawn), (table.kind, pairs)


@pytest.mark.parametrize("kind", rows.KINDS)
async def test_every_column_takes_every_lookup(world: World, kind: str) -> None:
    """No column and no value makes Postgres answer anything that is not refused as a 400."""
    table = table_of(kind)
    for column in plain_columns(table):
        for value in (
            "a",
            "1",
            "null",
            "2026-11-24T12:00:00Z",
            "true",
            "9999-12-31T23:59:59-23:00",
        ):
            pairs = []
            for lookup in LOOKUPS:
                term = (f"or__{column.name}__{lookup}", value)
                status = status_of(table, [term])
                assert status in (0, 400)
                pairs += [] if status else [term]
            with contextlib.suppress(*listing.REFUSED):
                await world.found(table, pairs)


@pytest.mark.parametrize("kind", rows.PLAIN)
async def test_every_column_orders(world: World, kind: str) -> None:
    """Each column sorts the rows, both ways and through each relation, and loses none."""
    table = table_of(kind)
    keys = [column.name for column in plain_columns(table)]
    keys += [f"{name}__id" for name in table.relations]
    for key in keys:
        for sign in ("", "-"):
            statement = Statement()
            order = filters.orderings(table, [("order_by", f"{sign}{key}")])
            by = ", ".join(listing._order_key(statement, each, backwards=False) for each in order)
            found = [
                row["id"]
                for row in await world.connection.fetch(
                    f'select t."id" from {table.source} t order by {by}'
                )
            ]
            assert sorted(found) == sorted(world.values[kind]), key
            if key in table.columns:
                values = [world.values[kind][number][key][0] for number in found]
                shown = [value for value in values if value is not None]
                if table.columns[key].base in ("int", "id", "time", "float", "bool"):
                    assert shown == sorted(shown, reverse=bool(sign)), (kind, sign, key)


@pytest.mark.parametrize("kind", rows.PLAIN)
async def test_search_finds_words_in_searched_fields(world: World, kind: str) -> None:
    """``search`` is every word in some searched field, and through a relation in those there."""
    table = table_of(kind)
    for word in ("a", "B 1", "example,web"):
        wanted = re.split(r"[\s,]+", word.lower())
        fit = await searched(world, table, wanted)
        assert await world.found(table, [("search", word)]) == fit
        for name, relation in table.relations.items():
            there = await searched(world, table_of(relation.table), wanted)
            near = {n for n, f in await world.pairs(table, name) if f in there}
            assert await world.found(table, [(f"{name}__search", word)]) == near, name


@pytest.mark.parametrize("kind", rows.KINDS)
async def test_secrets_are_refused_from_everywhere(kind: str) -> None:
    """No lookup, prefix, relation or order reaches a column that holds secrets: 403."""
    table = table_of(kind)
    ways = [(table, "")] + [(table_of(r.table), f"{n}__") for n, r in table.relations.items()]
    for far, path in ways:
        for column in far.columns.values():
            if not column.secret:
                continue
            for name in (f"{path}{column.name}", f"or__not__{path}{column.name}__regex"):
                with pytest.raises(Refusal) as refused:
                    filters.condition(table, [(name, "x")])
                assert refused.value.status == 403
                assert refused.value.body == {
                    "detail": f"Filtering on {column.name} is not allowed."
                }
            with pytest.raises(Refusal) as refused:
                filters.orderings(table, [("order_by", f"-{path}{column.name}")])
            assert refused.value.status == 403


async def test_what_is_secret_in_part_is_secret_to_filters() -> None:
    """Credential inputs, passwords, survey answers, keys and tokens are never filtered by."""
    for kind, name in (
        ("user", "password"),
        ("credential", "inputs"),
        ("job", "extra_vars"),
        ("job_template", "extra_vars"),
        ("job_template", "host_config_key"),
    ):
        assert table_of(kind).columns[name].secret, (kind, name)


@pytest.mark.parametrize(
    "pair",
    [
        ("name__regex", "("),
        ("name__regex", "(a{1,255}){1,255}"),
        ("name__gt__int", "1"),
        ("created", "9999-12-31T23:59:59-23:00"),
    ],
)
async def test_what_postgres_refuses_is_told_from_its_failures(
    world: World, pair: tuple[str, str]
) -> None:
    """A broken expression, words for a number and a time beyond time are the caller's mistakes."""
    with pytest.raises(listing.REFUSED):
        await world.found(table_of("host"), [pair])
