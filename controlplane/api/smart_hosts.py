"""Hosts by a ``host_filter``: whom a smart inventory is made of, computed each time it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, assert_never

from controlplane.api import filters
from controlplane.api.call import Call
from controlplane.api.errors import BadRequest, Refusal
from controlplane.api.tables import Relation, table_of
from controlplane.api.where import AllOf, AnyOf, Compare, FirstOf, Related, Sql, Statement, Where
from controlplane.domain import host_filter
from controlplane.domain.host_filter import Every, Filter, NotAFilter, Some, Term
from controlplane.shell.read_model import Row, View


def condition(text: str) -> Where:
    """Return what a filter asks of a host; raises NotAFilter, for unknown names too."""
    try:
        return _where(host_filter.parse(text))
    except Refusal as error:
        raise NotAFilter(f"Invalid query {text}") from error


def of_inventory(inventory: Row) -> Where:
    """Return which hosts a smart inventory has: of its organization, each name once."""
    inside = Related(
        relation=table_of("host").relations["inventory"],
        where=Compare(
            column=table_of("inventory").columns["organization"],
            lookup="exact",
            value=inventory["organization"],
        ),
    )
    try:
        asked = condition(inventory["host_filter"])
    except NotAFilter:
        return AnyOf(parts=())  # its names have gone since it was written: nothing has them
    parts = (asked, inside)
    return FirstOf(table="host", by="name", where=AllOf(parts=parts))


async def members(call: Call) -> Where | None:
    """Return which hosts the smart inventory has that a request is about; None for other kinds."""
    async with call.read() as view:
        row = await view.named_row("inventory_for_script", call.target.id)
    return of_inventory(row) if row is not None and row["kind"] == "smart" else None


def selection(inventory: Row) -> tuple[str, Sequence[Any]]:
    """Return a statement, with its arguments, that selects the ids of a smart inventory's hosts."""
    statement = Statement()
    where = statement.condition(of_inventory(inventory), "h")
    return f'select h."id" from "host" h where {where}', statement.args  # noqa: S608 - values are bound


def containing(host: int, inventories: Iterable[Row]) -> Where:
    """Return which of these smart inventories have a host."""
    this = Relation(name="host", table="host", on=f'{{far}}."id" = {host}', many=True)
    number = table_of("inventory").columns["id"]
    return AnyOf(
        parts=tuple(
            AllOf(
                parts=(
                    Compare(column=number, lookup="exact", value=each["id"]),
                    Related(relation=this, where=of_inventory(each)),
                )
            )
            for each in inventories
        )
    )


async def counts(view: View, inventories: Sequence[Row]) -> dict[int, Row]:
    """Return how many hosts smart inventories have, and how many failed: one query for all."""
    if not inventories:
        return {}
    statement = Statement()
    parts = []
    for each in inventories:
        number = statement.bind(each["id"])
        where = statement.condition(of_inventory(each), "h")
        parts.append(
            f'select {number}::bigint as "id", count(*) as "total",'  # noqa: S608 - values are bound
            ' count(*) filter (where l."failed") as "failed" from "host" h'
            f' left join "host_last_job" l on l."host" = h."id" where {where}'
        )
    rows = await view.fetch(" union all ".join(parts), *statement.args)
    return {row["id"]: row for row in rows}


def _where(asked: Filter) -> Where:
    match asked:
        case Term(name=name, value=value):
            if name.partition("__")[0] == host_filter.FACTS:
                return AnyOf(parts=tuple(map(_with_fact, host_filter.facts_holding(name, value))))
            if name.endswith("__int"):
                raise BadRequest(f"{name} may fail on any host")
            return filters.single(table_of("host"), name, value)
        case Every(parts=parts):
            return AllOf(parts=tuple(map(_where, parts)))
        case Some(parts=parts):
            return AnyOf(parts=tuple(map(_where, parts)))
        case _:
            assert_never(asked)


def _with_fact(wanted: str) -> Where:
    """Return that a host's facts hold what this JSON says."""
    held = (
        'exists (select 1 from "host_facts" f where f."host" = {t}."id"'
        ' and f."facts" @> {0}::text::jsonb)'
    )
    return Sql(text=held, values=(wanted,))
