"""Pulls the work orders that fit what is free, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from ops import clock, work_lines
from ops.work_lines import PULL_EXPIRES_S, WorkLine
from runners.site import Site
from schemas.work import WorkOrder

BROKEN_PAUSE_S = 1.0
"""A line whose consumer does not answer is tried again after this."""
NO_ROOM_DELAY_S = 0.5
"""An order that turned out not to fit is offered again, to anyone, after this."""
_GRACE_S = 2.0

Take = Callable[[WorkOrder, Msg], Awaitable[None]]

_log = structlog.get_logger()
_decoder = msgspec.json.Decoder(WorkOrder)


class Intake:
    """One pull at a time on every line whose orders can fit."""

    def __init__(self, site: Site, take: Take) -> None:
        """``take`` gets each order that fits, its capacity reserved."""
        self._site = site
        self._take = take
        self._lines: dict[str, WorkLine] = {}
        self._due: dict[str, float] = {}
        """When each line may be pulled again (monotonic): later than now while a pull is out."""
        self._inbox = ""
        self._taking: set[asyncio.Task[None]] = set()
        self._stopped = False

    def serve(self, groups: tuple[str, ...]) -> None:
        """Pull for these groups from now on."""
        self._lines = {each.consumer: each for each in work_lines.lines(self._site.name, groups)}
        self._due = {name: due for name, due in self._due.items() if name in self._lines}
        self._site.held.changed.set()

    def again(self) -> None:
        """Pull anew: a server that was restarted knows nothing of our pulls."""
        self._due.clear()
        self._site.held.changed.set()

    async def run(self) -> None:
        """Pull until cancelled."""
        self._inbox = self._site.nats.new_inbox()
        subscription = await self._site.nats.subscribe(f"{self._inbox}.*", cb=self._on_message)
        try:
            while True:
                self._site.held.changed.clear()
                await self._pull()
                await self._wait()
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def stop(self) -> None:
        """Let what is being taken come to its start or its refusal."""
        self._stopped = True
        await asyncio.gather(*self._taking, return_exceptions=True)

    async def _pull(self) -> None:
        now, priority = clock.monotonic(), self._priority()
        for name, line in self._lines.items():
            if self._due.get(name, 0.0) > now or not self._site.held.wants(line.work_class):
                continue
            subject, body = work_lines.pull_request(line, priority)
            self._due[name] = now + PULL_EXPIRES_S + _GRACE_S
            with contextlib.suppress(nats.errors.Error, OSError):
                await self._site.nats.publish(subject, body, reply=f"{self._inbox}.{name}")

    def _priority(self) -> int:
        """Return the load in tenths: the idlest runner of a group is served first."""
        held = self._site.held
        return min(work_lines.PRIORITY_LOWEST, 10 * held.used // max(1, held.capacity))

    async def _wait(self) -> None:
        now, held = clock.monotonic(), self._site.held
        wanted = (due - now for name, due in self._due.items() if held.wants(self._class(name)))
        within = max(0.0, min(wanted, default=PULL_EXPIRES_S))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):  # wait_for swallows a cancel that meets a change
                await self._site.held.changed.wait()

    def _class(self, name: str) -> int:
        line = self._lines.get(name)
        return line.work_class if line else 1

    async def _on_message(self, message: Msg) -> None:
        if not message.reply:
            name = message.subject.rpartition(".")[2]
            await self._on_answer(name, message)
            return
        self._free(message.metadata.consumer)
        task = asyncio.create_task(self._receive(message), name="take-order")
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _on_answer(self, name: str, message: Msg) -> None:
        """A pull ended without an order, or a consumer was made."""
        status = (message.headers or {}).get("Status", "")
        made = not status and b'"error"' not in message.data
        if made or status in {"404", "408"}:
            self._free(name)
            return
        self._due[name] = clock.monotonic() + BROKEN_PAUSE_S
        line = self._lines.get(name)
        if status == "503" and line is not None:
            subject, body = work_lines.create_request(line)
            with contextlib.suppress(nats.errors.Error, OSError):
                await self._site.nats.publish(subject, body, reply=message.subject)
        self._site.held.changed.set()

    def _free(self, name: str) -> None:
        self._due.pop(name, None)
        self._site.held.changed.set()

    async def _receive(self, message: Msg) -> None:
        try:
            order = _decoder.decode(message.data)
        except msgspec.DecodeError as error:
            _log.error("order.unreadable", subject=message.subject, why=str(error))
            await message.term()
            return
        key = (order.job, order.attempt)
        if self._site.held.knows(key):
            await message.ack()
        elif self._stopped or not self._site.held.fits(order.impact):
            await message.nak(delay=NO_ROOM_DELAY_S)
        else:
            self._site.held.reserve(key, order.impact)
            await self._take(order, message)
