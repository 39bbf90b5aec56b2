"""The query string of a list in AWX's grammar, as conditions and an order (``api.md`` 1.7).

``field__lookup``, relations by ``__``, ``not__``, ``or__``, ``chain__``, ``search``,
``rel__search``, ``role_level`` and ``order_by``. Raises BadRequest with AWX's texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from controlplane.api.errors import BadRequest, PermissionDenied
from controlplane.api.tables import Column, Relation, Table, table_of
from controlplane.api.where import AllOf, AnyOf, Compare, Related, Where, Without

RESERVED = frozenset(
    [
        "page",
        "page_size",
        "format",
        "order",
        "order_by",
        "search",
        "type",
        "host_filter",
        "count_disabled",
        "no_truncate",
        "limit",
        "validate",
        "as_of",
    ]
)
LOOKUPS = frozenset(
    [
        "exact",
        "iexact",
        "contains",
        "icontains",
        "startswith",
        "istartswith",
        "endswith",
        "iendswith",
        "regex",
        "iregex",
        "gt",
        "gte",
        "lt",
        "lte",
        "in",
        "isnull",
        "search",
    ]
)
DEPTH_MAX = 5
TERMS_MAX = 500
"""Postgres gives up on conditions much longer than that."""
BIGINT_MAX = 2**63 - 1
_TRUE = frozenset({"true", "1", "t", "True"})
_FALSE = frozenset({"false", "0", "f", "False"})

Pairs = Sequence[tuple[str, str]]
RoleLevel = Callable[[str], Where]
"""Given a role field such as ``admin_role``: the condition that the caller holds it."""


class Term(Struct, frozen=True, kw_only=True):
    """One parsed filter: the relations it follows, and the condition at their end."""

    path: tuple[Relation, ...]
    where: Where
    negated: bool = False
    mode: str = ""
    """``or``, ``chain`` or empty."""


class Ordering(Struct, frozen=True, kw_only=True):
    """One sort key: the relations it follows and the column there."""

    path: tuple[Relation, ...]
    column: Column
    descending: bool
    limits: tuple[Where, ...] = ()
    """For each relation which rows there may decide the order; empty where all may."""


def condition(table: Table, pairs: Pairs, role_level: RoleLevel | None = None) -> Where:
    """Return the condition of all filters in a query string."""
    if len(pairs) > TERMS_MAX:
        raise BadRequest(f"A query may hold at most {TERMS_MAX} parameters.")
    terms: list[Term] = []
    parts: list[Where] = []
    for name, value in pairs:
        if name == "search":
            parts.append(search(table, value))
        elif name == "type" and table.polymorphic:
            kinds = value.split(",")
            parts.append(Compare(column=table.columns["type"], lookup="in", value=kinds))
        elif name == "role_level":
            parts.append(_role_level(table, value, role_level))
        elif name not in RESERVED:
            terms.append(_term(table, name, value.replace("\x00", "")))
    either = [_wrapped(term) for term in terms if term.mode == "or"]
    if either:
        parts.append(AnyOf(parts=tuple(either)))
    plain = [term for term in terms if not term.mode and not term.negated]
    parts.extend(_wrapped(term) for term in terms if term.mode == "chain")
    parts.extend(_wrapped(term) for term in terms if not term.mode and term.negated)
    parts.extend(_shared([(term.path, term.where) for term in plain]))
    return AllOf(parts=tuple(parts))


def single(table: Table, name: str, value: str) -> Where:
    """Return the condition of one filter that stands alone; raises BadRequest and 403."""
    if name == "search":
        return search(table, value)
    if name.partition("__")[0] in ("or", "chain", "not"):
        message = f"{table.verbose} has no field named '{name}'"
        raise BadRequest(message)
    return _wrapped(_term(table, name, value))


def search(table: Table, text: str) -> Where:
    """Return the condition that every word (by space or comma) stands in a searched field."""
    words = {word for word in re.split(r"[\s,]+", text.replace("\x00", "")) if word}
    if len(words) > TERMS_MAX:
        raise BadRequest(f"A search may hold at most {TERMS_MAX} words.")
    return AllOf(
        parts=tuple(
            AnyOf(
                parts=tuple(
                    found
                    for name in table.search
                    if (found := _searched(table, name, word)) is not None
                )
            )
            for word in sorted(words)
        )
    )


def _searched(table: Table, name: str, word: str) -> Where | None:
    """Return the condition that a searched field, perhaps of a related row, contains a word.

    A field that AWX names and that has no column here is searched by nobody.
    """
    if "__" not in name and name not in table.columns:
        return None
    relations, column = _resolve(table, name.split("__"))
    if column is None:
        return None
    where: Where = Compare(column=column, lookup="icontains", value=word)
    for relation in reversed(relations):
        where = Related(relation=relation, where=where)
    return where


def orderings(table: Table, pairs: Pairs) -> tuple[Ordering, ...]:
    """Return the sort keys asked for, followed by the list's default order and the id."""
    asked: list[str] = []
    for name, value in pairs:
        if name in ("order_by", "order"):
            asked = [part.strip() for part in value.split(",") if part.strip()]
    keys = [*asked, *table.order]
    if "id" not in {key.lstrip("-") for key in keys}:
        keys.append("id")
    found: list[Ordering] = []
    for key in keys:
        descending = key.startswith("-")
        relations, column = _resolve(table, key.lstrip("-").split("__"))
        if column is None:
            message = f"{table.verbose} has no field named '{key.lstrip('-')}'"
            raise BadRequest(message)
        if column.secret:
            message = f"Filtering on {column.name} is not allowed."
            raise PermissionDenied(message)
        found.append(Ordering(path=relations, column=column, descending=descending))
    return tuple(found)


