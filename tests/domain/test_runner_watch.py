"""When runners count as lost, what they are told to end, and who may claim."""

from __future__ import annotations

import pytest

from controlplane.domain import claiming, loss
from controlplane.domain.board import Board
from controlplane.domain.canceling import LEFT_AFTER_S, REPEAT_S, Deliveries
from controlplane.domain.errors import Rejected
from controlplane.domain.instance import MarkAvailable, MarkUnavailable
from controlplane.domain.job import Claim, Fail, GiveUp, MarkLost, MarkRecovered
from controlplane.domain.loss import UNKNOWN_GRACE_S, LossWatch
from controlplane.domain.reporting import Heard, heard
from schemas.events.instance import InstanceUnavailable
from schemas.events.job import (
    JobCancelDelivered,
    JobCancelRequested,
    JobClaimed,
    JobFinished,
    JobLost,
    JobRequeued,
    JobStarted,
)
from schemas.events.resource import ResourceDeleted
from schemas.output import AttemptStarted, StoredReport
from schemas.registry import Event
from schemas.work import ClaimRequest
from tests.domain.test_board import PLACED, Log
from tests.factories import NOW, finished, launched

CLAIMED = JobClaimed(attempt=1, runner="r1")
STARTED = JobStarted(attempt=1, runner="r1", at=NOW)
LOST = JobLost(attempt=1, runner="r1", explanation="gone")
CANCEL = JobCancelRequested(requested_by="ann")
HELD = frozenset({(1, 1)})


def _started(*more: Event) -> Log:
    log = Log()
    log.runner("r1", 1)
    log.job(1, launched(1), PLACED, CLAIMED, STARTED, *more)
    return log


def _types(found: object) -> list[type]:
    return [type(command) for _, command in found]  # type: ignore[attr-defined]  # pairs


def test_an_absent_runner_is_lost_then_given_up() -> None:
    """First a while of silence, then the grace; each from the first miss on."""
    log, watch = _started(), LossWatch(15.0, 60.0)
    assert _types(watch.jobs(log.board, {}, 0.0, NOW)) == []
    assert _types(watch.jobs(log.board, {}, 14.0, NOW)) == []
    assert _types(watch.jobs(log.board, {}, 15.0, NOW)) == [MarkLost]
    log.job(1, LOST)
    assert _types(watch.jobs(log.board, {}, 75.0, NOW)) == []
    [(_, command)] = watch.jobs(log.board, {}, 76.0, NOW)
    assert isinstance(command, GiveUp)
    assert not command.unstarted


def test_a_runner_that_is_seen_to_hold_its_job_has_not_lost_it() -> None:
    """Whoever was marked lost recovers, and is missed anew from then on."""
    log, watch = _started(LOST), LossWatch(15.0, 60.0)
    watch.jobs(log.board, {}, 0.0, NOW)
    assert _types(watch.jobs(log.board, {"r1": HELD}, 50.0, NOW)) == [MarkRecovered]
    assert _types(watch.jobs(log.board, {}, 90.0, NOW)) == []


def test_a_runner_that_is_there_and_does_not_know_the_job_has_longer() -> None:
    """Its order may come again; what never started did not run."""
    log, watch = Log(), LossWatch(15.0, 60.0)
    log.job(1, launched(1), PLACED, CLAIMED)
    present: loss.Present = {"r1": ()}
    assert _types(watch.jobs(log.board, present, 0.0, NOW)) == []
    assert _types(watch.jobs(log.board, present, UNKNOWN_GRACE_S - 1, NOW)) == []
    assert _types(watch.jobs(log.board, present, UNKNOWN_GRACE_S, NOW)) == [MarkLost]
    log.job(1, LOST)
    [(_, command)] = watch.jobs(log.board, present, UNKNOWN_GRACE_S + 61, NOW)
    assert isinstance(command, GiveUp)
    assert command.unstarted


def test_the_attempts_own_reports_know_better() -> None:
    """An end that is on its way is waited for; a start makes it a run that was lost."""
    command = GiveUp(attempt=1, at=NOW, explanation="lost", unstarted=True)
    begun = StoredReport(report=AttemptStarted(at=NOW, runner="r1"))
    assert heard(None) is heard(StoredReport()) is Heard.NOTHING
    assert heard(StoredReport(blob="0")) is heard(StoredReport(report=finished().report))
    assert loss.confirmed(command, heard(None)) == command
    started = loss.confirmed(command, heard(begun))
    assert started is not None
    assert not started.unstarted
    assert loss.confirmed(command, Heard.ENDED) is None


