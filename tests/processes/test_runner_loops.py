"""Cancels, lost runners and reports: what becomes of attempts that runners hold."""

from __future__ import annotations

import msgspec
import pytest
from nats.aio.msg import Msg

from controlplane.domain import loss
from controlplane.domain.job import Claim, Place, ReportStarted, RequestCancel
from controlplane.processes import position
from controlplane.processes.cancels import Cancels
from controlplane.processes.lost_runners import LostRunners
from controlplane.processes.runner_reports import RunnerReports
from ops import connect
from schemas import subjects
from schemas.output import AttemptStarted
from schemas.streams import JOBS, PRESENCE
from schemas.work import CANCEL_SIGNALLED, CANCEL_UNKNOWN, CancelRequest
from tests.factories import NOW, finished
from tests.processes.conftest import NewFloor
from tests.processes.floor import WITHIN_S, Floor
from tests.waiting import soon


async def _running(floor: Floor, job: int = 1, **changes: object) -> None:
    """A job that r1 has started."""
    await floor.launch(job, **changes)
    for command in (
        Place(group="default", work_class=4),
        Claim(attempt=1, runner="r1"),
        ReportStarted(attempt=1, runner="r1", at=NOW),
    ):
        await floor.job(job, command)


class FakeAgent:
    """Answers cancel requests as it is told, and keeps them."""

    def __init__(self, *answers: bytes) -> None:
        """The last answer is given for ever."""
        self.asked: list[CancelRequest] = []
        self._answers = list(answers)

    async def listen(self, floor: Floor) -> None:
        """Take r1's requests."""

        async def on_request(message: Msg) -> None:
            self.asked.append(msgspec.json.decode(message.data, type=CancelRequest))
            answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
            await message.respond(answer)

        await floor.connection.subscribe(subjects.control("r1", "cancel"), cb=on_request)
        await connect.flush(floor.connection)


async def test_a_cancel_is_delivered_when_the_runner_knows_the_attempt(floor: Floor) -> None:
    """An agent that is just taking the attempt does not know it yet, and is asked again."""
    agent = FakeAgent(CANCEL_UNKNOWN, CANCEL_UNKNOWN, CANCEL_SIGNALLED)
    await agent.listen(floor)
    await floor.present("r1", (1, 1))
    await _running(floor)
    await floor.job(1, RequestCancel(requested_by="ann", at=NOW))
    floor.run(Cancels())

    async def delivered() -> bool:
        return (await floor.state(1)).cancel_delivered

    await soon(delivered, WITHIN_S)
    assert agent.asked == [CancelRequest(job=1, attempt=1)] * 3


async def test_a_runner_that_confirmed_is_told_again_until_the_job_is_over(floor: Floor) -> None:
    """The agent that confirmed may have died before it had signalled anybody."""
    agent = FakeAgent(CANCEL_SIGNALLED)
    await agent.listen(floor)
    await _running(floor)
    await floor.job(1, RequestCancel(requested_by="ann", at=NOW))
    floor.run(Cancels())
    await soon(lambda: len(agent.asked) >= 2, WITHIN_S)
    await floor.job(1, finished(status="canceled"))
    assert (await floor.state(1)).status == "canceled"


async def test_an_attempt_that_its_job_has_left_is_ended(floor: Floor) -> None:
    """A runner that comes back after its job was given up does not play on for nobody."""
    agent = FakeAgent(CANCEL_SIGNALLED)
    await agent.listen(floor)
    await _running(floor, 1)
    await floor.job(1, finished(status="error"))
    await _running(floor, 2)
    await floor.present("r1", (1, 1), (2, 1))
    floor.run(Cancels())
    await soon(lambda: agent.asked, WITHIN_S)
    assert agent.asked[0] == CancelRequest(job=1, attempt=1)
    assert all(each.job == 1 for each in agent.asked)


@pytest.mark.parametrize(
    ("policy", "status", "attempt"), [("error", "error", 1), ("retry", "pending", 1)]
)
async def test_a_lost_runners_job_follows_its_policy(
    floor: Floor, policy: str, status: str, attempt: int
) -> None:
    """Its presence lapses, a grace passes, and the job ends or is to be placed anew."""
    await floor.runner("r1", 1)
    await floor.present("r1", (1, 1), ttl_s=1)
    await _running(floor, lost_policy=policy)
    floor.run(LostRunners())
    state = await floor.becomes(1, status)
    assert state.attempt == attempt
    assert "r1 was lost" in state.explanation
    instance = floor.tools.keeper.board.instance_named("r1")
    assert instance is not None
    await soon(lambda: not instance.available, WITHIN_S)