def _role_level(table: Table, value: str, role_level: RoleLevel | None) -> Where:
    if not table.roles or role_level is None:
        message = (
            "Cannot apply role_level filter to this list because its model does not use roles"
            " for access control."
        )
        raise BadRequest(message)
    if value.removesuffix("_role") not in table.roles:
        message = f"{value} is not a valid role of {table.verbose}."
        raise BadRequest(message)
    return role_level(value.removesuffix("_role"))


def _term(table: Table, name: str, value: str) -> Term:
    key, mode, negated = name, "", False
    for prefix in ("or", "chain"):
        if key.startswith(f"{prefix}__"):
            key, mode = key.removeprefix(f"{prefix}__"), prefix
            break
    if key.startswith("not__"):
        key, negated = key.removeprefix("not__"), True
    parts = key.split("__")
    as_int = parts[-1] == "int" and len(parts) > 1
    if as_int:
        parts.pop()
    lookup = parts.pop() if len(parts) > 1 and parts[-1] in LOOKUPS else "exact"
    if lookup == "search":
        return _related_search(table, parts, value, (mode, negated))
    relations, column = _resolve(table, parts)
    if column is None:
        return _on_relation(relations, lookup, value, (mode, negated))
    if column.secret:
        message = f"Filtering on {column.name} is not allowed."
        raise PermissionDenied(message)
    where = _compare(column, lookup, value, as_int=as_int)
    return Term(path=relations, where=where, mode=mode, negated=negated)


def _related_search(table: Table, parts: list[str], value: str, how: tuple[str, bool]) -> Term:
    relations, far = _follow(table, parts)
    return Term(path=relations, where=search(far, value), mode=how[0], negated=how[1])


def _on_relation(
    relations: tuple[Relation, ...], lookup: str, value: str, how: tuple[str, bool]
) -> Term:
    """Filter on a relation itself: its id, or whether there is any."""
    far = table_of(relations[-1].table)
    if lookup == "isnull":
        missing = _boolean(value)
        inside = Related(relation=relations[-1], where=AllOf(parts=()))
        where: Where = Without(part=inside) if missing else inside
        return Term(path=relations[:-1], where=where, mode=how[0], negated=how[1])
    if value.lower() in ("none", "null") and lookup == "exact":
        where = Without(part=Related(relation=relations[-1], where=AllOf(parts=())))
        return Term(path=relations[:-1], where=where, mode=how[0], negated=how[1])
    where = _compare(far.columns["id"], lookup, value, as_int=False, name=relations[-1].name)
    return Term(path=relations, where=where, mode=how[0], negated=how[1])


