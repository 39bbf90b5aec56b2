"""One admitted request: who sends it, what it is about, its body, and its answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import msgspec
from litestar import Request, Response
from msgspec import Struct

from controlplane.api.errors import BAD_CONTENT_TYPE, BadRequest, Refusal
from controlplane.api.services import Services
from controlplane.domain.access import Facts, Principal
from controlplane.domain.facts import deep
from controlplane.shell.read_model import View

HttpRequest = Request[Any, Any, Any]
ANONYMOUS = Principal(id=0, username="")
TOO_DEEP = "JSON parse error - nested too deeply"
JSON_TYPES = ("application/json", "")
FORM_FIELDS_MAX = 100


class Target(Struct, frozen=True, kw_only=True):
    """The object that a path names; ``facts`` is None when it does not exist (OPTIONS only)."""

    kind: str
    id: int
    facts: Facts | None


class Admitted(Struct, frozen=True, kw_only=True):
    """What the guard found out about a request."""

    who: Principal
    way: str = ""
    position: int = -1
    """Of a token: where the tables stood that it was looked up in."""
    target: Target | None = None


class Call:
    """A request on its way to an answer."""

    def __init__(self, request: HttpRequest) -> None:
        """Take an admitted request."""
        self.request = request
        self.services: Services = request.app.state.services
        admitted: Admitted = request.scope["state"]["admitted"]
        self.who = admitted.who
        self.way = admitted.way
        self.position = admitted.position
        self._target = admitted.target
        self.path: str = request.scope["path"].rstrip("/") + "/"
        query = request.scope["query_string"].decode("latin-1")
        self.pairs = parse_qsl(query, keep_blank_values=True)

    @property
    def target(self) -> Target:
        """Return the object the path names; only routes whose permission names one have it."""
        if self._target is None:
            raise LookupError(self.path)
        return self._target

    @property
    def facts(self) -> Facts:
        """Return the facts of the target, which exists."""
        facts = self.target.facts
        if facts is None:
            raise LookupError(self.path)
        return facts

    @property
    def about(self) -> str:
        """Return kind and id of the target; empty where the path names none."""
        return "" if self._target is None else f"{self._target.kind}:{self._target.id}"

    def parameter(self, name: str) -> str:
        """Return the last value of a query parameter, or an empty string."""
        return dict(self.pairs).get(name, "")

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[View]:
        """Open a snapshot of the read model."""
        async with self.services.read.view() as view:
            yield view

    async def body(self) -> dict[str, Any]:
        """Return the JSON object sent; an empty body is an empty one. Raises 400 and 415."""
        raw = await self.request.body()
        if not raw.strip():
            return {}
        content_type = self.request.headers.get("content-type", "").partition(";")[0].strip()
        if content_type.lower() not in JSON_TYPES:
            raise Refusal(415, {"detail": BAD_CONTENT_TYPE})
        found = _decode(raw)
        if deep(found):
            raise BadRequest(TOO_DEEP)
        if not isinstance(found, dict):
            raise BadRequest("JSON parse error - not a JSON object")
        return found

    async def form(self) -> dict[str, str]:
        """Return the fields of the form sent, the last of each name; junk makes no fields."""
        text = (await self.request.body()).decode(errors="replace")
        try:
            found = parse_qs(text, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
        except ValueError:
            return {}
        return {name: values[-1] for name, values in found.items()}


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """Return a JSON answer."""
    return Response(
        content=encode(body),
        status_code=status,
        media_type="application/json",
        headers=dict(headers or {}),
    )


def empty(status: int = 204, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """Return an answer without a body."""
    return Response(content=b"", status_code=status, media_type="application/json", headers=headers)


def encode(body: Any) -> bytes:
    """Encode an answer as JSON; times end in Z, a lone surrogate is written as its escape."""
    try:
        return msgspec.json.encode(body, enc_hook=_other)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(body, enc_hook=_other)).encode()


def _other(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise NotImplementedError(type(value).__name__)


def _decode(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_slowly(raw)


def _decode_slowly(raw: bytes) -> Any:
    """Decode what the strict decoder refuses, for AWX's words or for lone surrogates in strings."""
    try:
        return json.loads(raw, parse_constant=_no_constant)
    except RecursionError:
        raise BadRequest(TOO_DEEP) from None
    except ValueError as error:
        text = f"JSON parse error - {error}\nPossible cause: trailing comma."
        raise BadRequest(text) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")
