"""What the dispatcher decides from its board, and when orders go out again."""

from __future__ import annotations

from datetime import timedelta

from controlplane.domain import dispatch
from controlplane.domain.dispatch import CLAIM_WITHIN_S, REPUBLISH_AFTER_S, Outbox
from controlplane.domain.job import Fail, Hold, Place, RequestCancel, Withdraw
from schemas.events.job import JobClaimed, JobFinished, JobHeld, JobStarted
from schemas.events.resource import ResourceDeleted
from schemas.status import Status
from tests.domain.test_board import PLACED, Log, _bare
from tests.factories import NOW, launched, update_launched

GONE = ResourceDeleted(kind="inventory", id=3)


def _placed(log: Log, job: int = 1) -> None:
    log.job(job, launched(job, record=_bare()), PLACED)


def test_an_order_is_due_at_once_and_again_until_it_is_claimed() -> None:
    """Each thirty seconds; a new leader knows of none that were sent."""
    log, outbox = Log(), Outbox()
    _placed(log)
    assert [again for _, again in outbox.due(log.board, 0.0)] == [False]
    outbox.sent((1, 1), 0.0)
    assert list(outbox.due(log.board, REPUBLISH_AFTER_S - 1)) == []
    assert [again for _, again in outbox.due(log.board, REPUBLISH_AFTER_S)] == [True]
    assert [again for _, again in Outbox().due(log.board, 1.0)] == [False]
    log.job(1, JobClaimed(attempt=1, runner="r1"))
    assert list(outbox.due(log.board, 1000.0)) == []


def test_a_placement_that_nobody_took_in_time_is_withdrawn() -> None:
    """The runner may be there and yet never come for it."""
    log = Log()
    log.runner("r1", 1)
    _placed(log)
    early, late = (NOW + timedelta(seconds=CLAIM_WITHIN_S + more) for more in (0, 1))
    assert list(dispatch.verdicts(log.board, early)) == []
    [(job, command)] = dispatch.verdicts(log.board, late)
    assert (job, type(command)) == (1, Withdraw)


def test_a_job_on_a_deleted_resource_fails_or_is_canceled() -> None:
    """Canceled where a runner holds it, and only once."""
    log = Log()
    log.runner("r1", 1)
    log.config("inventory", 3, GONE)
    log.job(1, launched(1))
    log.job(2, launched(2), PLACED)
    log.job(3, launched(3), PLACED, JobClaimed(attempt=1, runner="r1"))
    found = dict(dispatch.verdicts(log.board, NOW))
    assert {job: type(command) for job, command in found.items()} == {
        1: Fail,
        2: Fail,
        3: RequestCancel,
    }


def test_a_job_whose_project_has_nothing_fails() -> None:
    """As failed: what it depends on failed."""
    log = Log()
    log.job(1, launched(1))
    log.job(2, update_launched(2), JobFinished(status="error", finished=NOW))
    [(job, command)] = dispatch.verdicts(log.board, NOW)
    assert isinstance(command, Fail)
    assert (job, command.status) == (1, Status.FAILED)


def test_what_runs_is_left_alone() -> None:
    """Also when no runner is there any more: that is another loop's to judge."""
    log = Log()
    started = JobStarted(attempt=1, runner="r1", at=NOW)
    log.job(1, launched(1), PLACED, JobClaimed(attempt=1, runner="r1"), started)
    assert list(dispatch.verdicts(log.board, NOW + timedelta(days=1))) == []
    assert list(dispatch.commands(log.board, NOW)) == []


def test_a_reason_is_stored_when_it_changes() -> None:
    """The second round has nothing to say; with a runner the job goes out."""
    log = Log()
    log.job(1, launched(1, record=_bare()))
    [(_, held)] = dispatch.commands(log.board, NOW)
    assert isinstance(held, Hold)
    log.job(1, JobHeld(rule=held.rule, explanation=held.explanation))
    assert list(dispatch.commands(log.board, NOW)) == []
    log.runner("r1", 1)
    [(_, placed)] = dispatch.commands(log.board, NOW)
    assert isinstance(placed, Place)
    assert placed.jobs_position == log.board.jobs_position
