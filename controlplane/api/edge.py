"""The outermost layer: slashes, HEAD, pages, ``?format=``, AWX's headers, the last safety net."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, quote

import msgspec
import structlog
from litestar import status_codes as httpcodes
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.api import browsable, call, negotiation
from controlplane.api.named_urls import fields_of
from controlplane.api.options import kind_named
from controlplane.api.sessions import session_cookie
from ops import clock, ids
from ops.telemetry import Tracer

PRODUCT = "AWX"
VERSION = "24.6.1"
VARY = "Accept, Accept-Language, Origin, Cookie"

_log = structlog.get_logger()
_WRITTEN_PAGE = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""What a page that a route wrote itself (a job's output, the login form) may do: nothing."""
_BODILESS = (
    httpcodes.HTTP_204_NO_CONTENT,
    httpcodes.HTTP_302_FOUND,
    httpcodes.HTTP_304_NOT_MODIFIED,
)

_OF_A_BODY = (b"accept", b"content-type", b"content-length", b"transfer-encoding")
"""Headers that are left out when OPTIONS is asked in a request's name."""

Describe = Callable[[], Awaitable[Mapping[str, Any]]]


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
        if scope["method"] == "HEAD":
            changed["method"] = "GET"
        redirected = False
        if path.startswith("/api") and not path.endswith(("/", ".json")):
            redirected = not _named_resource(path)
            changed["path"] = f"{path}/"
        inner: Any = {**scope, **changed, "state": {}}
        answering = _Answer(inner, send, self._node, lambda: self._described(inner))
        answering.bodiless = scope["method"] == "HEAD"
        attributes = {"http.request.method": scope["method"], "url.path": path}
        with (
            structlog.contextvars.bound_contextvars(request_id=answering.request_id),
            self._tracer.span(f"HTTP {scope['method']}", _traceparent(scope), attributes),
        ):
            try:
                if redirected:
                    await _redirect(scope, answering.send)
                else:
                    await self._app(inner, receive, answering.send)
                await answering.finish()
            except Exception:  # noqa: BLE001 - the last safety net: nothing may show a traceback
                _log.exception("request failed", method=scope["method"], path=path)
                await answering.fail(500, "A server error has occurred.")
            except asyncio.CancelledError:  # this process stops and has waited long enough
                _log.warning("request broken off", method=scope["method"], path=path)
                await answering.fail(503, "The server is stopping.")

    async def _described(self, scope: Any) -> Mapping[str, Any]:
        """Return what OPTIONS of the same path answers the same caller; empty when refused."""
        headers = [pair for pair in scope["headers"] if pair[0] not in _OF_A_BODY]
        path = f"{scope['path'].rstrip('/')}/"
        asking: Any = {**scope, "path": path, "method": "OPTIONS", "headers": headers, "state": {}}
        parts: list[bytes] = []

        async def nothing() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def collect(message: Any) -> None:
            parts.append(message.get("body", b""))

        await self._app(asking, nothing, collect)
        found = _decoded(b"".join(parts))
        return found if isinstance(found, dict) else {}


