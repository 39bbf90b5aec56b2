"""Who sends a request: Bearer token, session cookie or Basic, in this order (``api.md`` 1.4)."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from litestar.connection import ASGIConnection
from msgspec import Struct

from controlplane.api.errors import NotAuthenticated, PermissionDenied
from controlplane.api.known_tokens import Known, KnownTokens
from controlplane.api.login_records import record
from controlplane.api.login_settings import LoginSettings
from controlplane.api.passwords import Passwords
from controlplane.api.services import Services
from controlplane.api.sessions import COOKIE, CSRF_COOKIE, Sessions, proof_of
from controlplane.domain.access import Principal
from controlplane.domain.facts import plain
from controlplane.shell.read_model import Row, View
from ops import clock

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
Connection = ASGIConnection[Any, Any, Any, Any]


class Login(Struct, frozen=True, kw_only=True):
    """How somebody proved who they are."""

    principal: Principal
    way: str
    """``session``, ``basic`` or ``token``."""
    session_id: str = ""
    """Of a session that was renewed by this request: its cookie is to be sent again."""
    number: int = 0
    """Of the token, or of the user whose password it was."""
    position: int = -1
    """Of a token: where the tables stood that it was looked up in."""


class Identity(Struct, frozen=True, kw_only=True):
    """A user who has proved who they are, in whatever way: what a session is opened for."""

    user: int
    username: str
    password_hash: str
    """As it is stored now (empty for none): the session ends with it."""
    way: str
    """As the record of the login names it: ``session``, ``ldap``, ``oidc``, ``saml``."""


class PasswordSource(Protocol):
    """A directory elsewhere that knows names and passwords, such as LDAP."""

    @property
    def name(self) -> str:
        """Return the name that records of logins give it."""
        ...

    async def ask(self, username: str, password: str) -> None:
        """Have it judge a name and password, unless a user of ours is none of its business."""
        ...

    async def judges(self, row: Row | None) -> bool:
        """Return whether it may let in this user, or a name that nobody here has."""
        ...

    async def user_of(self, username: str, password: str, view: View) -> Row | None:
        """Return the user whom it vouched for when it was asked; None when it did not."""
        ...


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

    def __init__(
        self,
        sessions: Sessions,
        passwords: Passwords,
        settings: Callable[[], LoginSettings],
        sources: Sequence[PasswordSource] = (),
    ) -> None:
        """Look sessions up in ``sessions``; check with ``passwords``, then ask the ``sources``."""
        self.sessions = sessions
        self.passwords = passwords
        self.known = KnownTokens()
        self._settings = settings
        self._sources = tuple(sources)

    async def identify(
        self, connection: Connection, view: View, *, renew: bool = True, csrf: bool = True
    ) -> Login | None:
        """Return the sender; None when anonymous. Raises LoginFailed, or 403 without CSRF token.

        ``renew``: a session in use starts its time anew. Not ``csrf``: the caller sees to that.
        """
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._bearer(connection, given.strip(), view)
        session_id = connection.cookies.get(COOKIE)
        if session_id:
            found = await self._session(connection, session_id, view, renew=renew, csrf=csrf)
            if found is not None:
                return found
        if scheme.lower() == "basic" and self._settings().basic:
            return await self._basic(given.strip(), view)
        return None

    async def log_in(self, connection: Connection, identity: Identity) -> str:
        """Open a session for somebody who has proved who they are; returns its id."""
        session_id = await self.sessions.open(identity.user, identity.password_hash)
        await record(connection, identity.username, identity.user, identity.way, accepted=True)
        return session_id

    def line(self, connection: Connection) -> AbstractAsyncContextManager[None]:
        """Return where who sends a password waits, before the read model is opened for them."""
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic" or not self._settings().basic:
            return contextlib.nullcontext()
        try:
            return self.password_line(*_name_and_password(given.strip()))
        except NotAuthenticated:
            return contextlib.nullcontext()

    @contextlib.asynccontextmanager
    async def password_line(self, username: str, password: str) -> AsyncIterator[None]:
        """Ask the sources about a password, then wait where it may be checked."""
        if not self.passwords.lately(username, password):
            for source in self._sources:
                await source.ask(username, password)
        async with self.passwords.line(username, password):
            yield

    async def check_password(self, username: str, password: str, view: View, way: str) -> Row:
        """Return the user's row when the password is right; raises LoginFailed.

        Ask within the ``password_line`` of the name and password.
        """
        for source in self._sources:
            found = await source.user_of(username, password, view)
            if found is not None:
                return found
        row = None
        if plain(username):
            row = await view.named_row("user_by_name", username)
        if row is None or not row["password"]:
            await self.passwords.waste(password)
        elif self._settings().local and await self.passwords.right(row, password):
            return row
        for source in self._sources:
            way = source.name if await source.judges(row) else way
        raise LoginFailed(username, None if row is None else row["id"], way)

    async def _basic(self, given: str, view: View) -> Login:
        username, password = _name_and_password(given)
        row = await self.check_password(username, password, view, "basic")
        principal = await principal_of(row, view)
        return Login(principal=principal, way="basic", number=principal.id)

    async def _bearer(self, connection: Connection, token: str, view: View) -> Login:
        digest = hashlib.sha256(token.encode(errors="replace")).hexdigest()
        services: Services = connection.app.state.services
        position = await self.known.settle(services.catch_up)
        known = self.known.find(digest)
        if known is None:
            row = await view.named_row("user_by_token", digest, clock.now())
            if row is None:
                raise LoginFailed("", None, "token")
            read_only = "write" not in row["scope"].split()
            principal = await principal_of(row, view, read_only=read_only)
            known = Known(token=row["token"], principal=principal, expires=row["expires"])
            self.known.keep(position, digest, known)
        return Login(principal=known.principal, way="token", number=known.token, position=position)

    async def _session(
        self, connection: Connection, session_id: str, view: View, *, renew: bool, csrf: bool
    ) -> Login | None:
        session = await self.sessions.find(session_id)
        if session is None:
            return None
        row = await view.named_row("user_by_id", session.user)
        if row is None or not hmac.compare_digest(session.proof, proof_of(row["password"])):
            return None
        method = connection.scope.get("method", "GET")
        if csrf and method not in SAFE_METHODS:
            check_csrf(connection.cookies, connection.headers.get("x-csrftoken", ""))
        renewed = renew and await self.sessions.renew(session_id, session, row["password"])
        return Login(
            principal=await principal_of(row, view),
            way="session",
            session_id=session_id if renewed else "",
        )


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
        for grant in await view.named("grants_of_users", [row["id"]]):
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
