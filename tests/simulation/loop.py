"""An event loop on virtual time: asyncio programs run in a simulated process, and die with it."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from tests.simulation.invariants import Violation
from tests.simulation.scheduler import Process, Scheduler

THREAD_S = 0.01
"""Longest time that work in a thread takes."""
TICK_S = 1e-6
"""Time goes on with every timer: who waits for a moment must not wake just before it for ever."""
LAST_WORDS_MAX = 20
"""A task that is told to end may catch it, and wait once more."""


class _Task(asyncio.Task[Any]):
    """A task that sets hold in the order of making: addresses must not decide what is next."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class Loop(asyncio.AbstractEventLoop):
    """One life of a process: what it runs, and what it planned, is gone when the process dies."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._life = process.life
        self._tasks: dict[int, _Task] = {}
        self._made = 0
        self._soon: dict[int, asyncio.Handle] = {}
        """What is to run now, in order."""
        self._last: list[asyncio.Handle] | None = None
        """What is left to run of a life that is over and taken down."""

    # -- what asyncio asks for ---------------------------------------------------------------

    def call_soon(  # type: ignore[override]  # without typeshed's variadic generics
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Plan for now, behind what is planned for now."""
        handle = asyncio.Handle(callback, args, self, context)
        self._plan(0.0, handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # as above

    def call_later(  # type: ignore[override]  # as above
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Plan for later."""
        when = self.time() + delay
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._plan(max(delay, TICK_S), handle)
        return handle

    def call_at(  # type: ignore[override]  # as above
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Plan for a time."""
        return self.call_later(max(0.0, when - self.time()), callback, *args, context=context)

    def time(self) -> float:
        """Virtual seconds."""
        return self._process.scheduler.now

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # typeshed has one signature per Python
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """Run a coroutine."""
        task = _Task(coro, loop=self, name=name, context=context)
        self._made += 1
        task.number = self._made
        self._tasks[task.number] = task
        return task

    def run_in_executor(  # type: ignore[override]  # a future, as asyncio's own loops return
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do work as if in a thread: some time passes before it, and some behind it."""
        future = self.create_future()
        chance = self._process.scheduler.random

        def give(value: Any, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        def work() -> None:
            try:
                value, error = func(*args), None
            except Exception as raised:  # noqa: BLE001 - whatever it is belongs to the future
                value, error = None, raised
            self.call_later(chance.random() * THREAD_S, give, value, error)

        self.call_later(chance.random() * THREAD_S, work)
        return future

    def get_debug(self) -> bool:
        """No."""
        return False

    def is_running(self) -> bool:
        """While the process lives."""
        return self._lives()

    def is_closed(self) -> bool:
        """Never."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody catches breaks a law, unless the process is dead."""
        if self._lives():
            error = context.get("exception")
            told = f"{self._process.name}: {context.get('message')}: {error!r}"
            self._process.scheduler.failure = Violation(told)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""

    # -- the life ----------------------------------------------------------------------------

    def take_down(self) -> None:
        """Let the coroutines of a life that is over end, so that nothing is left half awaited.

        The process is dead to the world already: what they do now reaches nobody, and no time
        passes for them.
        """
        self._last = list(self._soon.values())
        for _ in range(LAST_WORDS_MAX):
            left = [each for each in self._tasks.values() if not each.done()]
            for task in left:
                task.cancel()
            while self._last:
                self._run(self._last.pop(0))
            if not left:
                return
        raise AssertionError(f"{self._process.name}: {left} do not end")

    def _lives(self) -> bool:
        return self._process.alive and self._process.life == self._life

    def _plan(self, delay_s: float, handle: asyncio.Handle) -> None:
        if self._last is not None:
            if not delay_s:
                self._last.append(handle)
            return
        if not delay_s:
            self._soon[id(handle)] = handle
        if self._lives():
            self._process.after(delay_s, lambda: self._run(handle))

    def _run(self, handle: asyncio.Handle) -> None:
        self._soon.pop(id(handle), None)
        if handle.cancelled():
            return
        events._set_running_loop(self)
        try:
            handle._run()
        finally:
            events._set_running_loop(None)
        if len(self._tasks) > 64:
            self._tasks = {at: each for at, each in self._tasks.items() if not each.done()}


class Program(Process):
    """A process whose lives are asyncio programs."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        super().__init__(scheduler, name)
        self._loops: list[Loop] = []

    def new_loop(self) -> Loop:
        """Return the event loop of the life that begins."""
        loop = Loop(self)  # type: ignore[abstract]  # asyncio asks for no more of it
        self._loops.append(loop)
        return loop

    def take_down(self) -> None:
        """End what is left of its lives when the simulation is over."""
        self.alive = False
        for loop in self._loops:
            loop.take_down()
