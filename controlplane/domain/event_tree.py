"""Where a job's events stand below one another: how many each has below it (AWX's virtual list)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from schemas.ansible_events import event_level


class Line(Struct, frozen=True, kw_only=True):
    """What the tree needs to know of an event."""

    counter: int
    event: str
    uuid: str
    parent: str


def summary(lines: Iterable[Line]) -> dict[str, Any]:
    """Return AWX's summary of a job's events, in order of their counters.

    With a free strategy events of one parent do not stand together: then there is no tree. Lines
    that belong to no play or task, such as warnings, are put below what stands open around them.
    """
    rows: dict[int, dict[str, int]] = {}
    nested: dict[int, str] = {}
    counters: dict[str, int] = {}
    path: list[str] = []
    for number, line in enumerate(lines):
        rows[line.counter] = {"rowNumber": number, "numChildren": 0}
        if event_level(line.event) == 0 and line.parent not in counters and path:
            nested[line.counter] = path[-1]
            _add(rows, counters, path)
            continue
        counters[line.uuid] = line.counter
        if line.parent in counters:
            if line.parent not in path:
                return _answer({}, {}, is_tree=False)
            del path[path.index(line.parent) + 1 :]
            _add(rows, counters, path)
        else:
            path.clear()
        path.append(line.uuid)
    below = {str(counter): row for counter, row in rows.items() if row["numChildren"]}
    return _answer(below, {str(counter): uuid for counter, uuid in nested.items()}, is_tree=True)


def _add(rows: dict[int, dict[str, int]], counters: dict[str, int], path: list[str]) -> None:
    for uuid in path:
        rows[counters[uuid]]["numChildren"] += 1


def _answer(below: dict[str, Any], nested: dict[str, str], *, is_tree: bool) -> dict[str, Any]:
    return {
        "children_summary": below,
        "meta_event_nested_uuid": nested,
        "event_processing_finished": True,
        "is_tree": is_tree,
    }
