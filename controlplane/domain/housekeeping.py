"""System jobs: what each is told, which runs next, and what it says (AWX 3.40, 3.41). Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from controlplane.domain import extra_vars
from controlplane.domain.board import Board
from controlplane.domain.errors import Invalid
from controlplane.domain.job import JobState
from controlplane.domain.numerals import is_count, whole
from schemas.events.job import JobLaunched, SystemJobLaunch
from schemas.status import JobKind

DAYS = 90
DAYS_MAX = 99_999
NOT_DAYS = "days must be a positive integer."
TOO_LARGE = "days is too large: at most 99999 (about 270 years)."
MODELS: tuple[tuple[str, JobKind | None], ...] = (
    ("jobs", JobKind.JOB),
    ("ad_hoc_commands", JobKind.AD_HOC_COMMAND),
    ("project_updates", JobKind.PROJECT_UPDATE),
    ("inventory_updates", JobKind.INVENTORY_UPDATE),
    ("management_jobs", JobKind.SYSTEM_JOB),
    ("workflow_jobs", JobKind.WORKFLOW_JOB),
    ("notifications", None),
)
"""What ``cleanup_jobs`` goes through, in order, by AWX's names; no notification is kept yet."""
DATED = frozenset({"cleanup_jobs", "cleanup_activitystream"})
"""Kinds of system jobs that keep what is younger than some days."""


class Told(Struct, frozen=True, kw_only=True):
    """What a system job is to do."""

    days: int = DAYS
    dry_run: bool = False

    def cutoff(self, launched: datetime) -> datetime:
        """Return the time before which things go: it stays, however often the job goes on."""
        return launched - timedelta(days=self.days)


class Progress(Struct, frozen=True, kw_only=True):
    """Where a system job stands, said before each batch: who goes on repeats that batch."""

    model: str = ""
    done: bool = False
    """All of the model is dealt with."""
    count: int = 0
    """How many went before this batch."""
    batch: tuple[int, ...] = ()

    @property
    def after(self) -> int:
        """Return the last id that was dealt with."""
        return max(self.batch, default=0)


def variables(given: Any) -> str:
    """Return the variables of a launch as JSON; raises Invalid with AWX's words."""
    try:
        found = extra_vars.parse(given)
    except extra_vars.NotVariables as error:
        raise Invalid({"extra_vars": [str(error)]}) from error
    days = found.get("days", 0)
    if not is_count(days):
        raise Invalid({"extra_vars": [NOT_DAYS]})
    number = whole(days) if isinstance(days, str) else days
    if number is None or number > DAYS_MAX:
        raise Invalid({"extra_vars": [TOO_LARGE]})
    return extra_vars.as_text(found)


def told(record: SystemJobLaunch) -> Told:
    """Return what a launch record asks for."""
    found = extra_vars.parse(record.extra_vars)
    return Told(days=int(found.get("days", DAYS)), dry_run=bool(found.get("dry_run", False)))


def arguments(record: SystemJobLaunch) -> tuple[str, ...]:
    """Return the job as the command line that does the same on an AWX."""
    found = extra_vars.parse(record.extra_vars)
    command = ["awx-manage", record.job_type]
    if record.job_type in DATED:
        if "days" in found:
            command.append(f"--days={found['days']}")
        if found.get("dry_run"):
            command.append("--dry-run")
    return tuple(command)


def due(board: Board) -> tuple[JobLaunched, SystemJobLaunch, JobState] | None:
    """Return the system job to go on with, or to begin: one at a time, oldest first."""
    active = [
        (state.launched, state.launched.record, state)
        for _, state in sorted(board.active.items())
        if state.launched is not None and isinstance(state.launched.record, SystemJobLaunch)
    ]
    begun = [each for each in active if each[2].started]
    waiting = [each for each in active if not each[2].cancel_requested]
    return next(iter(begun or waiting), None)


def summary(model: str, gone: int, kept: int, *, dry_run: bool) -> str:
    """Return AWX's line about a model."""
    name = model.replace("_", " ")
    if dry_run:
        return f"{name}: {gone} would be deleted, {kept} would be skipped."
    return f"{name}: {gone} deleted, {kept} skipped."


def progress_of(event_data: bytes) -> Progress:
    """Return where a job stood by the data of its last event; nowhere by any other data."""
    try:
        return msgspec.json.decode(event_data, type=Progress)
    except msgspec.DecodeError:
        return Progress()