def _resolve(table: Table, parts: list[str]) -> tuple[tuple[Relation, ...], Column | None]:
    """Follow the parts of a name; the column is None when the name ends on a to-many relation."""
    whole = "__".join(parts)
    if whole in table.columns:
        return (), table.columns[whole]
    relations, far = _follow(table, parts[:-1])
    if parts[-1] in far.columns:
        return relations, far.columns[parts[-1]]
    return _follow(table, parts)[0], None


def _follow(table: Table, parts: list[str]) -> tuple[tuple[Relation, ...], Table]:
    """Return the relations that the parts of a name follow, and the table at their end."""
    relations: list[Relation] = []
    here = table
    for part in parts:
        relation = here.relations.get(part)
        if relation is None:
            if part in here.columns:
                message = f"No related model for field {part}."
                raise BadRequest(message)
            message = f"{here.verbose} has no field named '{part}'"
            raise BadRequest(message)
        if relation in relations or len(relations) == DEPTH_MAX:
            message = f"Loops not allowed in filters, found on field {part}"
            raise BadRequest(message)
        relations.append(relation)
        here = table_of(relation.table)
    return tuple(relations), here


def _compare(
    column: Column, lookup: str, value: str, *, as_int: bool, name: str = ""
) -> Compare | Where:
    if lookup == "isnull":
        return Compare(column=column, lookup="isnull", value=_boolean(value))
    nullish = value.lower() in ("none", "null") and lookup in ("exact", "iexact")
    if nullish and column.base in ("id", "time", "int", "float", "bool"):
        return Compare(column=column, lookup="isnull", value=True)
    label = name or column.name
    if lookup == "in":
        return _inside(column, value, label, as_int=as_int)
    textual = lookup not in ("exact", "gt", "gte", "lt", "lte")
    if textual:
        return Compare(column=column, lookup=lookup, value=value)
    converted = _convert("int" if as_int else column.base, value, label)
    return Compare(column=column, lookup=lookup, value=converted, as_int=as_int)


def _inside(column: Column, value: str, label: str, *, as_int: bool) -> Compare:
    if not value:
        message = "cannot provide empty value for __in"
        raise BadRequest(message)
    base = "int" if as_int else column.base
    values = [_convert(base, part, label) for part in value.split(",")]
    return Compare(column=column, lookup="in", value=values, as_int=as_int)


def _convert(base: str, value: str, name: str) -> Any:
    try:
        if base in ("int", "id"):
            return _bounded(int(value))
        if base == "float":
            return float(value)
        if base == "time":
            moment = datetime.fromisoformat(value.replace(" ", "+", 1) if "T" in value else value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError as error:
        message = {
            "id": f"Invalid {name} id: {value}",
            "time": f"“{value}” value has an invalid format.",
        }.get(base, f"Field '{name}' expected a number but got '{value}'.")
        raise BadRequest(message) from error
    return _boolean(value) if base == "bool" else value


def _bounded(number: int) -> int:
    if abs(number) > BIGINT_MAX:
        raise ValueError(number)
    return number


def _boolean(value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    message = f'Unable to convert "{value}" to boolean'
    raise BadRequest(message)


def _wrapped(term: Term) -> Where:
    where = term.where
    for relation in reversed(term.path):
        where = Related(relation=relation, where=where)
    return Without(part=where) if term.negated else where


def _shared(terms: Iterable[tuple[tuple[Relation, ...], Where]]) -> list[Where]:
    """Put terms over the same relation into one join: one related row must meet them all."""
    here: list[Where] = []
    below: dict[Relation, list[tuple[tuple[Relation, ...], Where]]] = {}
    for path, where in terms:
        if path:
            below.setdefault(path[0], []).append((path[1:], where))
        else:
            here.append(where)
    for relation, inner in below.items():
        here.append(Related(relation=relation, where=AllOf(parts=tuple(_shared(inner)))))
    return here
