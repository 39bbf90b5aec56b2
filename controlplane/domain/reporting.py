"""From a runner's report to the command it means for its job. Pure."""

from __future__ import annotations

from typing import assert_never

from controlplane.domain.job import ReportFinished, ReportStarted
from schemas.output import AttemptErased, AttemptFinished, AttemptStarted, Report


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
