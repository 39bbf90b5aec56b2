"""The table of owners is complete, true of the code, and current in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.domain import job, owners
from controlplane.domain.decider import fold
from controlplane.domain.job import JOB
from controlplane.processes.main import loops
from ops.settings import Settings
from runners.cancel import GRACE_S
from tests.domain.test_job_laws import COMMANDS, decided
from tests.factories import NOW, launched

ROOT = Path(__file__).parent.parent.parent


@settings(max_examples=400)
@given(st.lists(COMMANDS, max_size=25))
def test_every_reachable_active_state_has_one_owner(commands: list[Any]) -> None:
    """Whatever happened to a job, a loop is there that moves it on."""
    state = JOB.initial
    for command in commands:
        for event in decided(command, state):
            state = JOB.evolve(state, event)
            if state.active:
                assert owners.owner_of(state).loop


def test_every_row_is_reachable() -> None:
    """The table names no state that no job can be in: fixed walks reach each."""
    reached = set()
    for command in _walks():
        state = JOB.initial
        for each in command:
            state = fold(JOB, decided(each, state), state)
            if state.active:
                reached.add((state.status, owners.sub_state(state)))
    assert reached == set(owners.OWNERS)


def _walks() -> list[list[Any]]:
    start = [
        job.Launch(launched=launched()),
        job.Place(group="default", work_class=4),
        job.Claim(attempt=1, runner="r1"),
    ]
    started = [*start, job.ReportStarted(attempt=1, runner="r1", at=NOW)]
    cancel = [
        job.RequestCancel(requested_by="ann", at=NOW),
        job.ConfirmCancel(attempt=1, runner="r1"),
    ]
    lost = job.MarkLost(runner="r1", explanation="gone")
    return [[*begun, *then] for begun in (start, started) for then in ([*cancel], [lost])]


def test_every_owner_is_a_loop_that_runs() -> None:
    """The dispatcher program hosts it, under its lease."""
    singletons = {loop.name for loop in loops() if loop.singleton}
    assert {owner.loop for owner in owners.OWNERS.values()} <= singletons


def test_the_bounds_are_those_of_the_settings_and_the_runner() -> None:
    """The table does not promise what the programs are not set to."""
    told = Settings(data=Path())
    assert told.presence_ttl_s == owners.PRESENCE_TTL_S
    assert told.lost_grace_s == owners.LOST_GRACE_S
    assert owners.STOP_S >= 2 * GRACE_S


def test_the_documented_table_is_current() -> None:
    """``docs/owners.md`` is what the data says."""
    assert (ROOT / "docs" / "owners.md").read_text() == owners.table()
