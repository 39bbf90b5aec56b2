"""Who sends a request: Bearer token, session cookie or Basic, in this order (``api.md`` 1.4)."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar.connection import ASGIConnection
from msgspec import Struct

from controlplane.api.errors import NotAuthenticated, PermissionDenied
from controlplane.api.passwords import Passwords
from controlplane.api.sessions import COOKIE, CSRF_COOKIE, Sessions, proof_of
from controlplane.domain.access import Principal
from controlplane.shell.read_model import Row, View
from ops import clock

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
Connection = ASGIConnection[Any, Any, Any, Any]


class Login(Struct, frozen=True, kw_only=True):
    """How somebody proved who they are."""

    principal: Principal
    way: str
    """``session``, ``basic`` or ``token``."""


class LoginFailed(NotAuthenticated):
    """Somebody tried and was refused; answered like any other 401."""

    def __init__(self, username: str, user: int | None, way: str) -> None:
        """Keep what the access record names."""
        super().__init__()
        self.username = username
        self.user = user
        self.way = way


class Authenticator:
    """Identifies the sender of a request."""

    def __init__(self, sessions: Sessions, passwords: Passwords) -> None:
        """Look sessions up in ``sessions`` and check passwords with ``passwords``."""
        self.sessions = sessions
        self.passwords = passwords

    async def identify(
        self, connection: Connection, view: View, *, renew: bool = True
    ) -> Login | None:
        """Return the sender; None when anonymous. Raises LoginFailed, or 403 without CSRF token.

        ``renew``: a session in use starts its time anew.
        """
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._bearer(given.strip(), view)
        session_id = connection.cookies.get(COOKIE)
        if session_id:
            found = await self._session(connection, session_id, view, renew=renew)
            if found is not None:
                return found
        if scheme.lower() == "basic":
            return await self._basic(given.strip(), view)
        return None

    def line(self, connection: Connection) -> AbstractAsyncContextManager[None]:
        """Return where who sends a password waits, before the read model is opened for them."""
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return contextlib.nullcontext()
        try:
            return self.passwords.line(*_name_and_password(given.strip()))
        except NotAuthenticated:
            return contextlib.nullcontext()

    async def check_password(self, username: str, password: str, view: View, way: str) -> Row:
        """Return the user's row when the password is right; raises LoginFailed.

        Ask within the ``line`` of the name and password.
        """
        row = await view.named_row("user_by_name", username.replace("\x00", ""))
        if row is None:
            await self.passwords.waste(password)
            raise LoginFailed(username, None, way)
        if not await self.passwords.right(row, password):
            raise LoginFailed(username, row["id"], way)
        return row

    async def _basic(self, given: str, view: View) -> Login:
        username, password = _name_and_password(given)
        row = await self.check_password(username, password, view, "basic")
        return Login(principal=await principal_of(row, view), way="basic")

    async def _bearer(self, token: str, view: View) -> Login:
        digest = hashlib.sha256(token.encode(errors="replace")).hexdigest()
        row = await view.named_row("user_by_token", digest, clock.now())
        if row is None:
            raise LoginFailed("", None, "token")
        read_only = "write" not in row["scope"].split()
        return Login(principal=await principal_of(row, view, read_only=read_only), way="token")

    async def _session(
        self, connection: Connection, session_id: str, view: View, *, renew: bool
    ) -> Login | None:
        session = await self.sessions.find(session_id)
        if session is None:
            return None
        row = await view.named_row("user_by_id", session.user)
        if row is None or not hmac.compare_digest(session.proof, proof_of(row["password"])):
            return None
        method = connection.scope.get("method", "GET")
        if method not in SAFE_METHODS:
            check_csrf(connection.cookies, connection.headers.get("x-csrftoken", ""))
        if renew:
            await self.sessions.renew(session_id, session, row["password"])
        return Login(principal=await principal_of(row, view), way="session")


def _name_and_password(given: str) -> tuple[str, str]:
    """Return what a Basic header holds; raises NotAuthenticated."""
    try:
        username, colon, password = base64.b64decode(given).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise NotAuthenticated from error
    if not colon:
        raise NotAuthenticated
    return username, password


def check_csrf(cookies: Mapping[str, str], token: str) -> None:
    """Raise AWX's 403 unless the token sent is the cookie's."""
    cookie = cookies.get(CSRF_COOKIE, "")
    if not cookie:
        raise PermissionDenied("CSRF Failed: CSRF cookie not set.")
    if not token:
        raise PermissionDenied("CSRF Failed: CSRF token missing.")
    if not hmac.compare_digest(cookie.encode(), token.encode()):
        detail = "CSRF Failed: CSRF token from the 'X-Csrftoken' HTTP header incorrect."
        raise PermissionDenied(detail)


async def principal_of(row: Row, view: View, *, read_only: bool = False) -> Principal:
    """Return a user with the grants held; a superuser's do not matter and are not read."""
    grants: dict[tuple[str, int], frozenset[str]] = {}
    if not row["is_superuser"]:
        for grant in await view.named("grants_of_user", row["id"]):
            key = (grant["kind"], grant["object_id"])
            grants[key] = grants.get(key, frozenset()) | {grant["role"]}
    return Principal(
        id=row["id"],
        username=row["username"],
        superuser=row["is_superuser"],
        auditor=row["is_system_auditor"],
        grants=grants,
        read_only=read_only,
    )
