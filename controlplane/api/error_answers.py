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
from litestar.routes import HTTPRoute
from litestar.status_codes import HTTP_401_UNAUTHORIZED, HTTP_500_INTERNAL_SERVER_ERROR

from controlplane.api.call import answer
from controlplane.api.client_address import client_address
from controlplane.api.errors import Busy, Refusal, method_not_allowed
from controlplane.domain.errors import Rejected, Unavailable
from controlplane.shell.read_model import STATEMENT_TIMEOUT_MS

_log = structlog.get_logger()
_QUERY_S = STATEMENT_TIMEOUT_MS // 1000
NO_PATH = "The requested resource could not be found."

TEMPORARY: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.QueryCanceledError,
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncio.TimeoutError,
    ConnectionError,
    OSError,
    nats.errors.Error,
    nats.js.errors.ServiceUnavailableError,
    nats.js.errors.NoStreamResponseError,
)
"""Failures of servers that may be back in a moment; during an upgrade the tables may be those of
another build, which replaces this one or is replaced.
"""


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Return the answer to an error raised while serving a request."""
    if isinstance(error, NotFoundException):
        return answer({"detail": NO_PATH}, 404)
    refusal = _refusal(request, error)
    if refusal.status < HTTP_500_INTERNAL_SERVER_ERROR:
        _tell(request, refusal)
    return answer(refusal.body, refusal.status, refusal.headers)


def _tell(request: Request[Any, Any, Any], refusal: Refusal) -> None:
    """Log a refused request in the words of API_400_ERROR_LOG_FORMAT."""
    text = str(request.app.state.services.settings_store.get("API_400_ERROR_LOG_FORMAT"))
    body = refusal.body if isinstance(refusal.body, dict) else {}
    words = {
        "status_code": refusal.status,
        "user_name": request.scope["state"].get("username", "AnonymousUser"),
        "url_path": f"{request.scope['path'].rstrip('/')}/",
        "remote_addr": client_address(request),
        "error": body.get("error") or body.get("detail") or "",
    }
    for name, value in words.items():
        text = text.replace(f"{{{name}}}", str(value))
    told = _log.info if refusal.status == HTTP_401_UNAUTHORIZED else _log.warning
    told(text)


def _refusal(request: Request[Any, Any, Any], error: Exception) -> Refusal:
    match error:
        case Refusal():
            return error
        case Unavailable():
            return Refusal(error.status, error.body, {"Retry-After": str(error.retry_after_s)})
        case Rejected():
            return Refusal(error.status, error.body)
        case MethodNotAllowedException():
            return method_not_allowed(request.method, _allowed(request))
        case HTTPException():
            return Refusal(error.status_code, {"detail": error.detail})
    return _failure(request, error)


def _allowed(request: Request[Any, Any, Any]) -> str:
    """Return the methods of the path asked for; the router does not say which it matched."""
    asked = request.scope["path"].strip("/").split("/")
    for route in request.app.routes:
        parts = route.path.strip("/").split("/")
        if isinstance(route, HTTPRoute) and len(parts) == len(asked):
            pairs = zip(parts, asked, strict=True)
            if all(part.startswith("{") or part == given for part, given in pairs):
                return ", ".join(sorted(str(method) for method in route.methods))
    return ""


def _busy(error: Exception) -> Busy:
    if isinstance(error, asyncpg.QueryCanceledError):
        return Busy(f"The query took longer than {_QUERY_S} seconds and was given up.")
    return Busy()


def _failure(request: Request[Any, Any, Any], error: Exception) -> Refusal:
    if isinstance(error, TEMPORARY):
        _log.warning("unavailable", error=type(error).__name__, path=request.url.path)
        return _busy(error)
    _log.error("request failed", path=request.url.path, method=request.method, exc_info=error)
    return Refusal(500, {"detail": "A server error has occurred."})
