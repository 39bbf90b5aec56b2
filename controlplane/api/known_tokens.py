"""What tokens stood for a moment ago, for exactly as long as CONFIG has not moved since.

A token's user, scope and roles, and what ``/api/v2/me/`` says, follow from CONFIG alone; the tables
name the position they stand at. So one look at that position tells whether what was found before
still holds: a token that anybody ended, wherever, is gone with the next request.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from controlplane.domain.access import Principal
from controlplane.shell.catch_up import CatchUp
from controlplane.shell.config_writer import PROJECTION
from ops import clock

MAX = 10_000
_POSITION = "select position from checkpoint where projection = $1"


class Known(Struct, frozen=True, kw_only=True):
    """One token that lets somebody in."""

    token: int
    principal: Principal
    expires: datetime


class KnownTokens:
    """What this process found out since CONFIG last moved."""

    def __init__(self) -> None:
        """Know nothing."""
        self._position = -1
        self._tokens: dict[str, Known] = {}
        self._bodies: dict[tuple[int, bool], bytes] = {}

    async def settle(self, catch_up: CatchUp) -> int:
        """Forget what may have changed; returns the position that the tables stand at."""
        rows = await catch_up.fetch(_POSITION, PROJECTION)
        position: int = rows[0]["position"] if rows else -1
        if position != self._position or len(self._tokens) >= MAX:
            self._position = position
            self._tokens.clear()
            self._bodies.clear()
        return position

    def find(self, digest: str) -> Known | None:
        """Return what a token stands for; ask right after ``settle``."""
        known = self._tokens.get(digest)
        return None if known is None or known.expires <= clock.now() else known

    def keep(self, position: int, digest: str, known: Known) -> None:
        """Remember what was read of a token after ``settle`` returned a position."""
        if position == self._position:
            self._tokens[digest] = known

    def body(self, position: int, who: Principal) -> bytes | None:
        """Return what was said of somebody at a position."""
        if position < 0 or position != self._position:
            return None
        return self._bodies.get((who.id, who.read_only))

    def keep_body(self, position: int, who: Principal, body: bytes) -> None:
        """Remember what was read about somebody after ``settle`` returned a position."""
        if 0 <= position == self._position:
            self._bodies[who.id, who.read_only] = body
