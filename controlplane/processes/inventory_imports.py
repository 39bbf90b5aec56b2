"""What inventory updates read becomes hosts and groups; only then do the updates end.

An update whose attempt has ended well stays running until its import stands in the log. Whoever
leads next finds it on the board and does the import again: what is there already makes no event.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import structlog
from nats.js.errors import NotFoundError

from controlplane.domain import imported
from controlplane.domain.errors import NotFound, Rejected
from controlplane.domain.imported import Unusable
from controlplane.domain.inventory_diff import Place
from controlplane.domain.job import JOB, JobState, ReportFinished
from controlplane.domain.reporting import unreadable
from controlplane.processes.loop import OUTAGES, Tools
from controlplane.shell import inventory_importing, name_filter
from controlplane.shell.catch_up import CatchUp, Positions
from controlplane.shell.config_writer import ConfigWriter, postgres_views
from controlplane.shell.inventory_content import inventory_content, never_smart
from controlplane.shell.read_model import ReadModel
from controlplane.shell.transact import fold_history
from ops import clock, direct, postgres, pull
from ops.blobs import Blobs
from ops.stopping import stopped
from schemas import subjects
from schemas.envelope import Context
from schemas.events.job import InventoryUpdateLaunch, JobLaunched
from schemas.output import AttemptFinished, Report, StoredReport
from schemas.status import JobKind, Status
from schemas.streams import REPORTS
from schemas.subjects import Attempt

log = structlog.get_logger()

POOL_SIZE = 3
WITHIN_S = 30.0
"""The read model may be behind for so long before a transaction is given up and tried again."""
RETRY_S = 1.0
AT_ONCE = 2
"""Imports that are done at the same time; each holds its whole result in memory."""
CANCELED = "Canceled while its result was imported"
_stored = msgspec.json.Decoder(StoredReport)
_report: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


class Canceled(Exception):
    """Somebody wants the update to end: the import stops between two transactions."""


class _Lost(Exception):
    """What the update read is not in BLOBS."""


class _Write:
    """The write path to CONFIG that imports take."""

    def __init__(self, writer: ConfigWriter, read: ReadModel, catch_up: CatchUp) -> None:
        self.writer = writer
        self.read = read
        self.catch_up = catch_up


class InventoryImports:
    """The loop; see the module."""

    name = "inventory_imports"
    singleton = True

    def __init__(self) -> None:
        """Nothing is being imported."""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._turns: dict[int, asyncio.Lock] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, tools: Tools) -> None:
        """Import what ended before we led, then what ends from now on, until cancelled."""
        await tools.keeper.ready()
        await tools.keeper.caught_up()
        async with _writing(tools) as write:
            after = await tools.store.last_sequence(REPORTS.name)
            try:
                for state in list(tools.keeper.board.active.values()):
                    await self._take_up(tools, write, state)
                async for messages in pull.follow(tools.connection, REPORTS.name, after, batch=100):
                    for message in messages:
                        await self._heard(tools, write, message)
            finally:
                await stopped([*self._tasks.values()])
                self._tasks.clear()

    async def _heard(self, tools: Tools, write: _Write, message: pull.StreamMessage) -> None:
        """Take an attempt up whose last report may tell of something to import."""
        try:
            stored = _stored.decode(message.data)
            place = subjects.parse_attempt(message.subject)
        except (msgspec.DecodeError, ValueError):
            return
        ended = isinstance(stored.report, AttemptFinished) and (
            stored.report.content or stored.report.kind == JobKind.INVENTORY_UPDATE
        )
        if ended or stored.blob is not None:
            history = await tools.store.load(subjects.job(place.job))
            await self._take_up(tools, write, fold_history(JOB, history))

    async def _take_up(self, tools: Tools, write: _Write, state: JobState) -> None:
        launched = state.launched
        if launched is None or not isinstance(launched.record, InventoryUpdateLaunch):
            return
        if not state.active or state.runner is None or launched.id in self._tasks:
            return
        report = await _to_end(tools, launched, state.attempt)
        if report is None:
            return
        work = self._import(tools, write, launched, (state.attempt, report))
        task = asyncio.create_task(work, name=f"import-{launched.id}")
        self._tasks[launched.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(launched.id, None))

    async def _import(
        self, tools: Tools, write: _Write, launched: JobLaunched, ended: tuple[int, AttemptFinished]
    ) -> None:
        """Import a result and end its job, however often it takes.

        A report that tells of no success is the job's end as it is, without an import.
        """
        record = launched.record
        if not isinstance(record, InventoryUpdateLaunch):
            raise TypeError(type(record).__name__)
        turn = self._turns.setdefault(record.inventory, asyncio.Lock())
        attempt, report = ended
        while True:
            try:
                async with turn, self._room:
                    told = report
                    if report.status == Status.SUCCESSFUL:
                        told = await self._told(tools, write, launched.id, record, report)
                    command = ReportFinished(attempt=attempt, report=told, imported=True)
                    await tools.job(self.name, launched.id, command)
            except NotFound:
                return
            except OUTAGES as error:
                log.warning("import starts again", job=launched.id, why=repr(error))
                await asyncio.sleep(RETRY_S)
            except Rejected:
                log.exception("import has ended otherwise", job=launched.id)
                return
            except Exception as error:
                log.exception("end of an import cannot be stored", job=launched.id)
                text = f"The end of the update cannot be stored: {type(error).__name__}"
                report = _without_import(report, Status.ERROR, text)
                await asyncio.sleep(RETRY_S)
            else:
                log.info("imported", job=launched.id, status=told.status)
                return

    async def _told(
        self,
        tools: Tools,
        write: _Write,
        job: int,
        record: InventoryUpdateLaunch,
        report: AttemptFinished,
    ) -> AttemptFinished:
        """Import; return the report with the content that the inventory has then, or why not."""
        try:
            content = await self._done(tools, write, job, record, report.content)
            return msgspec.structs.replace(report, content=content)
        except Unusable as error:
            status, text = Status.FAILED, str(error)
        except _Lost:
            status, text = Status.ERROR, "What the update read is not stored any more"
        except NotFound:
            status, text = Status.ERROR, "This job cannot end: its source was deleted."
        except Canceled:
            status, text = Status.CANCELED, CANCELED
        except OUTAGES:
            raise
        except Rejected as error:
            status, text = Status.FAILED, f"What the update read was refused: {error.said}"
        except Exception as error:
            # Whatever is wrong must not keep the job running for ever: nobody else ends it.
            log.exception("import failed", job=job)
            status = Status.ERROR
            text = f"What the update read cannot be imported: {type(error).__name__}"
        return _without_import(report, status, text)

    async def _done(
        self, tools: Tools, write: _Write, job: int, record: InventoryUpdateLaunch, digest: str
    ) -> str:
        blobs = Blobs(tools.connection)
        try:
            result = await blobs.get(digest)
        except KeyError as error:
            raise _Lost from error
        wanted = None
        if record.host_filter:
            names = await asyncio.to_thread(imported.host_names, result)
            wanted = await name_filter.matching(record.host_filter, names)
        rules = imported.rules_of(
            record.source,
            overwrite=record.overwrite,
            overwrite_vars=record.overwrite_vars,
            enabled_var=record.enabled_var,
            enabled_value=record.enabled_value,
            wanted=wanted,
        )
        found = await asyncio.to_thread(imported.read, result, rules)

        def context() -> Context:
            state = tools.keeper.board.active.get(job)
            if state is not None and state.cancel_requested:
                raise Canceled
            return tools.context(self.name)

        position = await inventory_importing.run(
            inventory_importing.Import(
                place=Place(inventory=record.inventory, source=record.inventory_source),
                imported=found,
                rules=rules,
                submit=write.writer.submit,
                numbers=tools.numbers,
                context=context,
            )
        )
        if not await write.catch_up.wait("config", position, WITHIN_S):
            raise TimeoutError("the tables are behind: the inventory cannot be read as it is")
        async with write.read.view() as view:
            content = await inventory_content(blobs, view, record.inventory, never_smart)
        return content.digest


async def _to_end(tools: Tools, launched: JobLaunched, attempt: int) -> AttemptFinished | None:
    """Return the report by which this loop ends an update, None for one that others see to.

    It is the attempt's last that went well, or what stands for a last one that is lost.
    """
    subject = subjects.report(Attempt(launched.organization or 0, launched.id, attempt))
    try:
        message = await direct.last_by_leader(tools.connection, REPORTS.name, subject)
        stored = _stored.decode(message.data)
    except (NotFoundError, msgspec.DecodeError):
        return None
    report = stored.report
    if stored.blob is not None:
        try:
            report = _report.decode(await Blobs(tools.connection).get(stored.blob))
        except (msgspec.DecodeError, KeyError):
            log.exception("last report cannot be read", job=launched.id, blob=stored.blob)
            return unreadable(attempt, clock.now()).report
    if isinstance(report, AttemptFinished) and report.status == Status.SUCCESSFUL:
        return report
    return None


def _without_import(report: AttemptFinished, status: Status, text: str) -> AttemptFinished:
    return msgspec.structs.replace(report, status=str(status), explanation=text, content="")


@contextlib.asynccontextmanager
async def _writing(tools: Tools) -> AsyncIterator[_Write]:
    """Open the tables and a writer of CONFIG for as long as we lead."""
    settings = tools.settings
    positions = Positions()
    pool = await postgres.connect_pool(
        settings.postgres_dsn,
        settings.postgres_password_file,
        size=POOL_SIZE,
        check=positions.refuse_older,
    )
    try:
        catch_up = CatchUp(pool, positions)
        await catch_up.start(tools.connection)
        writer = ConfigWriter(
            tools.store, postgres_views(pool), catch_up, tools.connection, WITHIN_S
        )
        task = asyncio.create_task(writer.run(), name="import-writer")
        try:
            yield _Write(writer, ReadModel(pool), catch_up)
        finally:
            await stopped([task])
            await catch_up.stop()
    finally:
        await pool.close()
