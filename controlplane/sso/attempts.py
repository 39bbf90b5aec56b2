"""Logins that are under way elsewhere, in a KV bucket: taken once, whichever process is asked.

The same bucket remembers what was used up, such as the ids of assertions, until it cannot be used
any more in any case.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from nats.js.errors import APIError, NotFoundError

from ops import direct, ids
from schemas import subjects
from schemas.streams import SSO

if TYPE_CHECKING:
    from nats.aio.client import Client

AGE_S = 600
"""A login elsewhere has to end within this."""
PROVED_S = 60
"""A browser that has proved itself comes for its session within this."""
WRITTEN_SINCE = 10071
"""JetStream's error code: the entry is not what was expected."""
_STREAM = f"KV_{SSO.name}"


class Unproved(Exception):
    """Somebody did not prove who they are; the reason is for the log and names no secret."""


class Attempt(Struct, frozen=True, kw_only=True):
    """A login that a browser began."""

    backend: str
    state: str
    """Comes back with the answer; stored as its digest only."""
    nonce: str
    verifier: str
    """Proves to the provider that who exchanges the code began the login (PKCE)."""
    browser: str
    """Digest of the cookie of the browser that began."""
    wanted: str
    """Path to go to afterwards."""
    idp: str = ""
    """Which of SAML's identity providers is asked."""
    request: str = ""
    """Id of the SAML request."""
    user: int = 0
    """Once proved: who it is."""


def new_attempt(backend: str, idp: str, browser: str, wanted: str) -> Attempt:
    """Return a login that a browser with this cookie begins now."""
    return Attempt(
        backend=backend,
        state=ids.new_token(),
        nonce=ids.new_token(),
        verifier=ids.new_token() + ids.new_token(),
        browser=digest(browser),
        wanted=wanted,
        idp=idp,
    )


class Attempts:
    """The attempts of all API processes."""

    def __init__(self, nats: Client) -> None:
        """Keep them in the bucket of this connection's JetStream."""
        self._connection = nats
        self._js = nats.jetstream()

    async def keep(self, attempt: Attempt, age_s: int = AGE_S) -> None:
        """Remember an attempt by its state."""
        body = msgspec.structs.replace(attempt, state="")
        await self._write(digest(attempt.state), msgspec.json.encode(body), age_s, expected=0)

    async def take(self, state: str) -> Attempt | None:
        """Return an attempt that is under way, once; None for any other state."""
        key = digest(state)
        try:
            entry = await direct.last_by_leader(
                self._connection, _STREAM, subjects.kv(SSO.name, key)
            )
        except NotFoundError:
            return None
        if not entry.data or not await self._write(key, b"", AGE_S, expected=entry.sequence):
            return None
        attempt = msgspec.json.decode(entry.data, type=Attempt)
        return msgspec.structs.replace(attempt, state=state)

    async def use_up(self, what: str, for_s: float) -> bool:
        """Remember for so long that something was used; False when it was before."""
        return await self._write(digest(what), b"", max(1, math.ceil(for_s)), expected=0)

    async def _write(self, key: str, body: bytes, age_s: int, *, expected: int) -> bool:
        headers = {
            "Nats-TTL": f"{age_s}s",
            "Nats-Expected-Last-Subject-Sequence": str(expected),
        }
        try:
            await self._js.publish(subjects.kv(SSO.name, key), body, headers=headers)
        except APIError as error:
            if error.err_code != WRITTEN_SINCE:
                raise
            return False
        return True


def digest(text: str) -> str:
    """Return the sha256 (hex) of a text: what is stored of a secret."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
