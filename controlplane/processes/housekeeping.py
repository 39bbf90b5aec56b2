"""Runs system jobs, one at a time: the control plane's own housekeeping, each deletion an event.

Before each batch the job says what it is about to delete. Who goes on after a crash reads that,
deletes the batch again, which changes nothing where it was deleted, and counts it once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable

import structlog
from msgspec import Struct

from controlplane.domain import housekeeping
from controlplane.domain.errors import Rejected
from controlplane.domain.housekeeping import Progress
from controlplane.domain.job import Begin
from controlplane.domain.reporting import Heard
from controlplane.processes import cleanups, newest_report
from controlplane.processes.cleanups import Work
from controlplane.processes.loop import OUTAGES, Tools
from controlplane.processes.own_output import OwnOutput
from controlplane.shell.catch_up import CatchUp, Positions
from controlplane.shell.config_writer import ConfigWriter, postgres_views
from controlplane.shell.read_model import ReadModel
from ops import clock, postgres
from ops.stopping import stopped
from schemas.events.job import JobLaunched, SystemJobLaunch
from schemas.status import Status
from schemas.subjects import Attempt

log = structlog.get_logger()

PERIOD_S = 1.0


class Side(Struct, frozen=True, kw_only=True):
    """The tables, and the writer of CONFIG."""

    read: ReadModel
    writer: ConfigWriter


class Housekeeping:
    """The loop; see the module."""

    name = "housekeeping"
    singleton = True

    async def run(self, tools: Tools) -> None:
        """Run what is due at each change and each period."""
        await tools.keeper.ready()
        await tools.keeper.caught_up()
        async for _ in tools.keeper.changes(PERIOD_S):
            found = housekeeping.due(tools.keeper.board)
            if found is None:
                continue
            launched, record, state = found
            if not state.started:
                command = Begin(runner=tools.settings.node, at=clock.now())
                done = await tools.job(self.name, launched.id, command)
                await tools.keeper.reached(done.position)
                state = tools.keeper.board.active.get(launched.id, state)
            attempt = Attempt(launched.organization or 0, launched.id, state.attempt)
            heard = await newest_report.heard_of(tools.connection, attempt)
            if state.started and heard is not Heard.ENDED:
                await self._perform(tools, launched, record, state.attempt)

    async def _perform(
        self, tools: Tools, launched: JobLaunched, record: SystemJobLaunch, attempt: int
    ) -> None:
        output = OwnOutput(tools, launched, attempt, tools.settings.node)
        stood = housekeeping.progress_of(await output.resume())
        begun = clock.now()
        await output.started(housekeeping.arguments(record))
        cleaning = _clean(tools, launched, record, output, stood)
        status, explanation = await end_of(cleaning, launched.id)
        await output.finished(begun, status, explanation)
        log.info("system job ended", job=launched.id, status=status)


async def end_of(cleaning: Awaitable[None], job: int) -> tuple[Status, str]:
    """Return how a cleanup ended, and why; raises an outage, behind which it goes on."""
    try:
        await cleaning
    except cleanups.Canceled:
        return Status.CANCELED, ""
    except OUTAGES:
        raise
    except Rejected as error:
        return Status.FAILED, error.said
    except Exception as error:
        log.exception("system job failed", job=job)
        return Status.ERROR, f"{type(error).__name__}: {error}"
    return Status.SUCCESSFUL, ""


async def _clean(
    tools: Tools,
    launched: JobLaunched,
    record: SystemJobLaunch,
    output: OwnOutput,
    stood: Progress,
) -> None:
    async with _side(tools) as side:
        work = Work(
            tools=tools,
            launched=launched,
            output=output,
            read=side.read,
            writer=side.writer,
            told=housekeeping.told(record),
        )
        await cleanups.CLEANUPS[record.job_type](work, stood)


@contextlib.asynccontextmanager
async def _side(tools: Tools) -> AsyncIterator[Side]:
    """Open the tables and the writer for one job: there is rarely any."""
    positions = Positions()
    pool = await postgres.connect_pool(
        tools.settings.postgres_dsn,
        tools.settings.postgres_password_file,
        size=3,
        check=positions.refuse_older,
    )
    try:
        catch_up = CatchUp(pool, positions)
        await catch_up.start(tools.connection)
        views = postgres_views(pool)
        within_s = tools.settings.write_wait_s
        writer = ConfigWriter(tools.store, views, catch_up, tools.connection, within_s)
        writing = asyncio.create_task(writer.run(), name="housekeeping-writer")
        try:
            yield Side(read=ReadModel(pool), writer=writer)
        finally:
            await stopped([writing])
            await catch_up.stop()
    finally:
        await pool.close()
