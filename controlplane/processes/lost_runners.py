"""Notices runners whose presence lapsed: their jobs wait a grace, then follow their policy.

What it means is decided by ``controlplane.domain.loss``.
"""

from __future__ import annotations

import contextlib

from controlplane.domain import loss
from controlplane.domain.errors import NotFound
from controlplane.domain.job import GiveUp, JobState, MarkLost, MarkRecovered
from controlplane.domain.loss import LossWatch
from controlplane.domain.reporting import Heard
from controlplane.processes import newest_report
from controlplane.processes.loop import Tools
from controlplane.processes.presence import held_by, present_runners
from ops import clock
from schemas.events.job import InventoryUpdateLaunch, JobLaunched
from schemas.subjects import Attempt

Command = MarkLost | MarkRecovered | GiveUp

PERIOD_S = 1.0


class LostRunners:
    """The loop; see the module."""

    name = "lost_runners"
    singleton = True

    async def run(self, tools: Tools) -> None:
        """Compare presence with the board each period; nobody is missed at the start."""
        watch = LossWatch(tools.settings.presence_ttl_s, tools.settings.lost_grace_s)
        async for _ in tools.keeper.changes(PERIOD_S):
            present = held_by(await present_runners(tools.connection))
            await tools.keeper.caught_up()
            board, now_s, at = tools.keeper.board, clock.monotonic(), clock.now()
            for number, said in list(watch.instances(board, present, now_s, at)):
                done = await tools.instance(self.name, number, said)
                await tools.keeper.reached(0, done.position)
            for job, command in list(watch.jobs(board, present, now_s, at)):
                state = board.active.get(job)
                if state is None or state.launched is None:
                    continue
                if isinstance(command, MarkLost) and await _imports(tools, state):
                    continue
                await self._do(tools, state.launched, command)

    async def _do(self, tools: Tools, launched: JobLaunched, command: Command) -> None:
        """Do what the watch decided, unless the attempt's own reports know better."""
        if isinstance(command, GiveUp):
            attempt = Attempt(launched.organization or 0, launched.id, command.attempt)
            heard = await newest_report.heard_of(tools.connection, attempt)
            given_up = loss.confirmed(command, heard)
            if given_up is None:
                return
            command = given_up
        with contextlib.suppress(NotFound):
            await tools.job(self.name, launched.id, command)


async def _imports(tools: Tools, state: JobState) -> bool:
    """Tell whether the runner is done with an inventory update, and its result is imported now."""
    launched = state.launched
    if launched is None or not isinstance(launched.record, InventoryUpdateLaunch):
        return False
    attempt = Attempt(launched.organization or 0, launched.id, state.attempt)
    return await newest_report.heard_of(tools.connection, attempt) is Heard.ENDED
