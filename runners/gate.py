"""Lets about as many playbooks start at once as there are processors.

Before its first event a playbook only computes: modules are imported, files parsed. Two on two
processors take 0.50 s of processor time each, eight 0.66 s, and all of them come later. Once it has
begun, it mostly waits for hosts, and is counted no more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

HELD_S = 10.0
"""A start that takes longer waits for something: a prompt, a slow inventory."""


class Turn:
    """The permission to start; it is given back once, whoever does so."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        """``give_back`` is called once."""
        self._give_back: Callable[[], None] | None = give_back
        self._timer = asyncio.get_running_loop().call_later(HELD_S, self.end)

    def end(self) -> None:
        """Let the next one start; said again it changes nothing."""
        self._timer.cancel()
        if self._give_back is not None:
            self._give_back()
            self._give_back = None


class StartGate:
    """Turns, in the order they were asked for."""

    def __init__(self, places: int = 0) -> None:
        """``places`` at once; 0 for one more than processors: each waits for disks now and then."""
        self._free = asyncio.Semaphore(places or len(os.sched_getaffinity(0)) + 1)

    async def turn(self) -> Turn:
        """Wait for a turn."""
        await self._free.acquire()
        return Turn(self._free.release)
