"""Tells runners to end attempts: of jobs that are to be canceled, and those their jobs have left.

What is due is decided by ``controlplane.domain.canceling``; the runner escalates by itself.
"""

from __future__ import annotations

import asyncio

import msgspec
import nats.errors
import structlog

from controlplane.domain.canceling import Deliveries, Delivery
from controlplane.domain.errors import NotFound
from controlplane.domain.job import ConfirmCancel
from controlplane.processes.loop import Tools
from controlplane.processes.presence import held_by, present_runners
from ops import clock
from schemas import subjects
from schemas.work import CANCEL_SIGNALLED, CancelRequest

log = structlog.get_logger()

PERIOD_S = 1.0
ANSWER_WITHIN_S = 2.0


class Cancels:
    """The loop; see the module."""

    name = "cancels"
    singleton = True

    def __init__(self) -> None:
        """Start without memory of what was delivered."""
        self._deliveries = Deliveries()

    async def run(self, tools: Tools) -> None:
        """Deliver on each change and again each period."""
        async for _ in tools.keeper.changes(PERIOD_S):
            present = held_by(await present_runners(tools.connection))
            await tools.keeper.caught_up()
            due = self._deliveries.due(tools.keeper.board, present, clock.monotonic())
            await asyncio.gather(*(self._deliver(tools, each) for each in due))

    async def _deliver(self, tools: Tools, delivery: Delivery) -> None:
        """Ask once; only a runner that says it has signalled the attempt has been told."""
        request = CancelRequest(job=delivery.job, attempt=delivery.attempt)
        try:
            answer = await tools.connection.request(
                subjects.control(delivery.runner, "cancel"),
                msgspec.json.encode(request),
                timeout=ANSWER_WITHIN_S,
            )
        except (nats.errors.Error, TimeoutError):
            return
        if answer.data != CANCEL_SIGNALLED:
            return
        self._deliveries.delivered(delivery, clock.monotonic())
        if not delivery.wanted:
            log.info("told again to end", job=delivery.job, attempt=delivery.attempt)
            return
        command = ConfirmCancel(attempt=delivery.attempt, runner=delivery.runner)
        try:
            done = await tools.job(self.name, delivery.job, command)
        except NotFound:
            return
        await tools.keeper.reached(done.position)
