"""Reports of runners become transitions of jobs, exactly once, in order."""

from __future__ import annotations

import msgspec
import structlog

from controlplane.domain.errors import NotFound, Rejected
from controlplane.domain.reporting import command_of
from controlplane.processes import position
from controlplane.processes.loop import Tools
from ops import pull, signals
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
            await position.save(tools.connection, self.name, messages[-1].sequence)

    async def _handle(self, tools: Tools, message: pull.StreamMessage) -> None:
        """Turn one report into a command.

        A report that nobody can read is left to the projection.
        """
        try:
            place = subjects.parse_attempt(message.subject)
            report = await self._read(tools, message)
        except (msgspec.DecodeError, ValueError, KeyError) as error:
            log.warning("report cannot be read", sequence=message.sequence, why=str(error))
            return
        command = command_of(place.attempt, report)
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
    async def _read(tools: Tools, message: pull.StreamMessage) -> Report:
        stored = _stored.decode(message.data)
        if stored.report is not None:
            return stored.report
        if stored.blob is None:
            raise ValueError("a report without content")
        return _report.decode(await Blobs(tools.connection).get(stored.blob))
