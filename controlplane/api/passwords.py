"""Checking passwords: Argon2 in a thread, with a short memory of what was right."""

from __future__ import annotations

import asyncio
import hashlib
import hmac

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ops import clock, ids

REMEMBER_S = 60.0
REMEMBER_MAX = 10_000

_hasher = PasswordHasher()
_NOBODY = _hasher.hash("nobody")
"""Compared with when there is no such user, so that the answer takes as long."""


class Passwords:
    """Verifies passwords; a right one is remembered for ``REMEMBER_S`` s, a wrong one never."""

    def __init__(self) -> None:
        """Start with an empty memory and a key of its own."""
        self._key = ids.random_bytes(32)
        self._known: dict[tuple[int, str, bytes], float] = {}

    async def right(self, user: int, stored_hash: str, password: str) -> bool:
        """Return whether the password belongs to the stored hash."""
        mark = (user, stored_hash, self._mark(password))
        until = self._known.get(mark)
        if until is not None and until > clock.monotonic():
            return True
        if not await asyncio.to_thread(_verify, stored_hash, password):
            return False
        if len(self._known) >= REMEMBER_MAX:
            self._known.clear()
        self._known[mark] = clock.monotonic() + REMEMBER_S
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
