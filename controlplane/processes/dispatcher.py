"""Places pending jobs and sends their work orders; the decision is stored before the order.

What is decided stands in ``controlplane.domain.dispatch``.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta

import msgspec
import structlog

from controlplane.domain import dispatch
from controlplane.domain.board import Board
from controlplane.domain.dispatch import Outbox
from controlplane.domain.errors import Rejected, Unavailable
from controlplane.domain.extra_vars import NotVariables
from controlplane.domain.job import Fail, JobCommand, JobState, Place
from controlplane.processes.loop import Tools
from controlplane.processes.work_order import order_of
from ops import clock, signals, telemetry
from schemas import subjects
from schemas.events.job import JobPlaced
from schemas.work import WorkOrder

log = structlog.get_logger()

PERIOD_S = 1.0


class Dispatcher:
    """The loop; see the module."""

    name = "dispatcher"
    singleton = True

    def __init__(self) -> None:
        """Start without memory of what was sent."""
        self._outbox = Outbox()

    async def run(self, tools: Tools) -> None:
        """Reconcile on each change and each period, always from the whole board."""
        await tools.keeper.ready()
        # What the leader before us appended last must count, or its jobs' limits would not.
        await tools.keeper.caught_up()
        self._outbox.clear()
        async for _ in tools.keeper.changes(PERIOD_S):
            await self._reconcile(tools)

    async def _reconcile(self, tools: Tools) -> None:
        board = tools.keeper.board
        reached = 0
        for job, verdict in list(dispatch.verdicts(board, clock.now())):
            reached = max(reached, await self._do(tools, job, verdict))
        await tools.keeper.reached(reached)
        reached = 0
        for job, command in list(dispatch.commands(board, clock.now())):
            reached = max(reached, await self._do(tools, job, command, board.traces.get(job)))
        await tools.keeper.reached(reached)
        reached = 0
        for state, again in self._outbox.due(board, clock.monotonic()):
            reached = max(reached, await self._send(tools, board, state, again=again))
        await tools.keeper.reached(reached)

    async def _do(
        self, tools: Tools, job: int, command: JobCommand, trace: str | None = None
    ) -> int:
        """Return the position behind a command; one that is refused concerns its job alone."""
        placing = isinstance(command, Place)
        spanned = trace if placing else None
        try:
            with tools.tracer.span("place", spanned) if spanned else contextlib.nullcontext():
                done = await tools.job(self.name, job, command, traceparent=spanned)
        except Unavailable:
            raise
        except Rejected as error:
            log.info("not done", job=job, command=type(command).__name__, why=str(error))
            return 0
        if placing:
            signals.reach(signals.Point.PLACED_BEFORE_ORDER)
        return done.position

    async def _send(self, tools: Tools, board: Board, state: JobState, *, again: bool) -> int:
        """Send a placed attempt's order; a job that no order can be made of ends.

        Returns the position behind that end, 0 where there is none.
        """
        launched, placed = state.launched, state.placed
        if launched is None or placed is None:
            return 0
        try:
            order = order_of(launched, placed, board.setting, board.traces.get(launched.id))
        except (Rejected, ValueError, NotVariables) as error:
            log.warning("no order", job=launched.id)  # the job says why
            text = f"This job cannot run: no work order can be made of it: {error}"
            return await self._do(tools, launched.id, Fail(at=clock.now(), explanation=text))
        await self._publish(tools, order, placed, again=again)
        self._outbox.sent((launched.id, state.attempt), clock.monotonic())
        return 0

    async def _publish(
        self, tools: Tools, order: WorkOrder, placed: JobPlaced, *, again: bool
    ) -> None:
        subject = (
            subjects.work_runner(placed.runner)
            if placed.runner
            else subjects.work_group(placed.group, placed.work_class)
        )
        message_id = f"{order.job}-{order.attempt}"
        if again:
            minute = int(clock.now().timestamp() // timedelta(minutes=1).total_seconds())
            message_id = f"{message_id}-{minute}"
        await tools.connection.jetstream().publish(
            subject,
            msgspec.json.encode(order),
            headers={"Nats-Msg-Id": message_id, **telemetry.headers(order.traceparent)},
        )
