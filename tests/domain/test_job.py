"""The lifecycle of a unified job."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.domain.job import (
    JOB,
    UNASKED,
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
from schemas.events.job import (
    JobCancelDelivered,
    JobCancelRequested,
    JobClaimed,
    JobDeleted,
    JobFinished,
    JobHeld,
    JobLost,
    JobPlaced,
    JobRecordCompleted,
    JobRecovered,
    JobRequeued,
    JobStarted,
)
from schemas.status import Status
from tests.factories import NOW, finished, launched
from tests.given import Given

PLACED = JobPlaced(attempt=1, group="default", work_class=4)
CLAIMED = JobClaimed(attempt=1, runner="r1")
STARTED = JobStarted(attempt=1, runner="r1", at=NOW)
LOST = JobLost(attempt=1, runner="r1", explanation="gone")
ENDED = JobFinished(status="successful", finished=NOW, attempt=1, rc=0, last_counter=9)
REQUESTED = JobCancelRequested(requested_by="ann")
PLACE = Place(group="default", work_class=4)
CANCEL = RequestCancel(requested_by="ann", at=NOW)


def given(*history: Any) -> Given[Any, JobState]:
    """A launched job and what happened to it since."""
    return Given(JOB, launched(), *history)


def test_a_launch_makes_the_job_once() -> None:
    """A redelivered launch finds the job there and changes nothing."""
    Given(JOB).when(Launch(launched=launched())).then(launched())
    given().when(Launch(launched=launched())).nothing()


def test_commands_about_a_job_that_is_not_there_are_refused() -> None:
    """Nothing but a launch makes a job."""
    Given(JOB).when(CANCEL).rejected(404)
    given(ENDED, JobDeleted()).when(CANCEL).rejected(404)


def test_a_reason_is_stored_only_when_it_changes() -> None:
    """Holding again for the same reason yields no event."""
    held = JobHeld(rule="capacity", explanation="full")
    given().when(Hold(rule="capacity", explanation="full")).then(held)
    given(held).when(Hold(rule="capacity", explanation="full")).nothing()
    given(PLACED).when(Hold(rule="capacity", explanation="full")).nothing()


def test_only_a_pending_job_is_placed_and_each_placement_is_a_new_attempt() -> None:
    """The attempt is raised by placement alone."""
    given().when(PLACE).then(PLACED)
    given(PLACED).when(PLACE).nothing()
    given(ENDED).when(PLACE).nothing()
    again = JobPlaced(attempt=2, group="default", work_class=4)
    given(PLACED, CLAIMED, LOST, JobRequeued(attempt=1, explanation="")).when(PLACE).then(again)


def test_one_runner_gets_the_attempt_and_may_ask_again() -> None:
    """A lost grant is answered again to its holder and to nobody else, and never after a start."""
    ask = Claim(attempt=1, runner="r1")
    given(PLACED).when(ask).then(CLAIMED)
    given(PLACED, CLAIMED).when(ask).nothing()
    given(PLACED, CLAIMED, STARTED).when(ask).rejected(409)
    given(PLACED, CLAIMED).when(Claim(attempt=1, runner="r2")).rejected(409)


@pytest.mark.parametrize(
    "history",
    [
        (),
        (PLACED, JobFinished(status="canceled", finished=NOW)),
        (PLACED, CLAIMED, STARTED, ENDED),
        (PLACED, CLAIMED, LOST, JobRequeued(attempt=1, explanation="")),
        (PLACED, JobRequeued(attempt=1, explanation="nobody took it")),
        (PLACED, CLAIMED, REQUESTED),
    ],
)
def test_a_claim_of_what_may_not_start_is_refused(history: tuple[Any, ...]) -> None:
    """Pending, canceled, ended and superseded attempts are never granted."""
    given(*history).when(Claim(attempt=1, runner="r1")).rejected(409)


def test_reports_make_the_job_run_and_end() -> None:
    """Started and finished are taken from the holder's attempt."""
    given(PLACED, CLAIMED).when(ReportStarted(attempt=1, runner="r1", at=NOW)).then(STARTED)
    given(PLACED, CLAIMED, STARTED).when(finished()).then(ENDED)
    given(PLACED, CLAIMED).when(finished()).then(STARTED, ENDED)


