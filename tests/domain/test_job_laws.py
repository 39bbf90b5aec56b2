"""Laws of the job decider, over any sequence of commands."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.domain.decider import fold
from controlplane.domain.errors import Rejected
from controlplane.domain.job import (
    JOB,
    Claim,
    ConfirmCancel,
    Delete,
    Fail,
    GiveUp,
    Hold,
    JobState,
    Launch,
    MarkLost,
    MarkRecovered,
    Place,
    ReportStarted,
    RequestCancel,
    Withdraw,
)
from schemas.status import ACTIVE, TERMINAL, Status
from tests.factories import NOW, finished, launched

ATTEMPTS = st.integers(1, 3)
RUNNERS = st.sampled_from(["r1", "r2"])
POLICIES = st.sampled_from(["error", "retry"])
ENDS = st.sampled_from(["successful", "failed", "error", "canceled"])
COMMANDS = st.one_of(
    st.builds(lambda policy: Launch(launched=launched(lost_policy=policy)), POLICIES),
    st.just(Hold(rule="capacity", explanation="full")),
    st.just(Place(group="default", work_class=4)),
    st.builds(Claim, attempt=ATTEMPTS, runner=RUNNERS),
    st.builds(ReportStarted, attempt=ATTEMPTS, runner=RUNNERS, at=st.just(NOW)),
    st.builds(finished, attempt=ATTEMPTS, status=ENDS),
    st.just(RequestCancel(requested_by="ann", at=NOW)),
    st.builds(ConfirmCancel, attempt=ATTEMPTS, runner=RUNNERS),
    st.builds(MarkLost, runner=RUNNERS, explanation=st.just("gone")),
    st.builds(MarkRecovered, attempt=ATTEMPTS, runner=RUNNERS),
    st.builds(
        GiveUp,
        attempt=ATTEMPTS,
        at=st.just(NOW),
        explanation=st.just("lost"),
        unstarted=st.booleans(),
    ),
    st.builds(Withdraw, attempt=ATTEMPTS, explanation=st.just("nobody took it")),
    st.just(Fail(at=NOW, explanation="gone")),
    st.builds(Fail, at=st.just(NOW), explanation=st.just("gone"), holder=RUNNERS),
    st.just(Delete()),
)
LEGAL = {
    Status.NEW: {Status.PENDING},
    Status.PENDING: {Status.WAITING, *TERMINAL},
    Status.WAITING: {Status.RUNNING, Status.PENDING, *TERMINAL},
    Status.RUNNING: {Status.PENDING, *TERMINAL},
}


def decided(command: Any, state: JobState) -> tuple[Any, ...]:
    """The events of a command; a refusal has none."""
    try:
        return JOB.decide(command, state)
    except Rejected:
        return ()


@settings(max_examples=400)
@given(st.lists(COMMANDS, max_size=25))
def test_redelivery_changes_nothing(commands: list[Any]) -> None:
    """Any command decided again on the state it led to yields no events."""
    state = JOB.initial
    for command in commands:
        events = decided(command, state)
        state = fold(JOB, events, state)
        if events and not isinstance(command, Place):
            assert decided(command, state) == ()


@settings(max_examples=400)
@given(st.lists(COMMANDS, max_size=25))
def test_no_illegal_move_is_reachable(commands: list[Any]) -> None:
    """Every change of status is one of AWX's, an end is for ever, attempts only grow."""
    state = JOB.initial
    for command in commands:
        for event in decided(command, state):
            after = JOB.evolve(state, event)
            assert after.attempt >= state.attempt
            if after.status is not state.status:
                assert after.status in LEGAL.get(state.status, set())
            state = after


@settings(max_examples=400)
@given(st.lists(COMMANDS, max_size=25))
def test_only_what_somebody_canceled_ends_as_canceled(commands: list[Any]) -> None:
    """Whatever a runner reports."""
    state = JOB.initial
    for command in commands:
        state = fold(JOB, decided(command, state), state)
        assert state.cancel_requested or state.status is not Status.CANCELED


@settings(max_examples=400)
@given(st.lists(COMMANDS, max_size=25))
def test_a_running_job_has_a_holder_and_an_attempt(commands: list[Any]) -> None:
    """No job runs without a claim; an active one is never deleted."""
    state = JOB.initial
    for command in commands:
        state = fold(JOB, decided(command, state), state)
        if state.status is Status.RUNNING:
            assert state.runner is not None
            assert state.attempt > 0
        if state.deleted:
            assert state.status not in ACTIVE
