"""Authorization codes: short-lived and good for one use, in a KV bucket under their sha256."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from nats.js.errors import APIError, NotFoundError

from controlplane.api.client_secrets import digest
from controlplane.api.login_settings import LoginSettings, ttl
from controlplane.api.sessions import WRITTEN_SINCE
from ops import clock, direct, ids
from schemas import subjects
from schemas.streams import CODES

if TYPE_CHECKING:
    from nats.aio.client import Client


class Code(Struct, frozen=True, kw_only=True):
    """What a user allowed an application: the token that a code is exchanged for."""

    application: int
    user: int
    username: str
    redirect_uri: str
    """As the authorization request had it; empty when it had none."""
    scope: str
    challenge: str
    """PKCE's, of the method S256; empty for none."""
    made: float
    """Unix time."""


class Codes:
    """The codes of all API processes."""

    def __init__(self, nats: Client, settings: Callable[[], LoginSettings]) -> None:
        """Keep codes in the bucket of this connection's JetStream, as the settings say."""
        self._connection = nats
        self._settings = settings

    async def keep(self, code: Code) -> str:
        """Keep a new code and return what the client is given of it."""
        secret = ids.new_token()
        await self._connection.jetstream().publish(
            _subject(secret),
            msgspec.json.encode(code),
            headers={"Nats-TTL": ttl(self._settings().code_s)},
        )
        return secret

    async def find(self, secret: str) -> tuple[Code, int] | None:
        """Return a code that may still be used, and the revision to use it at."""
        try:
            entry = await direct.last_by_leader(
                self._connection, f"KV_{CODES.name}", _subject(secret)
            )
        except NotFoundError:
            return None
        if not entry.data:
            return None
        code = msgspec.json.decode(entry.data, type=Code)
        expired = clock.now().timestamp() - code.made > self._settings().code_s
        return None if expired else (code, entry.sequence)

    async def use(self, secret: str, revision: int) -> bool:
        """Use a code up; False for all but one of those who try at once."""
        headers = {
            "KV-Operation": "DEL",
            "Nats-TTL": ttl(self._settings().code_s),
            "Nats-Expected-Last-Subject-Sequence": str(revision),
        }
        try:
            await self._connection.jetstream().publish(_subject(secret), b"", headers=headers)
        except APIError as error:
            if error.err_code != WRITTEN_SINCE:
                raise
            return False
        return True


def _subject(secret: str) -> str:
    return subjects.kv(CODES.name, digest(secret))