def test_reports_of_another_attempt_change_nothing() -> None:
    """A zombie's report does not touch a job that has moved on."""
    second = JobPlaced(attempt=2, group="default", work_class=4)
    history = (PLACED, CLAIMED, LOST, JobRequeued(attempt=1, explanation=""), second)
    given(*history).when(finished(attempt=1)).nothing()
    given(*history).when(ReportStarted(attempt=1, runner="r1", at=NOW)).nothing()


def test_a_job_that_nobody_holds_is_canceled_at_once() -> None:
    """A pending or unclaimed job ends with the request; a held one waits for its runner."""
    requested = JobCancelRequested(requested_by="ann")
    canceled = JobFinished(status="canceled", finished=NOW)
    given().when(CANCEL).then(requested, canceled)
    given(PLACED).when(CANCEL).then(requested, canceled)
    given(PLACED, CLAIMED).when(CANCEL).then(requested)
    given(PLACED, CLAIMED, requested).when(CANCEL).nothing()
    given(PLACED, CLAIMED, STARTED, ENDED).when(CANCEL).nothing()


def test_a_cancel_is_confirmed_once() -> None:
    """Delivery is a fact of its own."""
    requested = JobCancelRequested(requested_by="ann")
    confirm = ConfirmCancel(attempt=1, runner="r1")
    delivered = JobCancelDelivered(attempt=1, runner="r1")
    given(PLACED, CLAIMED, requested).when(confirm).then(delivered)
    given(PLACED, CLAIMED, requested, delivered).when(confirm).nothing()
    given(PLACED, CLAIMED).when(confirm).nothing()


def test_a_canceled_attempt_ends_as_its_runner_reports() -> None:
    """The end carries the reason of the request."""
    requested = JobCancelRequested(requested_by="ann", explanation="its project is gone")
    ended = JobFinished(
        status="canceled",
        finished=NOW,
        attempt=1,
        rc=254,
        explanation="its project is gone",
        last_counter=9,
    )
    given(PLACED, CLAIMED, STARTED, requested).when(finished(status="canceled", rc=254)).then(ended)


def test_a_job_that_nobody_canceled_never_ends_as_canceled() -> None:
    """Whatever signalled its supervisor, it was nobody who may cancel: that is an error."""
    ended = JobFinished(
        status="error", finished=NOW, attempt=1, rc=254, explanation=UNASKED, last_counter=9
    )
    given(PLACED, CLAIMED, STARTED).when(finished(status="canceled", rc=254)).then(ended)


def test_a_lost_runner_may_come_back_within_the_grace() -> None:
    """The job stays running with an explanation and recovers."""
    mark = MarkLost(runner="r1", explanation="gone")
    given(PLACED, CLAIMED, STARTED).when(mark).then(LOST)
    given(PLACED, CLAIMED, STARTED, LOST).when(mark).nothing()
    given(PLACED, CLAIMED, STARTED, LOST).when(MarkRecovered(attempt=1, runner="r1")).then(
        JobRecovered(attempt=1, runner="r1")
    )
    assert given(PLACED, CLAIMED, STARTED, LOST).state.status is Status.RUNNING


def test_after_the_grace_the_policy_decides() -> None:
    """``error`` ends the job, ``retry`` makes it pending again."""
    command = GiveUp(attempt=1, at=NOW, explanation="lost")
    ended = JobFinished(status="error", finished=NOW, attempt=1, explanation="lost")
    given(PLACED, CLAIMED, LOST).when(command).then(ended)
    Given(JOB, launched(lost_policy="retry"), PLACED, CLAIMED, LOST).when(command).then(
        JobRequeued(attempt=1, explanation="lost")
    )
    given(PLACED, CLAIMED).when(command).nothing()


