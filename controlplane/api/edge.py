"""The outermost layer: slashes, HEAD, HTML pages, AWX's headers, and the last safety net."""

from __future__ import annotations

import asyncio
import html
from typing import Any, cast
from urllib.parse import quote

import msgspec
import structlog
from litestar import status_codes as httpcodes
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.api.named_urls import fields_of
from controlplane.api.options import kind_named
from controlplane.api.sessions import session_cookie
from ops import clock, ids
from ops.telemetry import Tracer

PRODUCT = "AWX"
VERSION = "24.6.1"
VARY = "Accept, Accept-Language, Origin, Cookie"

_log = structlog.get_logger()
_HTML_ONLY = ("text/html", "application/xhtml+xml")


class Edge:
    """Wraps the application; everything a client gets passes here."""

    def __init__(self, app: ASGIApp, node: str, tracer: Tracer) -> None:
        """Serve ``app`` as the node of that name; each request is a span."""
        self._app = app
        self._node = node
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if cast("str", scope["type"]) == "http":
            await self._serve(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Any, receive: Receive, send: Send) -> None:
        path = scope["path"]
        changed: dict[str, Any] = {}
        if path.startswith("/api") and not path.endswith("/"):
            if not _named_resource(path):
                await _redirect(scope, send)
                return
            changed["path"] = f"{path}/"
        if scope["method"] == "HEAD":
            changed["method"] = "GET"
        inner: Any = {**scope, **changed, "state": {}}
        answering = _Answer(scope, inner["state"], send, self._node)
        attributes = {"http.request.method": scope["method"], "url.path": path}
        with (
            structlog.contextvars.bound_contextvars(request_id=answering.request_id),
            self._tracer.span(f"HTTP {scope['method']}", _traceparent(scope), attributes),
        ):
            try:
                await self._app(inner, receive, answering.send)
            except Exception:  # noqa: BLE001 - the last safety net: nothing may show a traceback
                _log.exception("request failed", method=scope["method"], path=path)
                await answering.fail(500, "A server error has occurred.")
            except asyncio.CancelledError:  # this process stops and has waited long enough
                _log.warning("request broken off", method=scope["method"], path=path)
                await answering.fail(503, "The server is stopping.")


class _Answer:
    """One answer on its way out."""

    def __init__(self, scope: Any, state: dict[str, Any], send: Send, node: str) -> None:
        self._path = scope["path"]
        self._state = state
        self._send = send
        self._node = node
        self._began = clock.monotonic()
        self._bodiless = scope["method"] == "HEAD"
        self._held: Message | None = None
        self._sent = False
        self._html = _wants_html(scope)
        self.request_id = ids.new_id()

    async def send(self, message: Message) -> None:
        """Pass a message on, with AWX's headers on the first."""
        if message["type"] == "http.response.start":
            self._sent = True
            headers = list(message["headers"])
            present = {name for name, _ in headers}
            is_json = any(
                name == b"content-type" and value.startswith(b"application/json")
                for name, value in headers
            )
            message["headers"] = [*headers, *self._headers(present)]
            if self._html and is_json and message["status"] not in (204, 304):
                self._held = message
                return
        elif message["type"] == "http.response.body":
            if self._held is not None:
                message = await self._as_page(message)
            if self._bodiless:
                cast("dict[str, Any]", message)["body"] = b""
        await self._send(message)

    async def fail(self, status: int, detail: str) -> None:
        """Answer with a bare error, unless an answer has begun; 503 may be asked again at once."""
        if self._sent:
            return
        body = msgspec.json.encode({"detail": detail})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        if status == httpcodes.HTTP_503_SERVICE_UNAVAILABLE:
            headers.append((b"retry-after", b"1"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _as_page(self, message: Message) -> Message:
        start, self._held = self._held, None
        text = html.escape(cast("bytes", message.get("body", b"")).decode(errors="replace"))
        path = html.escape(self._path)
        body = f"<!doctype html><title>{path}</title><h1>{path}</h1><pre>{text}</pre>\n".encode()
        if start is not None and start["type"] == "http.response.start":
            replaced = {
                b"content-type": b"text/html; charset=utf-8",
                b"content-length": str(len(body)).encode(),
            }
            kept = [pair for pair in start["headers"] if pair[0] not in replaced]
            await self._send({**start, "headers": [*kept, *replaced.items()]})
        return {"type": "http.response.body", "body": body, "more_body": False}

    def _headers(self, present: set[bytes]) -> list[tuple[bytes, bytes]]:
        state = self._state
        elapsed = f"{clock.monotonic() - self._began:.3f}s"
        found = {
            "x-api-product-name": PRODUCT,
            "x-api-node": self._node,
            "x-api-time": elapsed,
            "x-api-total-time": elapsed,
            "x-api-request-id": self.request_id,
            "vary": VARY,
        }
        if state.get("username"):
            found["x-api-product-version"] = VERSION
        if state.get("allow"):
            found["allow"] = state["allow"]
        if state.get("session_s"):
            found["session-timeout"] = str(state["session_s"])
        if state.get("session_id"):
            found["set-cookie"] = session_cookie(state["session_id"]).to_header(header="")
        return [
            (name.encode(), value.encode())
            for name, value in found.items()
            if name.encode() not in present
        ]


def _traceparent(scope: Any) -> str | None:
    """Return the caller's place in its own trace, if it sends one."""
    sent = dict(scope["headers"]).get(b"traceparent")
    return None if sent is None else sent.decode("latin-1")


def _wants_html(scope: Any) -> bool:
    if b"format=json" in scope["query_string"]:
        return False
    if b"format=api" in scope["query_string"]:
        return True
    accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
    first = accept.partition(",")[0].partition(";")[0].strip()
    return first in _HTML_ONLY


def _named_resource(path: str) -> bool:
    """Return whether the path lies below a resource with named URLs (or in its list's query)."""
    parts = path.split("/")
    if parts[:3] != ["", "api", "v2"] or len(parts) <= len(["", "api", "v2", "plural"]):
        return False
    try:
        return bool(fields_of(kind_named(parts[3])))
    except KeyError:
        return parts[3] == "instances"


async def _redirect(scope: Any, send: Send) -> None:
    query = scope["query_string"]
    path = quote(scope["path"], safe="/:@!$&'()*+,;=~[]")
    location = path.encode() + b"/" + (b"?" + query if query else b"")
    headers = [(b"location", location), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 301, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
