"""Login sessions, in a KV bucket under user and sha256 of their id; entries expire by themselves.

The id that a client holds names its user, so that all sessions of a user can be counted and ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.datastructures import Cookie
from msgspec import Struct
from nats.js.errors import APIError, NotFoundError

from controlplane.api.login_settings import LoginSettings, ttl
from controlplane.domain.numerals import whole
from ops import clock, direct, ids
from schemas import subjects
from schemas.streams import SESSIONS

if TYPE_CHECKING:
    from nats.aio.client import Client

COOKIE = "awx_sessionid"
CSRF_COOKIE = "csrftoken"
RENEW_AFTER_S = 60
"""A session in use is written again at most this often (seconds)."""
WRITTEN_SINCE = 10071
"""JetStream's error code: another request renewed the session meanwhile, or ended it."""
_STREAM = f"KV_{SESSIONS.name}"


class Session(Struct, frozen=True, kw_only=True):
    """Who is logged in; ``proof`` ties the session to the password it was opened with."""

    user: int
    proof: str = ""
    renewed: float = 0.0
    """Unix time of the last renewal."""
    opened: float = 0.0
    age_s: int = 1800
    """It ends when it is not used for so long."""
    revision: int = 0
    """Where it was read: it is only ever written over what was read, never over its end."""


class Sessions:
    """The sessions of all API processes."""

    def __init__(self, nats: Client, settings: Callable[[], LoginSettings]) -> None:
        """Keep sessions in the bucket of this connection's JetStream, as the settings say."""
        self._connection = nats
        self._settings = settings
        self._js = nats.jetstream()

    async def open(self, user: int, password_hash: str) -> str:
        """Open a session and return its id, which is stored nowhere; the oldest may have to end."""
        settings = self._settings()
        if settings.sessions_max >= 0:
            await self._make_room(user, settings.sessions_max - 1)
        session_id = f"{user}.{ids.new_token()}"
        opened = clock.now().timestamp()
        await self._write(session_id, Session(user=user, opened=opened), password_hash)
        return session_id

    async def find(self, session_id: str) -> Session | None:
        """Return a session that has not expired; None otherwise."""
        key = _key(session_id)
        if key is None:
            return None
        try:
            entry = await direct.last_on_subject(
                self._connection, _STREAM, subjects.kv(SESSIONS.name, key)
            )
        except NotFoundError:
            return None
        session = _alive(entry.data)
        return session and msgspec.structs.replace(session, revision=entry.sequence)

    async def renew(self, session_id: str, session: Session, password_hash: str) -> bool:
        """Start the session's time anew, unless that was done a moment ago."""
        due = clock.now().timestamp() - session.renewed > RENEW_AFTER_S
        if due:
            await self._write(session_id, session, password_hash)
        return due

    async def rebind(self, session_id: str, session: Session, password_hash: str) -> None:
        """Let a session go on under another password of its user."""
        await self._write(session_id, session, password_hash)

    async def close(self, session_id: str) -> None:
        """End a session; one that is not there stays so."""
        key = _key(session_id)
        if key is not None:
            await self._delete(subjects.kv(SESSIONS.name, key))

    async def _make_room(self, user: int, kept: int) -> None:
        """End the oldest sessions of a user beyond a number."""
        pattern = subjects.kv(SESSIONS.name, f"{user}.*")
        entries = await direct.last_of_each(self._connection, _STREAM, pattern)
        found = [(entry.subject, session) for entry in entries if (session := _alive(entry.data))]
        found.sort(key=lambda each: each[1].opened, reverse=True)
        for subject, _session in found[max(kept, 0) :]:
            await self._delete(subject)

    async def _delete(self, subject: str) -> None:
        headers = {"KV-Operation": "DEL", "Nats-TTL": ttl(self._settings().session_s)}
        await self._js.publish(subject, b"", headers=headers)

    async def _write(self, session_id: str, session: Session, password_hash: str) -> None:
        age_s = self._settings().session_s
        written = msgspec.structs.replace(
            session, proof=proof_of(password_hash), renewed=clock.now().timestamp(), age_s=age_s
        )
        headers = {
            "Nats-TTL": ttl(age_s),
            "Nats-Expected-Last-Subject-Sequence": str(session.revision),
        }
        subject = subjects.kv(SESSIONS.name, _key(session_id) or "")
        try:
            await self._js.publish(subject, msgspec.json.encode(written), headers=headers)
        except APIError as error:
            if error.err_code != WRITTEN_SINCE:
                raise


_THIS_MACHINE = ("127.0.0.1", "::1")


def session_cookie(session_id: str, age_s: int, scope: Any) -> Cookie:
    """Return the cookie that holds a session's id: no script may read it."""
    return Cookie(
        key=COOKIE,
        value=session_id,
        path="/",
        httponly=True,
        samesite="lax",
        max_age=age_s,
        secure=secure(scope),
    )


def secure(scope: Any) -> bool:
    """Return whether a request came encrypted: then its cookies are never sent otherwise.

    A proxy on this machine says so of what it took.
    """
    peer = scope.get("client") or ("",)
    if scope["scheme"] == "https" or peer[0] not in _THIS_MACHINE:
        return bool(scope["scheme"] == "https")
    said: bytes = dict(scope["headers"]).get(b"x-forwarded-proto", b"")
    return said.strip() == b"https"


def proof_of(password_hash: str) -> str:
    """Return what ties a session to a password hash: it changes with every new password."""
    return hashlib.sha256(password_hash.encode()).hexdigest()


def _alive(data: bytes) -> Session | None:
    """Return the session of an entry; None for the mark of one that ended, or an expired one."""
    if not data:
        return None
    session = msgspec.json.decode(data, type=Session)
    expired = clock.now().timestamp() - session.renewed > session.age_s
    return None if expired else session


def _key(session_id: str) -> str | None:
    user = whole(session_id.partition(".")[0])
    digest = hashlib.sha256(session_id.encode(errors="replace")).hexdigest()
    return None if user is None else f"{user}.{digest}"