def test_instances_come_and_go_with_their_presence() -> None:
    """A new one has time to show up."""
    log, watch = Log(), LossWatch(15.0, 60.0)
    log.runner("r1", 1)
    assert _types(watch.instances(log.board, {}, 0.0, NOW)) == []
    [(number, gone)] = watch.instances(log.board, {}, 16.0, NOW)
    assert isinstance(gone, MarkUnavailable)
    event = InstanceUnavailable(id=number, at=gone.at, reason=gone.reason)
    log.config("instance", number, event)
    assert _types(watch.instances(log.board, {}, 17.0, NOW)) == []
    assert _types(watch.instances(log.board, {"r1": ()}, 18.0, NOW)) == [MarkAvailable]


def test_a_cancel_is_repeated_until_the_job_is_over() -> None:
    """Each round until somebody confirms, then from time to time."""
    log, deliveries = _started(CANCEL), Deliveries()
    [first] = deliveries.due(log.board, {}, 0.0)
    assert first.wanted
    assert deliveries.due(log.board, {}, 1.0) == [first]
    deliveries.delivered(first, 1.0)
    log.job(1, JobCancelDelivered(attempt=1, runner="r1"))
    assert deliveries.due(log.board, {}, 2.0) == []
    [again] = deliveries.due(log.board, {}, 1.0 + REPEAT_S)
    assert not again.wanted
    log.job(1, finished_event())
    assert deliveries.due(log.board, {}, 100.0) == []


def finished_event() -> JobFinished:
    """The job's end."""
    return JobFinished(status="canceled", finished=NOW, attempt=1)


@pytest.mark.parametrize("left", [finished_event(), JobRequeued(attempt=1, explanation="lost")])
def test_what_a_job_has_left_is_ended(left: Event) -> None:
    """After a moment: a runner that is just ending it needs nobody's word."""
    log, deliveries = _started(left), Deliveries()
    present: loss.Present = {"r1": HELD}
    assert deliveries.due(log.board, present, 0.0) == []
    [told] = deliveries.due(log.board, present, LEFT_AFTER_S)
    assert (told.job, told.attempt, told.runner, told.wanted) == (1, 1, "r1", False)


def test_what_a_runner_rightly_holds_is_left_alone() -> None:
    """A running attempt, and an order it has in hand and not yet claimed."""
    log, deliveries = _started(), Deliveries()
    log.job(2, launched(2), PLACED)
    present: loss.Present = {"r1": frozenset({(1, 1), (2, 1)})}
    for now_s in (0.0, LEFT_AFTER_S, 1000.0):
        assert deliveries.due(log.board, present, now_s) == []


def _verdict(board: Board, runner: str = "r1", *, said: Heard = Heard.NOTHING) -> Claim | Fail:
    request = ClaimRequest(runner=runner, job=1, attempt=1, sealing_key="")
    asked = claiming.Asked(request=request, state=board.active[1], heard=said, at=NOW)
    return claiming.verdict(asked, board)


def test_a_claim_is_granted_to_whom_it_was_placed_for() -> None:
    """A member of the group; again to the holder; never to a stranger."""
    log = Log()
    log.runner("r1", 1)
    log.job(1, launched(1), PLACED)
    assert _verdict(log.board) == Claim(attempt=1, runner="r1")
    with pytest.raises(Rejected) as refused:
        _verdict(log.board, "stranger")
    assert refused.value.status == 503
    log.job(1, CLAIMED)
    assert _verdict(log.board) == Claim(attempt=1, runner="r1")


def test_a_claim_of_what_has_reported_or_counts_as_lost_is_refused() -> None:
    """For good in the first case, for now in the second."""
    log = Log()
    log.runner("r1", 1)
    log.job(1, launched(1), PLACED, CLAIMED)
    with pytest.raises(Rejected) as refused:
        _verdict(log.board, said=Heard.STARTED)
    assert refused.value.status == 409
    log.job(1, LOST)
    with pytest.raises(Rejected) as refused:
        _verdict(log.board)
    assert refused.value.status == 503


def test_what_prevents_the_start_ends_the_job_at_the_claim() -> None:
    """A deleted resource, or a cancel that the holder has forgotten."""
    log = Log()
    log.runner("r1", 1)
    log.job(1, launched(1), PLACED, CLAIMED, CANCEL)
    command = _verdict(log.board)
    assert isinstance(command, Fail)
    assert (command.status, command.holder) == ("canceled", "r1")
    log.config("inventory", 3, ResourceDeleted(kind="inventory", id=3))
    command = _verdict(log.board)
    assert isinstance(command, Fail)
    assert (command.status, "inventory 3" in command.explanation) == ("error", True)
