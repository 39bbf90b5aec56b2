"""The attempts this agent holds, and how much of its capacity they take."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from runners.gate import Turn
from runners.record import Key, Record
from schemas.work import PlaybookRun

ENDED_REMEMBERED = 4096


class Supervisor(Protocol):
    """The process that has charge of an attempt; it need not be our child."""

    def cancel(self) -> None:
        """Order it to end its job; a second order takes the grace away.

        Harmless when it has ended.
        """

    def kill(self) -> None:
        """End it at once; its job's processes live on. Harmless when it has ended."""

    async def wait(self) -> None:
        """Return when it has ended."""


class HeldAttempt:
    """One attempt from its grant to its release."""

    def __init__(self, record: Record, directory: Path) -> None:
        """Not started as far as we know."""
        self.record = record
        self.directory = directory
        self.handle: Supervisor | None = None
        self.cancel_wanted = asyncio.Event()
        self.unpublished_bytes = 0
        self.turn: Turn | None = None
        """While it is starting."""

    def begun(self) -> None:
        """Let the next attempt start: this one has, or never will."""
        if self.turn is not None:
            self.turn.end()
            self.turn = None


class Held:
    """Every attempt is counted once, whatever group its order came through."""

    def __init__(self, capacity: int) -> None:
        """``capacity`` in forks."""
        self._capacity = capacity
        self._reserved: dict[Key, int] = {}
        self._ended: OrderedDict[Key, None] = OrderedDict()
        self.attempts: dict[Key, HeldAttempt] = {}
        self.enabled = True
        """False when the control plane wants no new work here."""
        self.changed = asyncio.Event()

    @property
    def capacity(self) -> int:
        """Return how many units there are in all."""
        return self._capacity

    def resize(self, capacity: int, *, enabled: bool) -> None:
        """Take the control plane's word about size and use."""
        if (capacity, enabled) != (self._capacity, self.enabled):
            self._capacity, self.enabled = capacity, enabled
            self.changed.set()

    @property
    def used(self) -> int:
        """Return the units in use."""
        return sum(self._reserved.values())

    @property
    def running(self) -> tuple[Key, ...]:
        """Return what is held, sorted."""
        return tuple(sorted(self._reserved))

    def contents(self) -> frozenset[str]:
        """Return the digests of the trees that held attempts see."""
        orders = [each.record.order.payload for each in self.attempts.values()]
        found = [
            digest
            for each in orders
            if isinstance(each, PlaybookRun)
            for digest in (each.project_content, each.galaxy_content)
        ]
        return frozenset(found)

    def knows(self, key: Key) -> bool:
        """Tell whether an attempt is held, or was and has ended."""
        return key in self._reserved or key in self._ended

    def fits(self, impact: int) -> bool:
        """Tell whether an attempt of this impact may be taken: an idle runner takes any."""
        if not self.enabled:
            return False
        return not self._reserved or impact <= self._capacity - self.used

    def wants(self, work_class: int) -> bool:
        """Tell whether an order of this class (impacts above half of it) can fit."""
        return self.fits(work_class // 2 + 1)

    def reserve(self, key: Key, impact: int) -> None:
        """Count an attempt."""
        self._reserved[key] = impact
        self.changed.set()

    def release(self, key: Key, *, ended: bool) -> None:
        """Count it no longer; one that has ended is never taken again."""
        self._reserved.pop(key, None)
        self.attempts.pop(key, None)
        if ended:
            self._ended[key] = None
            while len(self._ended) > ENDED_REMEMBERED:
                self._ended.popitem(last=False)
        self.changed.set()
