"""Places pending jobs and sends their work orders; the decision is stored before the order."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import msgspec
import structlog

from controlplane.domain.board import Board
from controlplane.domain.errors import Rejected
from controlplane.domain.job import Fail, Hold, JobState, Place, RequestCancel
from controlplane.domain.placement import HeldBack
from controlplane.domain.placement import Placed as PlacedDecision
from controlplane.processes.loop import Tools
from controlplane.processes.work_order import order_of
from ops import clock, signals
from schemas import subjects
from schemas.events.job import JobLaunched, JobPlaced, PlaybookLaunch
from schemas.status import Status
from schemas.work import WorkOrder

log = structlog.get_logger()

PERIOD_S = 1.0
REPUBLISH_AFTER_S = 30.0
"""An order that nobody claimed for so long is sent again: the claim makes that harmless."""


class Dispatcher:
    """The loop; see the module."""

    name = "dispatcher"
    singleton = True

    def __init__(self) -> None:
        """Start without memory of what was sent."""
        self._sent: dict[tuple[int, int], float] = {}

    async def run(self, tools: Tools) -> None:
        """Reconcile on each change and each period, always from the whole board."""
        await tools.keeper.ready()
        self._sent.clear()
        async for _ in tools.keeper.changes(PERIOD_S):
            await self._reconcile(tools)

    async def _reconcile(self, tools: Tools) -> None:
        board = tools.keeper.board
        reached = 0
        for job, state in list(board.active.items()):
            reached = max(reached, await self._check(tools, board, job, state))
        await tools.keeper.reached(reached)
        reached = 0
        for decision in board.decisions(clock.now()):
            state_now = board.active.get(decision.job)
            if state_now is None or state_now.launched is None:
                continue
            match decision:
                case PlacedDecision():
                    done = await self._place(tools, board, decision, state_now.launched)
                case HeldBack():
                    done = await self._hold(tools, decision, state_now)
            reached = max(reached, done)
        await tools.keeper.reached(reached)
        await self._send(tools, board)

    async def _check(self, tools: Tools, board: Board, job: int, state: JobState) -> int:
        """End a job that can never run, cancel one whose resource is gone."""
        launched = state.launched
        if launched is None:
            return 0
        gone = board.gone(launched)
        if gone and not state.cancel_requested:
            text = f"This job cannot run: {gone} was deleted."
            if state.runner is None:
                command = Fail(at=clock.now(), explanation=text)
                return (await tools.job(self.name, job, command)).position
            cancel = RequestCancel(requested_by=self.name, at=clock.now(), explanation=text)
            return (await tools.job(self.name, job, cancel)).position
        unmet = board.unmet(launched) if state.status is Status.PENDING else ""
        if unmet:
            failed = Fail(at=clock.now(), explanation=unmet, status=Status.FAILED)
            return (await tools.job(self.name, job, failed)).position
        return 0

    async def _hold(self, tools: Tools, decision: HeldBack, state: JobState) -> int:
        if (state.rule, state.explanation) == (decision.rule, decision.explanation):
            return 0
        command = Hold(rule=decision.rule, explanation=decision.explanation)
        return (await tools.job(self.name, decision.job, command)).position

    async def _place(
        self, tools: Tools, board: Board, decision: PlacedDecision, launched: JobLaunched
    ) -> int:
        record = launched.record
        known = None
        if isinstance(record, PlaybookLaunch) and record.project is not None:
            known = board.projects.get(record.project)
        command = Place(
            group=decision.group,
            work_class=decision.work_class,
            runner=decision.runner,
            project_content=known.content if known else "",
            scm_revision=known.revision if known else "",
            jobs_position=board.jobs_position,
        )
        trace = board.traces.get(decision.job)
        try:
            with tools.tracer.span("place", trace) if trace else contextlib.nullcontext():
                done = await tools.job(self.name, decision.job, command, traceparent=trace)
        except Rejected as error:
            log.info("not placed", job=decision.job, why=str(error))
            return 0
        signals.reach(signals.Point.PLACED_BEFORE_ORDER)
        return done.position

    async def _send(self, tools: Tools, board: Board) -> None:
        """Send the orders of placed, unclaimed attempts that were not sent lately."""
        wanted = {
            (job, state.attempt): state
            for job, state in board.active.items()
            if state.status is Status.WAITING and state.runner is None
        }
        self._sent = {key: at for key, at in self._sent.items() if key in wanted}
        for key, state in wanted.items():
            sent = self._sent.get(key)
            again = sent is not None
            if sent is not None and clock.monotonic() - sent < REPUBLISH_AFTER_S:
                continue
            if state.launched is not None and state.placed is not None:
                order = order_of(state.launched, state.placed, board.traces.get(key[0]))
                await self._publish(tools, order, state.placed, again=again)
                self._sent[key] = clock.monotonic()

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
            subject, msgspec.json.encode(order), headers={"Nats-Msg-Id": message_id}
        )
