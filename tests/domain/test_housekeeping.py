"""System jobs: what they are told, which is next, and where they go on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from controlplane.domain import housekeeping
from controlplane.domain.board import Board
from controlplane.domain.errors import Invalid
from controlplane.domain.housekeeping import Progress
from schemas import subjects
from schemas.envelope import Recorded
from schemas.events.job import JobClaimed, JobPlaced, JobStarted, SystemJobLaunch
from schemas.registry import Event
from tests.factories import NOW, context, launched


def record(variables: str = "", job_type: str = "cleanup_jobs") -> SystemJobLaunch:
    """Return a launch record."""
    return SystemJobLaunch(system_job_template=1, job_type=job_type, extra_vars=variables)


@pytest.mark.parametrize("days", [-1, "x", True, 1.5, None, [1], "-3", 10**9, "9" * 5000])
def test_days_are_a_whole_number(days: Any) -> None:
    """Anything else is refused before there is a job; so are more days than time has."""
    with pytest.raises(Invalid) as refused:
        housekeeping.variables({"days": days})
    assert "days" in refused.value.errors["extra_vars"][0]


def test_what_a_job_is_told() -> None:
    """Days and a dry run, as object or as text; a command line that says the same."""
    given = housekeeping.variables("days: 3\ndry_run: true")
    told = housekeeping.told(record(given))
    assert (told.days, told.dry_run) == (3, True)
    assert told.cutoff(NOW) == NOW - timedelta(days=3)
    assert housekeeping.told(record(housekeeping.variables(None))).days == housekeeping.DAYS
    line = ("awx-manage", "cleanup_jobs", "--days=3", "--dry-run")
    assert housekeeping.arguments(record(given)) == line
    assert housekeeping.arguments(record(given, "cleanup_tokens")) == (
        "awx-manage",
        "cleanup_tokens",
    )


def test_one_runs_at_a_time_and_goes_on_first() -> None:
    """What was begun is gone on with, however young; else the oldest is begun."""
    board = Board()
    number = 0

    def append(job: int, *events: Event) -> None:
        nonlocal number
        number += 1
        made = context(f"m{number}")
        subject = subjects.job(job)
        board.apply_job(
            Recorded(sequence=number, subject=subject, context=made, keys=(), events=events)
        )

    for job in (5, 6):
        append(job, launched(job, record=record()))
    found = housekeeping.due(board)
    assert found is not None
    assert found[0].id == 5
    append(
        6,
        JobPlaced(attempt=1, group="", work_class=1),
        JobClaimed(attempt=1, runner="n"),
        JobStarted(attempt=1, runner="n", at=NOW),
    )
    found = housekeeping.due(board)
    assert found is not None
    assert found[0].id == 6
    assert not list(board.pending())
    assert board.decisions(NOW) == ()


def test_progress_is_read_from_the_last_event() -> None:
    """A batch that was announced is done again; data of anything else stands nowhere."""
    stood = Progress(model="jobs", count=4, batch=(7, 9))
    assert housekeeping.progress_of(msgspec.json.encode(stood)) == stood
    assert stood.after == 9
    assert housekeeping.progress_of(b"").after == 0
    assert housekeeping.progress_of(b'{"batch":"x"}') == Progress()