def test_an_attempt_that_never_started_is_tried_again_whatever_the_policy() -> None:
    """Nothing of it has run; what JOBS says has started is another matter."""
    command = GiveUp(attempt=1, at=NOW, explanation="lost", unstarted=True)
    requeued = JobRequeued(attempt=1, explanation="lost")
    ended = JobFinished(status="error", finished=NOW, attempt=1, explanation="lost")
    given(PLACED, CLAIMED, LOST).when(command).then(requeued)
    given(PLACED, CLAIMED, STARTED, LOST).when(command).then(ended)


def test_a_returning_runner_completes_the_record_of_an_ended_job() -> None:
    """The job's status stays; its output becomes complete."""
    ended = JobFinished(status="error", finished=NOW, attempt=1)
    given(PLACED, CLAIMED, LOST, ended).when(finished()).then(
        JobRecordCompleted(attempt=1, last_counter=9)
    )
    given(PLACED, CLAIMED, LOST, ended, JobRecordCompleted(attempt=1, last_counter=9)).when(
        finished()
    ).nothing()


def test_a_job_that_cannot_run_fails_unless_a_runner_holds_it() -> None:
    """What a runner holds is canceled, not failed behind its back."""
    fail = Fail(at=NOW, explanation="project 2 was deleted")
    given().when(fail).then(
        JobFinished(status="error", finished=NOW, explanation="project 2 was deleted")
    )
    given(PLACED, CLAIMED).when(fail).nothing()


def test_a_holder_that_asks_again_may_be_told_that_the_job_cannot_run() -> None:
    """It has not started the attempt, so the job ends; another runner's is left alone."""
    fail = Fail(at=NOW, explanation="gone", holder="r1")
    ended = JobFinished(status="error", finished=NOW, explanation="gone")
    given(PLACED, CLAIMED).when(fail).then(ended)
    given(PLACED, JobClaimed(attempt=1, runner="r2")).when(fail).nothing()
    given(PLACED, CLAIMED, STARTED).when(fail).nothing()


def test_a_placement_that_nobody_claimed_is_withdrawn() -> None:
    """The job is pending again and its next attempt has another number."""
    withdraw = Withdraw(attempt=1, explanation="r1 is gone")
    requeued = JobRequeued(attempt=1, explanation="r1 is gone")
    given(PLACED).when(withdraw).then(requeued)
    given(PLACED, CLAIMED).when(withdraw).nothing()
    given(PLACED, requeued).when(withdraw).nothing()
    again = JobPlaced(attempt=2, group="default", work_class=4)
    given(PLACED, requeued, again).when(withdraw).nothing()
    given(PLACED, requeued).when(PLACE).then(again)


def test_a_job_whose_runners_are_lost_again_and_again_ends() -> None:
    """After three lost attempts ``retry`` is over; withdrawn placements do not count."""
    history: list[Any] = [PLACED, JobRequeued(attempt=1, explanation="nobody took it")]
    for attempt in (2, 3, 4):
        history += [
            JobPlaced(attempt=attempt, group="default", work_class=4),
            JobClaimed(attempt=attempt, runner="r1"),
            JobLost(attempt=attempt, runner="r1", explanation="gone"),
        ]
        give_up = GiveUp(attempt=attempt, at=NOW, explanation="lost")
        found = Given(JOB, launched(lost_policy="retry"), *history).when(give_up)
        if attempt < 4:
            found.then(JobRequeued(attempt=attempt, explanation="lost"))
            history += found.events
    found.then(JobFinished(status="error", finished=NOW, attempt=4, explanation="lost"))


def test_an_active_job_is_not_deleted() -> None:
    """AWX answers 403 for a running job."""
    given(PLACED, CLAIMED, STARTED).when(Delete()).rejected(403)
    given(PLACED, CLAIMED, STARTED, ENDED).when(Delete(requested_by="ann")).then(
        JobDeleted(requested_by="ann")
    )
