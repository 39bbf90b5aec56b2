"""The runner agent: takes work that fits, starts it, publishes what it does. Jobs outlive it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog
from msgspec import Struct

from ops.stopping import stopped
from runners import cancel, heartbeat, register, take, take_back
from runners.execute import Execution
from runners.held import HeldAttempt
from runners.intake import Intake
from runners.record import Key
from runners.site import Site
from runners.start import Unstarted
from schemas.work import JobSecrets, WorkOrder

REGISTER_AGAIN_S = 30.0
REGISTER_RETRY_S = 1.0
DRAIN_WITHIN_S = 8.0

_log = structlog.get_logger()


class Pace(Struct, frozen=True, kw_only=True):
    """What the settings say about the agent; times in seconds."""

    groups: tuple[str, ...]
    heartbeat_s: float
    presence_ttl_s: int


class Agent:
    """One runner, connected; ``run`` lives until ``stop`` is set."""

    def __init__(self, site: Site, pace: Pace, closed: asyncio.Event) -> None:
        """Nothing happens before ``run``; ``closed`` is set when NATS is gone for good."""
        self._site = site
        self._pace = pace
        self._intake = Intake(site, self._take)
        self._running: set[asyncio.Task[None]] = set()
        self.stop = asyncio.Event()
        self._closed = closed

    def reconnected(self) -> None:
        """Ask the server again for what it forgot."""
        self._intake.again()

    async def run(self) -> None:
        """Take found attempts back, then work until ``stop``; running jobs go on without us.

        Raises ConnectionError when the connection has ended for good: a new agent takes over.
        """
        found = take_back.found(self._site)
        for held in found:
            self._go(self._resume(held), f"resume-{held.record.ident}")
        canceling = await cancel.listen(self._site)
        serving = [
            asyncio.create_task(each, name=name)
            for name, each in (
                ("heartbeat", self._beat()),
                ("register", self._register()),
                ("intake", self._intake.run()),
                ("closed", self._until_closed()),
            )
        ]
        stopping = asyncio.create_task(self.stop.wait(), name="stop")
        await asyncio.wait([*serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        failed = [each for each in serving if each.done()]
        await self._drain([*serving, stopping])
        with contextlib.suppress(Exception):
            await canceling.unsubscribe()
        for each in failed:
            each.result()

    async def _until_closed(self) -> None:
        await self._closed.wait()
        raise ConnectionError("NATS has closed the connection")

    async def _drain(self, serving: list[asyncio.Task[Any]]) -> None:
        """Take nothing more, let claims come to their start, leave the rest to the next agent."""
        await stopped(serving)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._intake.stop(), DRAIN_WITHIN_S)
        _log.info("runner.drained", running=len(self._running))
        await stopped(list(self._running))

    async def _beat(self) -> None:
        await heartbeat.beat(self._site, self._pace.heartbeat_s, self._pace.presence_ttl_s)

    async def _register(self) -> None:
        """Register until answered, then from time to time: size and use may change."""
        while True:
            answer = await register.register(self._site, self._pace.groups)
            if answer is None or answer.refused:
                if answer is not None:
                    _log.error("register.refused", why=answer.refused)
                await asyncio.sleep(REGISTER_RETRY_S)
                continue
            self._site.held.resize(
                answer.capacity or self._site.held.capacity, enabled=answer.enabled
            )
            self._intake.serve(answer.groups or self._pace.groups)
            await asyncio.sleep(REGISTER_AGAIN_S)

    async def _take(self, order: WorkOrder, message: Any) -> None:
        async with self._letting_go((order.job, order.attempt)):
            await take.take(self._site, self._begin, order, message)

    async def _resume(self, held: HeldAttempt) -> None:
        async with self._letting_go(held.record.key):
            await take_back.resume(self._site, self._begin, held)

    def _begin(self, held: HeldAttempt, told: JobSecrets | Unstarted) -> None:
        self._go(self._execute(held, told), f"attempt-{held.record.ident}")

    async def _execute(self, held: HeldAttempt, told: JobSecrets | Unstarted) -> None:
        async with self._letting_go(held.record.key):
            await Execution(self._site, held).run(told)
        self._site.held.release(held.record.key, ended=True)

    @contextlib.asynccontextmanager
    async def _letting_go(self, key: Key) -> AsyncIterator[None]:
        """Hold an attempt no longer when the work on it breaks.

        Presence tells, and the control plane gives it up as it does with every attempt that its
        runner does not know.
        """
        try:
            yield
        except Exception:
            self._site.held.release(key, ended=False)
            raise

    def _go(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("runner.task_failed", task=task.get_name(), exc_info=error)
