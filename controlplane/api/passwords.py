"""Checking passwords: Argon2 in a thread, with a short memory of what was right."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from contextlib import AbstractAsyncContextManager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from controlplane.shell.read_model import Row
from ops import clock, ids

REMEMBER_S = 60.0
REMEMBER_MAX = 10_000
AT_ONCE = 2
"""Checks that run together: each takes 64 MiB and a processor."""

_hasher = PasswordHasher()
_NOBODY = _hasher.hash("nobody")
"""Compared with when there is no such user, so that the answer takes as long."""


class Passwords:
    """Verifies passwords; a right one is remembered ``REMEMBER_S`` s from its last use.

    A wrong one is never remembered. Who gives one that is not wait in ``line``, before anything
    else is held for them: guessing keeps neither connections nor processors from others.
    """

    def __init__(self) -> None:
        """Start with an empty memory and a key of its own."""
        self._key = ids.random_bytes(32)
        self._known: dict[tuple[int, str, bytes], float] = {}
        self._lately: dict[bytes, float] = {}
        self._line = asyncio.Semaphore(AT_ONCE)

    def line(self, username: str, password: str) -> AbstractAsyncContextManager[None]:
        """Return the place where a check may run: at once for what was right a moment ago."""
        return contextlib.nullcontext() if self.lately(username, password) else self._line

    def lately(self, username: str, password: str) -> bool:
        """Return whether a password that is kept here was right a moment ago."""
        until = self._lately.get(self._mark(f"{username}:{password}"))
        return until is not None and until > clock.monotonic()

    async def right(self, user: Row, password: str) -> bool:
        """Return whether the password belongs to the user's stored hash; ask within ``line``."""
        mark = (user["id"], user["password"], self._mark(password))
        known = self._known.get(mark, 0.0) > clock.monotonic()
        if not known and not await asyncio.to_thread(_verify, user["password"], password):
            return False
        for memory in (self._known, self._lately):
            if len(memory) >= REMEMBER_MAX:
                memory.clear()
        self._known[mark] = clock.monotonic() + REMEMBER_S
        self._lately[self._mark(f"{user['username']}:{password}")] = self._known[mark]
        return True

    async def waste(self, password: str) -> None:
        """Take the time of a check for a user that does not exist."""
        await asyncio.to_thread(_verify, _NOBODY, password)

    def _mark(self, password: str) -> bytes:
        return hmac.new(self._key, password.encode(errors="replace"), hashlib.sha256).digest()


def _verify(stored_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(stored_hash, password.encode(errors="replace"))
    except (VerificationError, InvalidHashError):
        return False
