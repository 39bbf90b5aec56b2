"""Virtual time and processes that can die at any step: no thread, no real clock, one seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Any

from tests.factories import NOW

Steps = Generator[Any, Any, None]
"""A task: it yields seconds to wait, or a ``Reply`` to wait for; it dies with its process."""


class Reply:
    """What a task waits for, within a bound; None when it did not come."""

    def __init__(self, within_s: float) -> None:
        self.within_s = within_s
        self.value: Any = None
        self.over = False
        self._resume: Callable[[], None] | None = None

    def give(self, value: Any) -> None:
        """Answer; an answer after the bound, or a second one, is heard by nobody."""
        if not self.over:
            self.value = value
            self.expire()

    def wait(self, resume: Callable[[], None]) -> None:
        """Remember how to go on."""
        self._resume = resume

    def expire(self) -> None:
        """Go on with what there is."""
        self.over = True
        if self._resume is not None:
            resume, self._resume = self._resume, None
            resume()


class Scheduler:
    """What happens next, by time and then by order of planning."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.trace: list[str] = []
        self.failure: Exception | None = None
        """What went wrong where nobody could raise it."""

    @property
    def at(self) -> datetime:
        """The virtual wall clock."""
        return NOW + timedelta(seconds=self.now)

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        """Plan an act."""
        self._number += 1
        heapq.heappush(self._planned, (self.now + delay_s, self._number, act))

    def step(self) -> None:
        """Do the next act."""
        self.now, _, act = heapq.heappop(self._planned)
        self.steps += 1
        act()
        if self.failure is not None:
            raise self.failure

    def tell(self, text: str) -> None:
        """Note what happened, for whoever repeats the seed."""
        self.trace.append(f"{self.now:9.3f}  {text}")


class Process:
    """A program: what it planned or runs is gone when it dies."""

    near = False
    """It stands beside the server."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.scheduler = scheduler
        self.name = name
        self.alive = False
        self.life = 0
        """Which of its lives this is."""
        self._still_until = 0.0

    def start(self) -> None:
        """Begin a life with no memory of an earlier one."""
        self.alive = True
        self.scheduler.tell(f"{self.name} starts")
        self.boot()

    def boot(self) -> None:
        """What it does first."""

    def crash(self) -> None:
        """Die; what stands on disk or in the log stays."""
        if self.alive:
            self.alive = False
            self.life += 1
            self.scheduler.tell(f"{self.name} dies")

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        """Plan an act of this life."""
        life = self.life

        def do() -> None:
            if not self.alive or self.life != life:
                return
            if self._still_until > self.scheduler.now:
                self.scheduler.after(self._still_until - self.scheduler.now, do)
            else:
                act()

        self.scheduler.after(delay_s, do)

    def stand_still(self, for_s: float) -> None:
        """Do nothing for a while, and know nothing of it."""
        self.scheduler.tell(f"{self.name} stands still")
        self._still_until = self.scheduler.now + for_s

    def run(self, steps: Steps) -> None:
        """Run a task from its first step on; any of them may be this life's last."""
        self.after(0.0, lambda: self._go(steps, None))

    def _go(self, steps: Steps, value: Any) -> None:
        try:
            wanted = steps.send(value)
        except StopIteration:
            return
        if isinstance(wanted, Reply) and wanted.over:
            self.after(0.0, lambda: self._go(steps, wanted.value))
        elif isinstance(wanted, Reply):
            life = self.life

            def resume() -> None:
                if self.alive and self.life == life:
                    self._go(steps, wanted.value)

            wanted.wait(resume)
            self.after(wanted.within_s, wanted.expire)
        else:
            self.after(float(wanted), lambda: self._go(steps, None))
