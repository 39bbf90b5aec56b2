"""Reports of runners become transitions of jobs, exactly once, in order."""

from __future__ import annotations

import msgspec
import structlog

from controlplane.domain.errors import NotFound, Rejected
from controlplane.domain.job import ReportFinished, ReportStarted
from controlplane.domain.reporting import command_of, unreadable
from controlplane.processes import position
from controlplane.processes.loop import Tools
from ops import clock, pull, signals
from ops.blobs import Blobs
from schemas import subjects
from schemas.output import Report, StoredReport
from schemas.streams import REPORTS

log = structlog.get_logger()

_stored = msgspec.json.Decoder(StoredReport)
_report: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


class RunnerReports:
    """The loop; see the module."""

    name = "runner_reports"
    singleton = True

    async def run(self, tools: Tools) -> None:
        """Follow REPORTS from the last handled position until cancelled."""
        after = await position.load(tools.connection, self.name)
        async for messages in pull.follow(tools.connection, REPORTS.name, after, batch=100):
            for message in messages:
                await self._handle(tools, message)
            if messages:
                await position.save(tools.connection, self.name, messages[-1].sequence)

    async def _handle(self, tools: Tools, message: pull.StreamMessage) -> None:
        """Turn one report into a command.

        A report that nobody can read is left to the projection; when it was the attempt's last,
        the job ends by that.
        """
        try:
            place = subjects.parse_attempt(message.subject)
            stored = _stored.decode(message.data)
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("report cannot be read", sequence=message.sequence, why=str(error))
            return
        command = await self._command(tools, place.attempt, stored)
        if command is None:
            return
        signals.reach(signals.Point.REPORT_BEFORE_APPEND)
        try:
            await tools.job(self.name, place.job, command, message_id=f"report-{message.sequence}")
        except NotFound:
            log.info("report of a job that is gone", job=place.job)
        except Rejected as error:
            if error.status == 503:  # noqa: PLR2004 - nothing stored: the loop reads it again
                raise
            log.warning("report refused", job=place.job, why=str(error))

    @staticmethod
    async def _command(
        tools: Tools, attempt: int, stored: StoredReport
    ) -> ReportStarted | ReportFinished | None:
        if stored.report is not None:
            return command_of(attempt, stored.report)
        if stored.blob is None:
            return None
        try:
            report = _report.decode(await Blobs(tools.connection).get(stored.blob))
        except (msgspec.DecodeError, KeyError):
            log.exception("last report cannot be read", blob=stored.blob)
            return unreadable(attempt, clock.now())
        return command_of(attempt, report)
