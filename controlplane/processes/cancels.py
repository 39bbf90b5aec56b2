"""Delivers cancel requests to the runners that hold the jobs, until each is confirmed."""

from __future__ import annotations

import asyncio

import msgspec
import nats.errors

from controlplane.domain.job import ConfirmCancel, JobState
from controlplane.processes.loop import Tools
from schemas import subjects
from schemas.work import CancelRequest

PERIOD_S = 1.0
ANSWER_WITHIN_S = 2.0


class Cancels:
    """The loop; see the module. The runner escalates from TERM to KILL by itself."""

    name = "cancels"
    singleton = True

    async def run(self, tools: Tools) -> None:
        """Deliver on each change and again each period."""
        await tools.keeper.ready()
        async for _ in tools.keeper.changes(PERIOD_S):
            wanted = [
                (job, state)
                for job, state in tools.keeper.board.active.items()
                if state.cancel_requested and not state.cancel_delivered and state.runner
            ]
            await asyncio.gather(*(self._deliver(tools, job, state) for job, state in wanted))

    async def _deliver(self, tools: Tools, job: int, state: JobState) -> None:
        runner = state.runner or ""
        request = CancelRequest(job=job, attempt=state.attempt)
        try:
            await tools.connection.request(
                subjects.control(runner, "cancel"),
                msgspec.json.encode(request),
                timeout=ANSWER_WITHIN_S,
            )
        except (nats.errors.Error, TimeoutError):
            return
        done = await tools.job(self.name, job, ConfirmCancel(attempt=state.attempt, runner=runner))
        await tools.keeper.reached(done.position)
