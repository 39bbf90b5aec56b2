"""An answer as a page for browsers: its JSON with links, where one is, what one may do. Pure.

Nothing is loaded from elsewhere and nothing inline runs but what the page itself brings, by nonce.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from importlib import resources
from typing import Any
from urllib.parse import urlencode

import jinja2
import msgspec
from markupsafe import Markup, escape
from msgspec import Struct

_TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=False).from_string(
    resources.files("controlplane.api").joinpath("browsable.html").read_text()
)
_LINK = re.compile(r'"((?:/api/|https?://)[^"\\\s<>]*)"')
_TYPED: dict[str, Any] = {"string": "", "boolean": False, "json": {}, "object": {}, "list": []}
VERBS = ("POST", "PUT", "PATCH", "DELETE")


class Answered(Struct, frozen=True, kw_only=True):
    """What is shown: a request, its answer, and what OPTIONS says of the path."""

    method: str
    path: str
    pairs: tuple[tuple[str, str], ...]
    status: int
    raw: bytes
    body: Any
    """``raw`` decoded; None when it cannot be."""
    allow: str = ""
    username: str = ""
    described: Mapping[str, Any] = {}


def policy(nonce: str) -> str:
    """Return the Content-Security-Policy of a page."""
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def page(answered: Answered, nonce: str) -> str:
    """Return the page of an answer; its script and style carry ``nonce``."""
    body = answered.body
    listed: Mapping[str, Any] = body if isinstance(body, dict) and "results" in body else {}
    crumbs = breadcrumbs(answered.path)
    plain = [pair for pair in answered.pairs if pair[0] != "format"]
    query = f"?{urlencode(answered.pairs)}" if answered.pairs else ""
    return _TEMPLATE.render(
        nonce=nonce,
        name=answered.described.get("name") or crumbs[-1][0],
        description=answered.described.get("description", ""),
        crumbs=crumbs,
        path=answered.path,
        username=answered.username,
        as_json=f"{answered.path}?{urlencode([*plain, ('format', 'json')])}",
        previous=_local(listed.get("previous")),
        next=_local(listed.get("next")),
        count=listed.get("count"),
        searched=bool(answered.described.get("search_fields")),
        search=dict(answered.pairs).get("search", ""),
        method=answered.method,
        asked=f"{answered.path}{query}",
        status=f"{answered.status} {HTTPStatus(answered.status).phrase}",
        headers=[
            *([("Allow", answered.allow)] if answered.allow else []),
            ("Content-Type", "application/json"),
        ],
        body=linked(answered.raw),
        forms=_forms(answered, body),
    )


def breadcrumbs(path: str) -> list[tuple[str, str]]:
    """Return a label and a path for each step from the root to a path."""
    segments = [each for each in path.split("/") if each]
    names = {1: "REST API", 2: "Version 2"} if segments[1:2] == ["v2"] else {1: "REST API"}
    found = []
    for number in range(1, len(segments) + 1):
        label = names.get(number) or segments[number - 1].replace("_", " ").title()
        found.append((label, f"/{'/'.join(segments[:number])}/"))
    return found or [("Root", "/")]


def linked(raw: bytes) -> Markup:
    """Return JSON text indented and escaped, with every local path and web address a link."""
    try:
        text = msgspec.json.format(raw, indent=4).decode(errors="replace")
    except (msgspec.DecodeError, RecursionError):
        text = raw.decode(errors="replace")
    parts = _LINK.split(text)
    found = Markup()
    for index, part in enumerate(parts):
        if index % 2:
            found += Markup('"<a href="{0}" rel="noopener noreferrer">{0}</a>"').format(part)
        else:
            found += escape(part)
    return found


def _local(link: Any) -> str:
    return link if isinstance(link, str) and link.startswith("/api/") else ""


def _forms(answered: Answered, body: Any) -> list[tuple[str, str | None]]:
    """Return the verbs that the caller may send, each with a body to begin with."""
    allowed = {each.strip() for each in answered.allow.split(",")}
    actions: Mapping[str, Any] = answered.described.get("actions") or {}
    found: list[tuple[str, str | None]] = []
    for verb in VERBS:
        fields = actions.get("PUT" if verb in ("PATCH", "DELETE") else verb)
        if verb not in allowed or fields is None:
            continue
        found.append((verb, None if verb == "DELETE" else _begun(fields, body, verb)))
    return found


def _begun(fields: Mapping[str, Any], body: Any, verb: str) -> str:
    """Return a body to edit: what the object has, or the defaults of a new one."""
    had = body if isinstance(body, dict) and verb != "POST" else {}
    values = {
        name: had.get(name, field.get("default", _TYPED.get(field.get("type", ""))))
        for name, field in fields.items()
        if isinstance(field, dict)
    }
    return msgspec.json.format(msgspec.json.encode(values), indent=4).decode()
