"""The one place where an error becomes a status and an AWX-shaped body.

What is refused keeps its own answer, what may pass by itself is 503 with Retry-After, and whatever
is unexpected is a logged 500 that shows nothing of the program.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import nats.errors
import nats.js.errors
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from controlplane.api.call import answer
from controlplane.api.errors import Busy, Refusal, method_not_allowed
from controlplane.domain.errors import Rejected

_log = structlog.get_logger()
_PAGE = "<!doctype html><title>404 Not Found</title><h1>Not Found</h1>\n"

TEMPORARY: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidCatalogNameError,
    asyncio.TimeoutError,
    ConnectionError,
    OSError,
    nats.errors.Error,
    nats.js.errors.ServiceUnavailableError,
    nats.js.errors.NoStreamResponseError,
)
"""Failures of servers that may be back in a moment."""


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Return the answer to an error raised while serving a request."""
    match error:
        case Refusal():
            return answer(error.body, error.status, error.headers)
        case Rejected():
            return answer(error.body, error.status)
        case MethodNotAllowedException():
            allow = (error.headers or {}).get("Allow", "")
            refusal = method_not_allowed(request.method, allow)
            return answer(refusal.body, refusal.status, refusal.headers)
        case NotFoundException():
            return Response(content=_PAGE, status_code=404, media_type="text/html")
        case HTTPException():
            return answer({"detail": error.detail}, error.status_code)
    if isinstance(error, TEMPORARY):
        _log.warning("unavailable", error=type(error).__name__, path=request.url.path)
        busy = Busy()
        return answer(busy.body, busy.status, busy.headers)
    _log.error("request failed", path=request.url.path, method=request.method, exc_info=error)
    return answer({"detail": "A server error has occurred."}, 500)
