"""What a filter may look at: the related rows that its caller may read, and what is shown anyway.

Whether a list is empty answers a question about whatever its filter looks at, letter by letter.
"""

from __future__ import annotations

from msgspec.structs import replace

from controlplane.api import visibility
from controlplane.api.where import AllOf, AnyOf, Compare, Related, Where, Without
from controlplane.domain.access import Principal
from schemas.resource import RESOURCES

_LISTED = frozenset({"labels", "credentials"})
"""Lists whose members' names stand in the summaries of what they belong to."""


def seen(who: Principal, where: Where) -> Where:
    """Return a request's condition with each related row limited to those that the caller sees."""
    return where if who.superuser or who.auditor else _limited(who, where, near=True)


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
    relation = where.relation
    if relation.table not in RESOURCES or (relation.many and relation.name not in _LISTED):
        return False
    return _asks_only(where.where, frozenset({"id", *RESOURCES[relation.table].summary}))


def _asks_only(where: Where, names: frozenset[str]) -> bool:
    match where:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return all(_asks_only(each, names) for each in parts)
        case Compare(column=column):
            return column.name in names
    return False
