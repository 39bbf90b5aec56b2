"""Launches the jobs of sliced runs, and ends a sliced run with the last of them.

What is due is decided by ``controlplane.domain.slicing``; doing a part twice changes nothing.
"""

from __future__ import annotations

import msgspec
import structlog

from controlplane.domain import slicing
from controlplane.domain.errors import NotFound
from controlplane.domain.job import (
    JOB,
    Begin,
    Conclude,
    Hold,
    JobCommand,
    JobState,
    Launch,
    RequestCancel,
)
from controlplane.domain.slicing import Slice
from controlplane.processes.loop import Tools
from controlplane.shell.transact import fold_history
from ops import clock
from schemas import subjects
from schemas.events.job import JobLaunched, WorkflowLaunch
from schemas.status import Status

log = structlog.get_logger()

PERIOD_S = 1.0
UNREADABLE = "This job cannot run: its secrets cannot be opened with this deployment's keys."


class Slices:
    """The loop; see the module."""

    name = "slices"
    singleton = True

    def __init__(self) -> None:
        """Start without memory of slices that ended."""
        self._ended: dict[int, Slice] = {}

    async def run(self, tools: Tools) -> None:
        """Move every sliced run on at each change and each period."""
        await tools.keeper.ready()
        await tools.keeper.caught_up()
        async for _ in tools.keeper.changes(PERIOD_S):
            for launched, record, state in list(slicing.running(tools.keeper.board)):
                await self._move(tools, launched, record, state)

    async def _move(
        self, tools: Tools, launched: JobLaunched, record: WorkflowLaunch, state: JobState
    ) -> None:
        if not state.started:
            if not state.cancel_requested:
                await self._begin(tools, launched, record)
            return
        slices = [
            await self._slice(tools, job, number) for number, job in enumerate(record.slice_jobs, 1)
        ]
        if state.cancel_requested:
            await self._cancel(tools, launched, slices)
        else:
            for each in slices:
                # There may be thousands: a cancel of the run need not wait for the last of them.
                if not each.launched and _goes_on(tools, launched.id):
                    await self._launch(tools, launched, each)
        end = slicing.end_of(slices, canceled=state.cancel_requested)
        if end is not None:
            status, explanation = end
            command = Conclude(status=status, at=clock.now(), explanation=explanation)
            await self._do(tools, launched.id, command)
            for each in slices:
                self._ended.pop(each.job, None)
            log.info("sliced job ended", job=launched.id, status=str(status))

    async def _begin(self, tools: Tools, launched: JobLaunched, record: WorkflowLaunch) -> None:
        other = slicing.blocker(tools.keeper.board, launched, record)
        if other is None:
            await self._do(tools, launched.id, Begin(runner=slicing.RUNNER, at=clock.now()))
            return
        text = f"waiting for workflowjob-{other} to finish"
        await self._do(tools, launched.id, Hold(rule="concurrency", explanation=text))

    async def _slice(self, tools: Tools, job: int, number: int) -> Slice:
        """Return how a slice stands: by the board, or by its own history once it is off it."""
        if job in self._ended:
            return self._ended[job]
        if job in tools.keeper.board.active:
            return Slice(job=job, number=number, launched=True)
        state = fold_history(JOB, await tools.store.load(subjects.job(job)))
        if state.launched is None:
            return Slice(job=job, number=number, launched=False)
        if state.active:
            return Slice(job=job, number=number, launched=True)
        self._ended[job] = Slice(job=job, number=number, launched=True, status=state.status)
        return self._ended[job]

    async def _launch(self, tools: Tools, parent: JobLaunched, each: Slice) -> None:
        secrets = ""
        if parent.secrets:
            try:
                opened = await tools.vault.open("job", parent.id, parent.secrets)
            except (KeyError, ValueError):
                log.exception("secrets cannot be opened", job=parent.id)
                end = Conclude(status=Status.ERROR, at=clock.now(), explanation=UNREADABLE)
                await self._do(tools, parent.id, end)
                return
            secrets = await tools.vault.seal("job", each.job, opened)
        launched = slicing.child(parent, each.number, secrets)
        launched = msgspec.structs.replace(launched, created=clock.now())
        await self._do(tools, each.job, Launch(launched=launched))

    async def _cancel(self, tools: Tools, launched: JobLaunched, slices: list[Slice]) -> None:
        command = RequestCancel(requested_by=self.name, at=clock.now())
        for each in slices:
            if each.launched and each.status is None:
                await self._do(tools, each.job, command)
        log.debug("sliced job is canceled", job=launched.id)

    async def _do(self, tools: Tools, job: int, command: JobCommand) -> None:
        try:
            done = await tools.job(self.name, job, command)
        except NotFound:
            return
        await tools.keeper.reached(done.position)


def _goes_on(tools: Tools, job: int) -> bool:
    """Tell whether a sliced run is still to launch jobs."""
    state = tools.keeper.board.active.get(job)
    return state is not None and not state.cancel_requested
