"""Errors of the HTTP side, and the one place where any error becomes a status and an AWX body.

``Refusal`` carries an answer; ``BadRequest``, ``PermissionDenied``, ``Missing`` and their like are
made where a request is read. Whatever is unexpected becomes a logged 500 without a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORBIDDEN = "You do not have permission to perform this action."
UNAUTHENTICATED = (
    "Authentication credentials were not provided. To establish a login session, visit /api/login/."
)
CHALLENGE = "Bearer realm=api authorization_url=/api/o/authorize/"
BAD_CONTENT_TYPE = (
    "You did not use correct Content-Type in your HTTP request. If you are using our REST API, the"
    " Content-Type must be application/json"
)
RETRY_AFTER_S = 2


class Refusal(Exception):
    """A request is answered with this status, JSON body and extra headers."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """Keep the answer."""
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


class BadRequest(Refusal):
    """400 with ``{"detail": ...}``, or with a body of field messages."""

    def __init__(self, problem: str | dict[str, Any]) -> None:
        """Take a sentence or a whole body."""
        super().__init__(400, {"detail": problem} if isinstance(problem, str) else problem)


class PermissionDenied(Refusal):
    """403: the caller may not do this."""

    def __init__(self, detail: str = FORBIDDEN) -> None:
        """Take the sentence shown."""
        super().__init__(403, {"detail": detail})


class NotAuthenticated(Refusal):
    """401: nobody, or not who they claim to be; one text for every cause."""

    def __init__(self) -> None:
        """Challenge for a Bearer token, never for Basic."""
        super().__init__(401, {"detail": UNAUTHENTICATED}, {"WWW-Authenticate": CHALLENGE})


class Missing(Refusal):
    """404 with a JSON body: the path exists, the object does not."""

    def __init__(self, verbose: str = "") -> None:
        """Name what was looked for, as in ``JobTemplate``."""
        detail = f"No {verbose} matches the given query." if verbose else "Not found."
        super().__init__(404, {"detail": detail})


class Busy(Refusal):
    """503: nothing was stored, the same request may be sent again."""

    def __init__(self, detail: str = "The service is temporarily unavailable.") -> None:
        """Ask for a retry after ``RETRY_AFTER_S`` seconds."""
        super().__init__(503, {"detail": detail}, {"Retry-After": str(RETRY_AFTER_S)})


def method_not_allowed(method: str, allow: str) -> Refusal:
    """Return the 405 of a path that exists."""
    return Refusal(405, {"detail": f'Method "{method}" not allowed.'}, {"Allow": allow})
