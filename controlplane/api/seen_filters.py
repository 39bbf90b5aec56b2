"""What filters and orders look at: related rows that the caller may read, and what is shown anyway.

Whether a list is empty answers a question about whatever its filter looks at, letter by letter.
"""

from __future__ import annotations

from msgspec.structs import replace

from controlplane.api import visibility
from controlplane.api.filters import Ordering
from controlplane.api.tables import Column, Relation
from controlplane.api.where import AllOf, AnyOf, Compare, Related, Where, Without
from controlplane.domain.access import Principal
from schemas.resource import RESOURCES

_LISTED = frozenset({"labels", "credentials"})
"""Lists whose members' names stand in the summaries of what they belong to."""


def seen(who: Principal, where: Where) -> Where:
    """Return a request's condition with each related row limited to those that the caller sees."""
    return where if who.superuser or who.auditor else _limited(who, where, near=True)


def ordering(who: Principal, key: Ordering) -> Ordering:
    """Return a request's sort key with the rows that it follows limited in the same way."""
    shown = len(key.path) == 1 and _tells(key.path[0], key.column)
    if shown or who.superuser or who.auditor:
        return key
    return replace(
        key, limits=tuple(visibility.visible(who, relation.table) for relation in key.path)
    )


def _limited(who: Principal, where: Where, *, near: bool) -> Where:
    match where:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return replace(where, parts=tuple(_limited(who, each, near=near) for each in parts))
        case Without(part=part):
            return Without(part=_limited(who, part, near=near))
        case Related(relation=relation, where=inner):
            if near and _is_shown(where):
                return where
            inner = _limited(who, inner, near=False)
            readable = visibility.visible(who, relation.table)
            return Related(relation=relation, where=AllOf(parts=(inner, readable)))
    return where


def _is_shown(where: Related) -> bool:
    """Return whether an answer tells what a condition asks: names of what a row refers to."""
    return _asks_only(where.relation, where.where)


def _asks_only(relation: Relation, where: Where) -> bool:
    match where:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return all(_asks_only(relation, each) for each in parts)
        case Compare(column=column):
            return _tells(relation, column)
    return False


def _tells(relation: Relation, column: Column) -> bool:
    """Return whether a row's summaries hold a column of what it refers to."""
    if relation.table not in RESOURCES or (relation.many and relation.name not in _LISTED):
        return False
    return column.name in ("id", *RESOURCES[relation.table].summary)
