"""AWX's pages: count, next, previous, results, with relative links that keep every parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from controlplane.api.errors import Refusal
from controlplane.domain.numerals import whole

PAGE_SIZE = 25
PAGE_SIZE_MAX = 200
ODD_PAGES = frozenset({"/api/v2/hosts/"})


class Page(Struct, frozen=True, kw_only=True):
    """The part of a list that is asked for; ``number`` counts from 1."""

    number: int
    size: int
    counted: bool = True
    """False for ``count_disabled``: no count and no links."""

    @property
    def offset(self) -> int:
        """Return how many rows stand before the page."""
        return (self.number - 1) * self.size


def read(pairs: Sequence[tuple[str, str]], path: str = "") -> Page:
    """Read ``page`` and ``page_size``; raises 404 for a page that cannot exist."""
    values = dict(pairs)
    size = _positive(values.get("page_size", "")) or PAGE_SIZE
    number = _positive(values.get("page", "1"))
    if number is None:
        raise invalid_page(path)
    disabled = values.get("count_disabled", "").lower() in ("1", "true")
    return Page(number=number, size=min(size, PAGE_SIZE_MAX), counted=not disabled)


def envelope(
    page: Page, path: str, pairs: Sequence[tuple[str, str]], count: int, results: Sequence[Any]
) -> dict[str, Any]:
    """Return the body of a page; raises 404 for a page beyond the end."""
    if not page.counted:
        return {"results": results}
    if page.number > 1 and page.offset >= count:
        raise invalid_page(path)
    more = page.offset + page.size < count
    return {
        "count": count,
        "next": _link(path, pairs, page.number + 1) if more else None,
        "previous": _link(path, pairs, page.number - 1) if page.number > 1 else None,
        "results": results,
    }


def invalid_page(path: str) -> Refusal:
    """Return the 404 of a page that is not there; AWX's list of hosts says it in its own way."""
    text = "Invalid page."
    return Refusal(400, {"error": text}) if path in ODD_PAGES else Refusal(404, {"detail": text})


def _positive(text: str) -> int | None:
    number = whole(text)
    return number if number is not None and 0 < number < 10**9 else None


def _link(path: str, pairs: Sequence[tuple[str, str]], number: int) -> str:
    kept = [(name, value) for name, value in pairs if name != "page"]
    if number > 1:
        kept.append(("page", str(number)))
    query = urlencode(sorted(kept, key=lambda pair: pair[0]))
    return f"{path}?{query}" if query else path
