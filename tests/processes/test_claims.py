"""The claim service: what is granted, what is refused, and what ends a job instead."""

from __future__ import annotations

import asyncio

from controlplane.domain.job import (
    Claim,
    ConfirmCancel,
    GiveUp,
    MarkLost,
    MarkRecovered,
    Place,
    RequestCancel,
)
from controlplane.processes.claims import Claims
from schemas import subjects
from schemas.events.resource import ResourceCreated, ResourceDeleted
from schemas.output import AttemptStarted
from tests.factories import NOW, finished
from tests.processes.floor import Floor

PLACE = Place(group="default", work_class=4)


async def _placed(floor: Floor, job: int = 1, **changes: object) -> None:
    await floor.runner("r1", 1)
    await floor.runner("r2", 2)
    await floor.launch(job, **changes)
    await floor.job(job, PLACE)
    floor.run(Claims())


async def test_one_runner_is_granted_an_attempt(floor: Floor) -> None:
    """Several ask at once and again; one is granted it each time, the other never."""
    await _placed(floor)
    runners = ["r1", "r2"] * 4
    answers = await asyncio.gather(*(floor.claim(each, 1) for each in runners))
    granted = {name for name, grant in zip(runners, answers, strict=True) if grant.granted}
    assert granted == {(await floor.state(1)).runner}
    assert sum(grant.granted for grant in answers) == 4
    assert all(grant.sealed for grant in answers if grant.granted)


async def test_what_may_not_start_is_refused(floor: Floor) -> None:
    """Unplaced, superseded, canceled and ended attempts, and another runner's name."""
    await _placed(floor)
    assert not (await floor.claim("r1", 9)).granted
    assert not (await floor.claim("r1", 1, attempt=2)).granted
    assert not (await floor.claim("r1", 1, name="r2")).granted
    await floor.launch(2)
    assert not (await floor.claim("r1", 2)).granted
    await floor.job(1, RequestCancel(requested_by="ann", at=NOW))
    refused = await floor.claim("r1", 1)
    assert (refused.granted, refused.retry) == (False, False)
    await floor.launch(3, lost_policy="retry")
    for command in (
        PLACE,
        Claim(attempt=1, runner="r1"),
        MarkLost(runner="r1", explanation="gone"),
        GiveUp(attempt=1, at=NOW, explanation="gone"),
        PLACE,
    ):
        await floor.job(3, command)
    assert not (await floor.claim("r1", 3, attempt=1)).granted
    assert (await floor.claim("r2", 3, attempt=2)).granted


async def test_a_runner_gets_only_what_was_placed_for_it(floor: Floor) -> None:
    """Another group's attempt, and one reserved for another runner, hold secrets not its own."""
    await _placed(floor)
    await floor.runner("stranger", 3, ("elsewhere",))
    assert not (await floor.claim("stranger", 1)).granted
    await floor.launch(2)
    await floor.job(2, Place(group="default", work_class=4, runner="r2"))
    assert not (await floor.claim("r1", 2)).granted
    assert (await floor.claim("r2", 2)).granted
    unknown = await floor.claim("nobody", 1)
    assert (unknown.granted, unknown.retry) == (False, True)


async def test_an_attempt_that_has_reported_is_not_granted_again(floor: Floor) -> None:
    """A redelivered order finds the report, although no loop has handled it yet."""
    await _placed(floor)
    assert (await floor.claim("r1", 1)).granted
    await floor.report(1, AttemptStarted(at=NOW, runner="r1"))
    again = await floor.claim("r1", 1)
    assert (again.granted, again.retry) == (False, False)
    assert (await floor.state(1)).active


async def test_a_job_on_a_deleted_resource_ends_at_the_claim(floor: Floor) -> None:
    """Also when its runner held it already and asks again."""
    await _placed(floor, depends=("inventory:3",))
    await floor.launch(2, depends=("inventory:3",))
    await floor.job(2, PLACE)
    assert (await floor.claim("r1", 2)).granted
    subject = subjects.config("inventory", 3)
    await floor.config(subject, ResourceCreated(kind="inventory", id=3, values={"name": "i"}))
    await floor.config(subject, ResourceDeleted(kind="inventory", id=3))
    for job in (1, 2):
        assert not (await floor.claim("r1", job)).granted
        state = await floor.state(job)
        assert (state.status, state.explanation) == (
            "error",
            "This job cannot run: inventory 3 was deleted.",
        )


async def test_a_holder_that_restarts_before_the_start_learns_of_the_cancel(floor: Floor) -> None:
    """It asks for its attempt again, and the job ends as canceled instead."""
    await _placed(floor)
    assert (await floor.claim("r1", 1)).granted
    await floor.job(1, RequestCancel(requested_by="ann", at=NOW))
    await floor.job(1, ConfirmCancel(attempt=1, runner="r1"))
    assert not (await floor.claim("r1", 1)).granted
    assert (await floor.state(1)).status == "canceled"


async def test_a_job_whose_secrets_no_key_opens_ends(floor: Floor) -> None:
    """Its runner would ask for them for ever."""
    await _placed(floor, secrets="bm90IHNlYWxlZCBieSBhbnkga2V5IG9mIG91cnM=")
    refused = await floor.claim("r1", 1)
    assert (refused.granted, refused.retry) == (False, False)
    state = await floor.state(1)
    assert (state.status, "secrets" in state.explanation) == ("error", True)


async def test_an_attempt_that_counts_as_lost_is_not_granted_now(floor: Floor) -> None:
    """It may be given up any moment; once its runner is seen to hold it it is granted again."""
    await _placed(floor)
    await floor.job(1, Claim(attempt=1, runner="r1"))
    await floor.job(1, MarkLost(runner="r1", explanation="gone"))
    refused = await floor.claim("r1", 1)
    assert (refused.granted, refused.retry) == (False, True)
    await floor.job(1, MarkRecovered(attempt=1, runner="r1"))
    assert (await floor.claim("r1", 1)).granted


async def test_an_ended_job_stays_ended(floor: Floor) -> None:
    """A claim that comes after the end changes nothing."""
    await _placed(floor)
    await floor.job(1, Claim(attempt=1, runner="r1"))
    await floor.job(1, finished())
    before = await floor.state(1)
    assert not (await floor.claim("r1", 1)).granted
    assert await floor.state(1) == before
