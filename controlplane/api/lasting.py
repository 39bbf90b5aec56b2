"""Connections that last: whether who opened one is still let in, and may still see what it shows.

Live clients stay for hours; a logout, an ended token, a new password or a role taken away must not
wait for them to go. Each asks again every ``AGAIN_S`` seconds.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import structlog
from litestar.connection import ASGIConnection

from controlplane.api import guards
from controlplane.api.auth import Authenticator, Login
from controlplane.api.errors import NotAuthenticated, PermissionDenied
from controlplane.api.services import Services
from ops import clock

AGAIN_S = 5.0

_log = structlog.get_logger()

Connection = ASGIConnection[Any, Any, Any, Any]


class LoggedOut(Exception):
    """Who opened the connection would not be let in any more."""


class Lasting:
    """One connection's right to go on."""

    def __init__(self, connection: Connection) -> None:
        """Start with a connection that was let in just now."""
        self._connection = connection
        self._services: Services = connection.app.state.services
        self._authenticator: Authenticator = connection.app.state.authenticator
        self._due = clock.monotonic() + AGAIN_S

    async def identify(self) -> Login | None:
        """Return who it is now; None when a server is away and nobody can say.

        Keeps no session awake. Raises LoggedOut.
        """
        self._due = clock.monotonic() + AGAIN_S
        try:
            line = self._authenticator.line(self._connection)
            async with line, self._services.read.view() as view:
                login = await self._authenticator.identify(self._connection, view, renew=False)
        except (NotAuthenticated, PermissionDenied) as refusal:
            raise LoggedOut from refusal
        except Exception as error:  # noqa: BLE001 - whatever is away, live output goes on meanwhile
            _log.warning("cannot ask again", error=type(error).__name__)
            return None
        if login is None:
            raise LoggedOut
        return login

    async def may(self, verb: str, kind: str, object_id: int) -> bool:
        """Tell whether it may still do something to an object; asks at most every ``AGAIN_S``."""
        if clock.monotonic() < self._due:
            return True
        try:
            login = await self.identify()
        except LoggedOut:
            return False
        if login is None:
            return True
        async with self._services.read.view() as view:
            return await guards.may(view, login.principal, verb, kind, object_id)


def from_elsewhere(connection: Connection) -> bool:
    """Tell whether a page of another site opened this connection with its reader's cookies.

    The sites of CSRF_TRUSTED_ORIGINS are no others; ``https://*.example.com`` is all below one.
    """
    origin = connection.headers.get("origin", "")
    if not origin or urlsplit(origin).netloc == connection.headers.get("host", ""):
        return False
    services: Services = connection.app.state.services
    trusted = services.settings_store.get("CSRF_TRUSTED_ORIGINS")
    return not any(_is_of(origin, each) for each in trusted)


def _is_of(origin: str, trusted: str) -> bool:
    scheme, _, host = trusted.partition("://*.")
    if not host:
        return origin == trusted
    return origin.startswith(f"{scheme}://") and origin.endswith(f".{host}")
