"""From a runner's report to the command it means for its job. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import assert_never

from controlplane.domain.job import ReportFinished, ReportStarted
from schemas.output import AttemptErased, AttemptFinished, AttemptStarted, Report, StoredReport


class Heard(StrEnum):
    """What an attempt's newest report says, whether or not its job knows it yet."""

    NOTHING = "nothing"
    STARTED = "started"
    ENDED = "ended"


def heard(newest: StoredReport | None) -> Heard:
    """Return what the newest report says; one that stands in BLOBS is the last of its attempt."""
    if newest is None or (newest.report is None and newest.blob is None):
        return Heard.NOTHING
    return Heard.STARTED if isinstance(newest.report, AttemptStarted) else Heard.ENDED


def unreadable(attempt: int, at: datetime) -> ReportFinished:
    """Return the end of an attempt whose last report stands in BLOBS and cannot be read there."""
    text = "The runner's last report on this job cannot be read."
    lost = AttemptFinished(at=at, runner="", started=None, status="error", explanation=text)
    return ReportFinished(attempt=attempt, report=lost)


def command_of(attempt: int, report: Report) -> ReportStarted | ReportFinished | None:
    """Return the command, None for what means nothing to the job."""
    match report:
        case AttemptStarted():
            return ReportStarted(attempt=attempt, runner=report.runner, at=report.at)
        case AttemptFinished():
            return ReportFinished(attempt=attempt, report=report)
        case AttemptErased():
            return None
        case _:
            assert_never(report)