class _Answer:
    """One answer on its way out; JSON that becomes something else is held until it is whole."""

    def __init__(self, scope: Any, send: Send, node: str, describe: Describe) -> None:
        self._scope = scope
        self._path: str = scope["path"]
        self._state: dict[str, Any] = scope["state"]
        self._send = send
        self._node = node
        self._describe = describe
        self._began = clock.monotonic()
        self._start: Any = None
        self._held: list[bytes] = []
        self._sent = False
        self._page = scope["path"].startswith("/api") and negotiation.wants_page(scope)
        self._format = negotiation.format_of(scope)
        self.bodiless = False
        self.request_id = ids.new_id()

    async def send(self, message: Message) -> None:
        """Pass a message on, with AWX's headers on the first."""
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            media = dict(headers).get(b"content-type", b"")
            message["headers"] = [*headers, *self._headers(dict(headers), media)]
            changed = (self._page or self._format) and message["status"] not in _BODILESS
            if changed and media.startswith(b"application/json"):
                self._start = message
                return
            self._sent = True
        elif message["type"] == "http.response.body":
            if self._start is not None:
                self._held.append(message.get("body", b""))
                return
            if self.bodiless:
                cast("dict[str, Any]", message)["body"] = b""
        await self._send(message)

    async def finish(self) -> None:
        """Send what was held: with ``format`` in its URLs, and as a page for a browser."""
        if self._start is None:
            return
        start, raw = self._start, b"".join(self._held)
        if self._format in negotiation.FORMATS:
            body = negotiation.echo(_decoded(raw), self._path, self._format)
            raw = raw if body is None else call.encode(body)
        replaced = {b"content-type": b"application/json"}
        if self._page:
            nonce = ids.new_token()
            raw = (await self._as_page(start["status"], raw, nonce)).encode()
            replaced = {
                b"content-type": b"text/html; charset=utf-8",
                b"cache-control": b"private, no-store",
                b"content-security-policy": browsable.policy(nonce).encode(),
            }
        replaced[b"content-length"] = str(len(raw)).encode()
        kept = [pair for pair in start["headers"] if pair[0] not in replaced]
        self._start, self._sent = None, True
        await self._send(cast("Any", {**start, "headers": [*kept, *replaced.items()]}))
        body = b"" if self.bodiless else raw
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def fail(self, status: int, detail: str) -> None:
        """Answer with a bare error, unless an answer has begun; 503 may be asked again at once."""
        if self._sent:
            return
        self._start, self._page, self._format = None, False, ""
        body = msgspec.json.encode({"detail": detail})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        if status == httpcodes.HTTP_503_SERVICE_UNAVAILABLE:
            headers.append((b"retry-after", b"1"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _as_page(self, status: int, raw: bytes, nonce: str) -> str:
        shown = status == httpcodes.HTTP_200_OK and self._scope["method"] == "GET"
        query = self._scope["query_string"].decode("latin-1")
        return browsable.page(
            browsable.Answered(
                method=self._scope["method"],
                path=self._path,
                pairs=tuple(parse_qsl(query, keep_blank_values=True)),
                status=status,
                raw=raw,
                body=_decoded(raw),
                allow=self._state.get("allow", ""),
                username=self._state.get("username", ""),
                described=await self._describe() if shown else {},
            ),
            nonce,
        )

    def _headers(self, present: Mapping[bytes, bytes], media: bytes) -> list[tuple[bytes, bytes]]:
        state = self._state
        elapsed = f"{clock.monotonic() - self._began:.3f}s"
        found = {
            "x-api-product-name": PRODUCT,
            "x-api-node": self._node,
            "x-api-time": elapsed,
            "x-api-total-time": elapsed,
            "x-api-request-id": self.request_id,
            "x-content-type-options": "nosniff",
            "vary": VARY,
        }
        if state.get("username"):
            found["x-api-product-version"] = VERSION
        if state.get("allow"):
            found["allow"] = state["allow"]
        if state.get("session_s"):
            found["session-timeout"] = str(state["session_s"])
        if state.get("session_id"):
            found["set-cookie"] = _cookie(state, self._scope)
        if media.startswith(b"text/html") and self._path.startswith("/api"):
            found["content-security-policy"] = _WRITTEN_PAGE
        return [
            (name.encode(), value.encode())
            for name, value in found.items()
            if name.encode() not in present
        ]


def _decoded(raw: bytes) -> Any:
    """Return decoded JSON; None for what is none or too deep to be looked at."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def _cookie(state: dict[str, Any], scope: Any) -> str:
    """Return the cookie of a session whose time starts anew."""
    return session_cookie(state["session_id"], state["session_s"], scope).to_header(header="")


def _traceparent(scope: Any) -> str | None:
    """Return the caller's place in its own trace, if it sends one."""
    sent = dict(scope["headers"]).get(b"traceparent")
    return None if sent is None else sent.decode("latin-1")


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
