"""What a task's result says it changed on a host: its action and its recorded diffs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

DIFFS_MAX = 50
TEXT_MAX = 16_384
"""Of one task on one host at most so many diffs are shown, each side up to so many characters."""
_SIDES = ("before", "after", "prepared")
_HEADERS = ("before_header", "after_header")


class Change(Struct, frozen=True, kw_only=True):
    """What a changed result says besides its columns."""

    action: str
    resolved_action: str
    diff: list[dict[str, Any]]
    diff_truncated: bool
    censored: bool
    """The task has ``no_log``: nothing of its result is kept."""


def change_of(data: Mapping[str, Any]) -> Change:
    """Return what the data of a changed event says."""
    result = data.get("res")
    result = result if isinstance(result, dict) else {}
    found = list(_diffs(result))
    shown, cut = [], len(found) > DIFFS_MAX
    for each in found[:DIFFS_MAX]:
        short, was_cut = _short(each)
        shown.append(short)
        cut = cut or was_cut
    return Change(
        action=_text(data.get("task_action")),
        resolved_action=_text(data.get("resolved_action")),
        diff=shown,
        diff_truncated=cut,
        censored="censored" in result,
    )


def _diffs(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the diffs of a result, of each changed item where it looped."""
    diff = result.get("diff")
    for each in diff if isinstance(diff, list) else [diff]:
        if isinstance(each, dict) and any(each.get(name) for name in (*_SIDES, *_HEADERS)):
            yield each
    items = result.get("results")
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and item.get("changed"):
            yield from _diffs(item)


def _short(diff: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    shown: dict[str, Any] = {}
    cut = False
    for name in (*_HEADERS, *_SIDES):
        if name in diff:
            text = diff[name] if isinstance(diff[name], str) else repr(diff[name])
            cut = cut or len(text) > TEXT_MAX
            shown[name] = text[:TEXT_MAX]
    return shown, cut


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
