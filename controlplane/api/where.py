"""Conditions of list queries as values, and their SQL with every value bound."""

from __future__ import annotations

from typing import Any, assert_never

from msgspec import Struct

from controlplane.api.tables import Column, Relation, table_of


class Compare(Struct, frozen=True, kw_only=True):
    """One column against one value by an AWX lookup (``exact``, ``icontains``, ``in``, ...)."""

    column: Column
    lookup: str
    value: Any
    as_int: bool = False


class Related(Struct, frozen=True, kw_only=True):
    """At least one related row meets a condition."""

    relation: Relation
    where: Where


class Among(Struct, frozen=True, kw_only=True):
    """A column holds the id of one of the rows of a table that meet a condition.

    Says what ``Related`` says where these rows are few: they are found first, all at once, so that
    an index on the column serves even beside other conditions joined by *or*.
    """

    column: str
    """SQL of the column, ``{t}`` being the table."""
    kind: str
    where: Where


class AllOf(Struct, frozen=True, kw_only=True):
    """Every part holds; true when there is none."""

    parts: tuple[Where, ...]


class AnyOf(Struct, frozen=True, kw_only=True):
    """Some part holds; false when there is none."""

    parts: tuple[Where, ...]


class Without(Struct, frozen=True, kw_only=True):
    """The part does not hold; unknown (null) counts as not holding."""

    part: Where


class FirstOf(Struct, frozen=True, kw_only=True):
    """The row is, by its id, the first of those that share a value and meet a condition."""

    table: str
    by: str
    where: Where


class Sql(Struct, frozen=True, kw_only=True):
    """A condition written by the program: ``{t}`` is the table, ``{0}``, ``{1}`` its values."""

    text: str
    values: tuple[Any, ...] = ()


Where = Compare | Related | Among | AllOf | AnyOf | Without | FirstOf | Sql

TYPES = {
    "str": "text",
    "json": "text",
    "int": "bigint",
    "id": "bigint",
    "bool": "boolean",
    "float": "double precision",
    "time": "timestamptz",
}
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
PATTERNS = {
    "contains": ("like", "%", "%"),
    "icontains": ("ilike", "%", "%"),
    "startswith": ("like", "", "%"),
    "istartswith": ("ilike", "", "%"),
    "endswith": ("like", "%", ""),
    "iendswith": ("ilike", "%", ""),
    "iexact": ("ilike", "", ""),
}
REGEXES = {"regex": "~", "iregex": "~*"}


class Statement:
    """A query being written: its bound values in order, and fresh table aliases."""

    def __init__(self) -> None:
        """Start without values."""
        self.args: list[Any] = []
        self._aliases = 0
        self.regex = False
        """Whether it matches by regular expression, which may take for ever."""

    def bind(self, value: Any) -> str:
        """Bind a value and return its placeholder."""
        self.args.append(value)
        return f"${len(self.args)}"

    def alias(self) -> str:
        """Return an alias no other table of the statement has."""
        self._aliases += 1
        return f"t{self._aliases}"

    def condition(self, where: Where, alias: str) -> str:
        """Return the SQL of a condition on the row called ``alias``."""
        match where:
            case Compare():
                return self._compare(where, alias)
            case Related(relation=relation, where=inner):
                far = self.alias()
                join = relation.on.format(near=alias, far=far)
                source = f"{table_of(relation.table).source} {far}"
                rows = f"select 1 from {source} where {join} and {self.condition(inner, far)}"  # noqa: S608 - values are bound
                return f"exists ({rows})"
            case Among(column=column, kind=kind, where=inner):
                far = self.alias()
                source = f"{table_of(kind).source} {far}"
                ids = f'select {far}."id" from {source} where {self.condition(inner, far)}'  # noqa: S608 - values are bound
                return f"{column.format(t=alias)} = any(array({ids}))"
            case AllOf(parts=parts):
                return _joined([self.condition(part, alias) for part in parts], "and", "true")
            case AnyOf(parts=parts):
                return _joined([self.condition(part, alias) for part in parts], "or", "false")
            case Without(part=part):
                return f"({self.condition(part, alias)}) is not true"
            case FirstOf():
                return self._first(where, alias)
            case Sql(text=text, values=values):
                return text.format(*(self.bind(value) for value in values), t=alias)
            case _:
                assert_never(where)

    def _first(self, where: FirstOf, alias: str) -> str:
        one = self.alias()
        source = f"{table_of(where.table).source} {one}"
        inner = self.condition(where.where, one)
        rows = (
            f'select distinct on ({one}."{where.by}") {one}."id" from {source} where {inner}'  # noqa: S608 - values are bound
            f' order by {one}."{where.by}", {one}."id"'
        )
        return f'{alias}."id" in ({rows})'

    def _compare(self, where: Compare, alias: str) -> str:
        column, value = where.column, where.value
        expression = column.sql.format(t=alias)
        kind = "bigint" if where.as_int else TYPES[column.base]
        if where.as_int:
            expression = f"cast({expression} as bigint)"
        if where.lookup == "isnull":
            return f"{expression} is {'' if value else 'not '}null"
        if where.lookup == "in":
            return f"{expression} = any({self.bind(value)}::{kind}[])"
        if where.lookup in PATTERNS:
            operator, before, after = PATTERNS[where.lookup]
            pattern = f"{before}{_escape(str(value))}{after}"
            return f"{_text(expression, column)} {operator} {self.bind(pattern)}"
        if where.lookup in REGEXES:
            self.regex = True
            return f"{_text(expression, column)} {REGEXES[where.lookup]} {self.bind(value)}"
        operator = COMPARISONS.get(where.lookup, "=")
        return f"{expression} {operator} {self.bind(value)}::{kind}"


def _text(expression: str, column: Column) -> str:
    return expression if column.base in ("str", "json") else f"{expression}::text"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _joined(parts: list[str], word: str, empty: str) -> str:
    if not parts:
        return empty
    if len(parts) == 1:
        return parts[0]
    return "(" + f" {word} ".join(parts) + ")"
