"""Which form an answer takes: JSON, or a page for browsers; and what ``?format=`` does to its URLs.

``format`` decides before ``Accept``, as in AWX. Of what ``Accept`` names, the more wanted (``q``)
and then the more specific is looked at first; JSON wins where both would do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from controlplane.api.errors import Missing, Refusal

JSON = "application/json"
HTML = "text/html"
RENDERS = "renders"
"""Name of the entry in a handler's ``opt`` that holds the media types of a route with its own."""
DEFAULT = (JSON, HTML)
FORMATS = {"json": JSON, "api": HTML}
ROOTS = frozenset(
    f"/api/{name}" for name in ("", "v2/", "o/", "v2/bulk/", "v2/analytics/", "v2/service-index/")
)
"""Paths whose bodies are maps of URLs."""


def accepted(accept: str, renders: Sequence[str]) -> str | None:
    """Return the media type to answer with; None when none of ``renders`` is accepted."""
    if not accept.strip():
        return renders[0]
    best: tuple[float, int, int] | None = None
    for quality, specificity, wanted in filter(None, map(_range, accept.split(","))):
        for place, media in enumerate(renders):
            if wanted in (media, "*/*", f"{media.partition('/')[0]}/*"):
                fit = (quality, specificity, -place)
                best = fit if best is None else max(best, fit)
    return None if best is None else renders[-best[2]]


def chosen(scope: Any, renders: Sequence[str] = DEFAULT) -> str:
    """Return the media type of the answer to a request.

    Raises 406 when nothing accepted can be answered, 404 for a ``format`` that there is not.
    """
    named = format_of(scope)
    if named and tuple(renders) == DEFAULT:
        if named not in FORMATS:
            raise Missing
        return FORMATS[named]
    accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
    media = accepted(accept, renders)
    if media is None:
        raise Refusal(406, {"detail": "Could not satisfy the request Accept header."})
    return media


def rendering(opt: Mapping[str, Any], *renders: str) -> dict[str, Any]:
    """Return the ``opt`` of a route that writes answers of these media types itself."""
    return {**opt, RENDERS: renders}


def wants_page(scope: Any) -> bool:
    """Return whether a browser asks; what cannot be answered at all is told in JSON."""
    try:
        return chosen(scope) == HTML
    except Refusal:
        return False


def format_of(scope: Any) -> str:
    """Return the ``format`` that the query names, or an empty string."""
    query = scope["query_string"].decode("latin-1")
    return parse_qs(query, keep_blank_values=True)["format"][-1] if "format=" in query else ""


def echo(body: Any, path: str, named: str) -> Any:
    """Repeat ``format`` in every URL of an answer, so that following one keeps the form.

    URLs stand at known places only: a value that a user wrote is never changed.
    """
    if path in ROOTS:
        return _each(body, named)
    if isinstance(body, dict) and isinstance(body.get("results"), list):
        return {**body, "results": [_echoed(row, named) for row in body["results"]]}
    return _echoed(body, named)


def _echoed(row: Any, named: str) -> Any:
    if not isinstance(row, dict):
        return row
    found = dict(row)
    if "url" in row:
        found["url"] = _url(row["url"], named)
    if "related" in row:
        found["related"] = _each(row["related"], named)
    return found


def _each(value: Any, named: str) -> Any:
    """Rewrite the URLs of a flat map, or of maps and lists of URLs in it."""
    if isinstance(value, dict):
        return {name: _each(each, named) for name, each in value.items()}
    if isinstance(value, list):
        return [_each(each, named) for each in value]
    return _url(value, named)


def _url(value: Any, named: str) -> Any:
    if not isinstance(value, str) or not value.startswith("/api/") or "format=" in value:
        return value
    return f"{value}{'&' if '?' in value else '?'}format={named}"


def _range(part: str) -> tuple[float, int, str] | None:
    """Return how much a media range is wanted, how exact it is, and the range; None for never."""
    name, *parameters = (each.strip().lower() for each in part.split(";"))
    quality = 1.0
    for each in parameters:
        key, _, value = each.partition("=")
        if key.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
    if "/" not in name or not 0 < quality <= 1:
        return None
    specificity = 0 if name == "*/*" else 1 if name.endswith("/*") else 2
    return quality, specificity, name
