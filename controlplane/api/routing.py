"""How routes are made: one path, its methods, each with its permission; OPTIONS always comes first.

Litestar adds an OPTIONS handler of its own to a path's first handler, so ours must be registered
before any other of that path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

from controlplane.api import options
from controlplane.api.call import Call, answer

Endpoint = Callable[[Call], Awaitable[Response[Any]]]
Opt = Mapping[str, Any]
Methods = dict[Method, tuple[Opt, Endpoint]]

ALLOW = "allow"


def routes(
    path: str,
    methods: Mapping[Method, tuple[Opt, Endpoint]],
    described: tuple[Opt, Endpoint] | str = "",
) -> list[HTTPRouteHandler]:
    """Return the handlers of one path.

    ``described`` answers OPTIONS: a permission and endpoint, or just a name for a plain body that
    asks what GET asks (or the first method, without a GET).
    """
    allow = ", ".join(sorted({*methods, "OPTIONS", *(("HEAD",) if "GET" in methods else ())}))
    if isinstance(described, str):
        first = methods.get("GET") or next(iter(methods.values()))
        described = (first[0], _plain(described or _name(path), methods))
    handlers = [_handler(path, "OPTIONS", allow, *described)]
    handlers += [_handler(path, method, allow, *each) for method, each in methods.items()]
    return handlers


def _handler(
    path: str, method: Method, allow: str, opt: Opt, endpoint: Endpoint
) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> Response[Any]:
        return await endpoint(Call(request))

    known = {**opt, ALLOW: allow}
    return HTTPRouteHandler(path, http_method=method, opt=known, status_code=200)(handle)


def _plain(name: str, methods: Mapping[Method, Any]) -> Endpoint:
    actions: dict[str, Any] = {method: {} for method in methods if method in ("POST", "PUT")}

    async def describe(_call: Call) -> Response[Any]:
        return answer(options.plain(name, (), actions))

    return describe


def _name(path: str) -> str:
    words = [part for part in path.split("/") if part and not part.startswith("{")]
    return words[-1].replace("_", " ").title() if words else "Root"
