"""Login sessions, in a KV bucket under the sha256 of their id; entries expire by themselves."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from nats.js.errors import KeyNotFoundError, NotFoundError

from ops import clock, ids
from schemas import subjects
from schemas.streams import SESSIONS

if TYPE_CHECKING:
    from nats.aio.client import Client

COOKIE = "awx_sessionid"
CSRF_COOKIE = "csrftoken"
AGE_S = 1800
RENEW_AFTER_S = 60
"""A session in use is written again at most this often (seconds)."""


class Session(Struct, frozen=True, kw_only=True):
    """Who is logged in; ``proof`` ties the session to the password it was opened with."""

    user: int
    proof: str
    renewed: float
    """Unix time of the last renewal."""


class Sessions:
    """The sessions of all API processes."""

    def __init__(self, nats: Client) -> None:
        """Keep sessions in the bucket of this connection's JetStream."""
        self._js = nats.jetstream()

    async def open(self, user: int, password_hash: str) -> str:
        """Open a session and return its id, which is stored nowhere."""
        session_id = ids.new_token()
        await self._write(session_id, user, password_hash)
        return session_id

    async def find(self, session_id: str) -> Session | None:
        """Return a session that has not expired; None otherwise."""
        bucket = await self._js.key_value(SESSIONS.name)
        try:
            entry = await bucket.get(_key(session_id))
        except (KeyNotFoundError, NotFoundError):
            return None
        if not entry.value:
            return None
        session = msgspec.json.decode(entry.value, type=Session)
        expired = clock.now().timestamp() - session.renewed > AGE_S
        return None if expired else session

    async def renew(self, session_id: str, session: Session, password_hash: str) -> None:
        """Start the session's time anew, unless that was done a moment ago."""
        if clock.now().timestamp() - session.renewed > RENEW_AFTER_S:
            await self._write(session_id, session.user, password_hash)

    async def close(self, session_id: str) -> None:
        """End a session; one that is not there stays so."""
        bucket = await self._js.key_value(SESSIONS.name)
        await bucket.delete(_key(session_id))

    async def _write(self, session_id: str, user: int, password_hash: str) -> None:
        session = Session(user=user, proof=proof_of(password_hash), renewed=clock.now().timestamp())
        await self._js.publish(
            subjects.kv(SESSIONS.name, _key(session_id)),
            msgspec.json.encode(session),
            headers={"Nats-TTL": f"{AGE_S}s"},
        )


def proof_of(password_hash: str) -> str:
    """Return what ties a session to a password hash: it changes with every new password."""
    return hashlib.sha256(password_hash.encode()).hexdigest()


def _key(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
