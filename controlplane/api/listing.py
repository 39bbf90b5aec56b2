"""One page of a list: the rows the caller may see, filtered, ordered and counted in Postgres."""

from __future__ import annotations

import asyncpg
from msgspec import Struct

from controlplane.api import filters, pagination, seen_filters, smart_hosts, visibility
from controlplane.api.call import Call
from controlplane.api.errors import BadRequest
from controlplane.api.filters import Ordering
from controlplane.api.pagination import Page
from controlplane.api.tables import Table, table_of
from controlplane.api.where import AllOf, Statement, Where
from controlplane.domain.host_filter import NotAFilter
from controlplane.shell.read_model import STATEMENT_TIMEOUT_MS, Row, View

REGEX_TIMEOUT_MS = 2_000
TOO_LONG = (
    f"The regular expression took longer than {REGEX_TIMEOUT_MS // 1000} seconds and was given up."
)

REFUSED = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, ValueError)
"""What Postgres, or its driver, says of values that no row can have."""


class Within(Struct, frozen=True, kw_only=True):
    """Which rows of a kind a list is about."""

    where: Where
    open_list: bool = False
    """``where`` says alone who sees what, as for one's own tokens."""
    first: str = ""
    """SQL that the rows are ordered by unless the request names an order; empty for none."""
    same: frozenset[str] = frozenset()
    """Values of ``order_by`` that come to the order of ``first`` among these rows."""
    count: int | None = None
    """How many rows that is, where it is known without counting; of no use once filtered."""


class Found(Struct, frozen=True, kw_only=True):
    """One page of rows, each with the facts that the access rules need."""

    page: Page
    count: int
    rows: list[Row]


async def find(
    call: Call,
    view: View,
    kind: str,
    within: Within | None = None,
    *,
    open_list: bool = False,
) -> Found:
    """Return the page a request asks for of the visible rows of a kind that are ``within``.

    ``open_list``: ``within`` says alone who sees what, as for one's own tokens.

    Raises BadRequest for filters that make no sense and 404 for pages that cannot exist.
    """
    table = table_of(kind)
    shown = open_list or (within is not None and within.open_list)
    parts: list[Where] = [] if shown else [visibility.visible(call.who, kind)]
    if within is not None:
        parts.append(within.where)
    asked = filters.condition(
        table, call.pairs, lambda role: visibility.holding(call.who, kind, role)
    )
    if kind == "host" and (text := call.parameter("host_filter")):
        asked = AllOf(parts=(asked, _filtered(text)))
    known = within.count if within is not None and asked == AllOf(parts=()) else None
    everything = AllOf(parts=(*parts, seen_filters.seen(call.who, asked)))
    page = pagination.read(call.pairs, call.path)
    order = tuple(
        seen_filters.ordering(call.who, key) for key in filters.orderings(table, call.pairs)
    )
    first = "" if within is None else within.first
    same = within.same if within is not None else ()
    if any(name in ("order_by", "order") and value not in same for name, value in call.pairs):
        first = ""
    writing = _Writing(table, everything, (first, order), page)
    try:
        if writing.regex:
            await view.limit(REGEX_TIMEOUT_MS)
        found = await writing.read(view, known)
        if writing.regex:
            await view.limit(STATEMENT_TIMEOUT_MS)
    except REFUSED as error:
        raise BadRequest(str(error)) from error
    except asyncpg.QueryCanceledError as error:
        if writing.regex:
            raise BadRequest(TOO_LONG) from error
        raise
    return found


def _filtered(text: str) -> Where:
    try:
        return smart_hosts.condition(text)
    except NotAFilter as error:
        raise BadRequest({"error": str(error)}) from error


class _Writing:
    """The statements of one page: how many rows there are, and those of the page."""

    def __init__(
        self, table: Table, where: Where, order: tuple[str, tuple[Ordering, ...]], page: Page
    ) -> None:
        self._table = table
        self._where = where
        self._order = order
        self._page = page
        self._counting = Statement()
        condition = self._counting.condition(where, "t")
        self._count = f"select count(*) from {table.source} t where {condition}"  # noqa: S608 - values are bound

    @property
    def regex(self) -> bool:
        """Whether a regular expression of the caller's is matched."""
        return self._counting.regex

    async def read(self, view: View, known: int | None = None) -> Found:
        """Return the page; ``known`` is how many rows there are, where nobody need count.

        A page behind the middle is read from the end, so that no page skips more than half.
        """
        page, count = self._page, known or 0
        if page.counted and known is None:
            count = await view.value(self._count, *self._counting.args)
        size, skipped, backwards = page.size, page.offset, False
        if count // 2 < page.offset < count:
            size = min(page.size, count - page.offset)
            skipped, backwards = count - page.offset - size, True
        statement = Statement()
        sql = self._rows(statement, f"limit {size} offset {skipped}", backwards=backwards)
        rows = await view.fetch(sql, *statement.args)
        return Found(page=page, count=count, rows=rows[::-1] if backwards else rows)

    def _rows(self, statement: Statement, bounds: str, *, backwards: bool) -> str:
        condition = statement.condition(self._where, "t")
        return _rows(statement, self._table, condition, (*self._order, backwards), bounds)


def _rows(
    statement: Statement,
    table: Table,
    condition: str,
    order: tuple[str, tuple[Ordering, ...], bool],
    bounds: str,
) -> str:
    first, named, backwards = order
    turned = first.removesuffix(" desc") if first.endswith(" desc") else f"{first} desc"
    keys = [turned if backwards else first] if first else []
    keys += [_order_key(statement, key, backwards=backwards) for key in named]
    order_by = ", ".join(keys)
    facts = "" if table.wide else visibility.fact_columns(table.kind)
    cut = f" order by {order_by} {bounds}"
    picked = condition
    if table.wide:
        ids = f'select t."id" from {table.source} t where {condition}{cut}'  # noqa: S608 - as below
        picked, cut = f'{condition} and t."id" = any(array({ids}))', f" order by {order_by}"
    return f"select t.*{facts} from {table.source} t where {picked}{cut}"  # noqa: S608 - values are bound


def _order_key(statement: Statement, key: Ordering, *, backwards: bool) -> str:
    """Return one sort key; the smallest related value where there are several.

    ``backwards`` turns it round, empty values too: Postgres has these last, or first of ``desc``.
    """
    expression = key.column.sql
    alias = "t"
    wrappers: list[tuple[str, str]] = []
    limits = key.limits or (AllOf(parts=()),) * len(key.path)
    for relation, limit in zip(key.path, limits, strict=True):
        far = statement.alias()
        join = f"{relation.on.format(near=alias, far=far)} and {statement.condition(limit, far)}"
        wrappers.append((f"{table_of(relation.table).source} {far}", join))
        alias = far
    sql = expression.format(t=alias)
    for index, (source, join) in enumerate(reversed(wrappers)):
        picked = f"min({sql})" if index == 0 else sql
        sql = f"(select {picked} from {source} where {join} limit 1)"  # noqa: S608 - names from declarations
    return f"{sql} desc" if key.descending != backwards else sql