async def test_a_runner_that_comes_back_within_the_grace_keeps_its_job(new_floor: NewFloor) -> None:
    """The job runs on, lost for a while."""
    floor = await new_floor(lost_grace_s=600.0)
    await _running(floor)
    floor.run(LostRunners())

    async def lost() -> bool:
        return (await floor.state(1)).lost

    await soon(lost, WITHIN_S)
    assert (await floor.state(1)).status == "running"
    await floor.present("r1", (1, 1))

    async def recovered() -> bool:
        return not await lost()

    await soon(recovered, WITHIN_S)


async def test_a_presence_that_cannot_be_read_concerns_its_runner_alone(floor: Floor) -> None:
    """Garbage in one entry, or another runner's name in it, hides nobody else."""
    context = floor.connection.jetstream()
    await context.publish(subjects.kv(PRESENCE.name, "bad"), b"{")
    await floor.present("r1", (1, 1))
    await _running(floor, 1)
    await _running(floor, 2)
    floor.run(LostRunners())

    forged = msgspec.json.encode({"runner": "r2", "at": NOW, "sealing_key": ""})
    await context.publish(subjects.kv(PRESENCE.name, "r3"), forged)
    await floor.launch(3)
    await floor.job(3, Place(group="default", work_class=4))
    await floor.job(3, Claim(attempt=1, runner="r2"))
    await floor.becomes(3, "error")
    assert (await floor.state(1)).status == "running"


async def test_reports_become_transitions_once(new_floor: NewFloor) -> None:
    """Repeated, out of their attempt, or read again after a crash they change nothing more."""
    first = await new_floor()
    await first.launch(1)
    await first.job(1, Place(group="default", work_class=4))
    await first.job(1, Claim(attempt=1, runner="r1"))
    first.run(RunnerReports())
    begun, ended = AttemptStarted(at=NOW, runner="r1"), finished().report
    await first.report(1, begun, attempt=2)
    await first.report(1, begun)
    await first.report(1, ended)
    await first.becomes(1, "successful")
    count = await first.store.last_sequence(JOBS.name)
    for report in (begun, ended):
        await first.report(1, report)
    await first.die()
    second = await new_floor()
    await position.save(second.connection, RunnerReports.name, 0)
    last = await second.report(1, ended)
    second.run(RunnerReports())

    async def handled() -> bool:
        return await position.load(second.connection, RunnerReports.name) >= last

    await soon(handled, WITHIN_S)
    assert await second.store.last_sequence(JOBS.name) == count


async def test_a_report_that_cannot_be_read_holds_up_nobody(floor: Floor) -> None:
    """The next one is handled; a last report whose content is missing ends its job."""
    await _running(floor)
    await _running(floor, 2)
    context = floor.connection.jetstream()
    await context.publish("report.1.1.1", b"{")
    await context.publish("report.1.1.1", b"{}")
    await context.publish("report.1.2.1", b'{"blob":"' + b"0" * 64 + b'"}')
    floor.run(RunnerReports())
    await floor.report(1, finished().report)
    await floor.becomes(1, "successful")
    assert "cannot be read" in (await floor.becomes(2, "error")).explanation


async def test_a_job_whose_end_is_reported_is_not_tried_again(floor: Floor) -> None:
    """The report stands in the log although the loop that reads it hangs."""
    await floor.runner("r1", 1)
    await _running(floor, 1, lost_policy="retry")
    await _running(floor, 2, lost_policy="retry")
    await floor.report(1, finished().report)
    floor.run(LostRunners())
    await floor.becomes(2, "pending")
    state = await floor.state(1)
    assert (state.status, state.lost) == ("running", True)
    floor.run(RunnerReports())
    await floor.becomes(1, "successful")


async def test_a_runner_that_never_started_the_job_does_not_fail_it(floor: Floor) -> None:
    """It lost its grant and is there: the job is placed anew, whatever its policy."""
    watch, now = loss.LossWatch(1.0, 1.0), 0.0
    await floor.launch(1)
    await floor.job(1, Place(group="default", work_class=4))
    await floor.job(1, Claim(attempt=1, runner="r1"))
    while (await floor.state(1)).active and (await floor.state(1)).runner:
        await floor.tools.keeper.ready()
        await floor.tools.keeper.caught_up()
        for job, command in watch.jobs(floor.tools.keeper.board, {"r1": ()}, now, NOW):
            await floor.job(job, command)
        now += 1.0
    state = await floor.state(1)
    assert (state.status, state.explanation) == ("pending", "Runner r1 did not keep the job.")
