"""Where a job's events stand below one another: how many each has below it (AWX's virtual list)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from schemas.ansible_events import event_level

META = frozenset({"debug", "verbose", "warning", "error", "system_warning", "deprecated"})
"""Lines that are no part of a play: they are put below one of the events around them."""
_LEVELS = 4


class Line(Struct, frozen=True, kw_only=True):
    """What the tree needs to know of an event."""

    counter: int
    event: str
    uuid: str
    parent: str


def summary(lines: Iterable[Line]) -> dict[str, Any]:
    """Return AWX's summary of a job's events, in order of their counters.

    There is a tree as long as each event's parent is the last one seen on its level: not so with a
    free strategy, whose results of one task do not stand together.
    """
    known = tuple(lines)
    counters = {line.uuid: line.counter for line in known}
    parents = {line.uuid: line.parent for line in known}
    below = dict.fromkeys((line.counter for line in known), 0)
    rows: dict[int, int] = {}
    nested: dict[str, str] = {}
    latest = [""] * _LEVELS
    for number, (line, meta_parent) in enumerate(zip(known, _meta_parents(known), strict=True)):
        if not line.uuid:
            continue
        if line.event not in META:
            level = event_level(line.event)
            latest[level:] = [line.uuid, *[""] * (_LEVELS - level - 1)]
        if line.parent and line.parent not in latest:
            return _answer({}, {}, is_tree=False)
        parent = line.parent if line.event not in META else meta_parent
        if line.event in META and parent:
            nested[str(line.counter)] = parent
        rows[line.counter] = number
        for above in _chain(parent, counters, parents):
            below[above] += 1
    counted = {
        str(counter): {"rowNumber": rows.get(counter, 0), "numChildren": count}
        for counter, count in below.items()
        if count
    }
    return _answer(counted, nested, is_tree=True)


def _meta_parents(lines: Sequence[Line]) -> list[str]:
    """Return for each line the parent it gets if it is one of ``META``.

    Of the events before and after it, it stands beside the one that is deeper in the tree.
    """
    following: list[Line] = []
    after = lines[-1] if lines else None
    for line in reversed(lines):
        after = line if line.event not in META else after
        following.append(after or line)
    found: list[str] = []
    before = lines[0] if lines else None
    for line, later in zip(lines, reversed(following), strict=True):
        before = line if line.event not in META or before is None else before
        deeper = event_level(later.event) > event_level(before.event)
        found.append(later.parent if deeper else before.parent)
    return found


def _chain(uuid: str, counters: dict[str, int], parents: dict[str, str]) -> Iterable[int]:
    """Yield the counters of an event and of all above it, each once."""
    seen: set[str] = set()
    while uuid in counters and uuid not in seen:
        seen.add(uuid)
        yield counters[uuid]
        uuid = parents[uuid]


def _answer(below: dict[str, Any], nested: dict[str, str], *, is_tree: bool) -> dict[str, Any]:
    return {
        "children_summary": below,
        "meta_event_nested_uuid": nested,
        "event_processing_finished": True,
        "is_tree": is_tree,
    }
