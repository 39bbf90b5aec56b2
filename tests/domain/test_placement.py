"""Placement: who goes where, and what holds everybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.domain.group_limits import GroupLimit
from controlplane.domain.placement import (
    NO_CAPACITY,
    RESERVE_AFTER_S,
    Held,
    HeldBack,
    Placed,
    RunnerFacts,
    Waiting,
    place,
)
from tests.factories import NOW


def waiting(job: int, **changes: Any) -> Waiting:
    """A pending job of its own template."""
    values: dict[str, Any] = {
        "job": job,
        "kind": "job",
        "created": NOW,
        "impact": 3,
        "groups": ("default",),
        "template": 1000 + job,
        "project": None,
    }
    return Waiting(**{**values, **changes})


def held(job: int, **changes: Any) -> Held:
    """A running job of its own template on runner r1."""
    values: dict[str, Any] = {
        "job": job,
        "kind": "job",
        "group": "default",
        "impact": 3,
        "runner": "r1",
        "template": 1000 + job,
        "project": None,
    }
    return Held(**{**values, **changes})


def runner(name: str = "r1", capacity: int = 8, **changes: Any) -> RunnerFacts:
    """A runner of the default group."""
    return RunnerFacts(**{"name": name, "groups": ("default",), "capacity": capacity, **changes})


def test_jobs_are_placed_oldest_first_while_there_is_room() -> None:
    """Two of impact 3 fit into 8; the third waits with AWX's sentence."""
    decisions = place([waiting(3), waiting(1), waiting(2)], [], [runner()], NOW)
    assert decisions == (
        Placed(job=1, group="default", work_class=4),
        Placed(job=2, group="default", work_class=4),
        HeldBack(job=3, rule="capacity", explanation=NO_CAPACITY),
    )


def test_running_and_unclaimed_jobs_take_room() -> None:
    """What is placed counts before it is claimed."""
    [decision] = place([waiting(9)], [held(1), held(2, runner=None)], [runner()], NOW)
    assert decision == HeldBack(job=9, rule="capacity", explanation=NO_CAPACITY)


def test_without_a_runner_the_groups_are_named() -> None:
    """A job whose groups have no enabled runner says so."""
    [decision] = place([waiting(1)], [], [runner(available=False)], NOW)
    assert decision == HeldBack(
        job=1, rule="no_runner", explanation="No enabled runner is present in default."
    )


def test_the_first_group_with_room_wins() -> None:
    """Preference order decides, then room."""
    runners = [runner("r1", 2), runner("r2", 8, groups=("spare",))]
    [decision] = place([waiting(1, groups=("default", "spare"), impact=4)], [], runners, NOW)
    assert decision == Placed(job=1, group="spare", work_class=4)


def test_a_runner_in_two_groups_counts_once() -> None:
    """Room taken through one group is gone for the other."""
    shared = runner("r1", 4, groups=("a", "b"))
    first, second = place([waiting(1, groups=("a",)), waiting(2, groups=("b",))], [], [shared], NOW)
    assert isinstance(first, Placed)
    assert isinstance(second, HeldBack)


def test_one_run_of_a_template_unless_it_allows_more() -> None:
    """A second run waits for the first by name; with allow_simultaneous it does not."""
    running = [held(1, template=7)]
    [decision] = place([waiting(2, template=7)], running, [runner()], NOW)
    assert decision == HeldBack(
        job=2, rule="concurrency", explanation="waiting for job-1 to finish"
    )
    [decision] = place([waiting(2, template=7, allow_simultaneous=True)], running, [runner()], NOW)
    assert isinstance(decision, Placed)


def test_a_job_waits_for_running_and_earlier_updates_of_its_project() -> None:
    """The explanation is AWX's: model name without underscore."""
    update = held(5, kind="project_update", project=2)
    [decision] = place([waiting(6, project=2)], [update], [runner()], NOW)
    assert decision.job == 6
    assert decision == HeldBack(
        job=6, rule="dependency", explanation="waiting for projectupdate-5 to finish"
    )
    queued = waiting(5, kind="project_update", project=2, impact=1)
    first, second = place([waiting(6, project=2), queued], [], [runner()], NOW)
    assert isinstance(first, Placed)
    assert isinstance(second, HeldBack)


def test_what_no_runner_can_take_holds_back_nobody_else() -> None:
    """An update without a runner keeps those waiting that need its content, and says so of itself.

    Later updates and jobs of its project or inventory go past it; once canceled it holds nobody.
    """
    for kind, where in (
        ("project_update", {"project": 2}),
        ("inventory_update", {"inventory": 2}),
    ):
        stuck = waiting(1, kind=kind, groups=("nowhere",), **where)
        later = waiting(2, kind=kind, impact=1, **where)
        other = waiting(3, **where)
        needing = waiting(4, waits_for=(1,), **where)
        first, second, third, fourth = place([stuck, later, other, needing], [], [runner()], NOW)
        assert first == HeldBack(
            job=1, rule="no_runner", explanation="No enabled runner is present in nowhere."
        )
        assert isinstance(second, Placed)
        name = kind.replace("_", "")
        assert third == HeldBack(
            job=3, rule="dependency", explanation=f"waiting for {name}-2 to finish"
        )
        assert fourth == HeldBack(
            job=4, rule="dependency", explanation=f"waiting for {name}-1 to finish"
        )
        [_, third] = place([stuck, other], [], [runner()], NOW)
        assert isinstance(third, Placed)
        [third, fourth] = place([other, needing], [], [runner()], NOW)
        assert isinstance(third, Placed)
        assert isinstance(fourth, Placed)


def test_a_job_waits_for_its_dependencies() -> None:
    """``waits_for`` holds as long as the other job is active."""
    [_, second] = place([waiting(1), waiting(2, waits_for=(1,))], [], [runner()], NOW)
    assert second == HeldBack(job=2, rule="dependency", explanation="waiting for job-1 to finish")


def test_a_job_larger_than_every_runner_runs_alone_on_an_idle_one() -> None:
    """It is addressed to that runner directly."""
    big = waiting(1, impact=50)
    [decision] = place([big], [], [runner()], NOW)
    assert decision == Placed(job=1, group="default", work_class=64, runner="r1")
    [decision] = place([big], [held(2)], [runner()], NOW)
    assert isinstance(decision, HeldBack)


def test_a_large_job_that_waited_long_is_not_starved() -> None:
    """After the bound a runner that is idle is addressed directly, whatever is free by then."""
    old = waiting(1, impact=7, created=NOW - timedelta(seconds=RESERVE_AFTER_S + 1))
    [decision] = place([old], [held(2)], [runner("r1"), runner("r2", 6)], NOW)
    assert decision == Placed(job=1, group="default", work_class=8, runner="r2")


def test_younger_small_jobs_do_not_starve_a_large_one() -> None:
    """Once it has waited long, the runner it needs takes nobody younger."""
    old = waiting(2, impact=7, created=NOW - timedelta(seconds=RESERVE_AFTER_S + 1))
    large, small = place([old, waiting(3)], [held(1)], [runner()], NOW)
    assert isinstance(large, HeldBack)
    assert isinstance(small, HeldBack)
    large, small = place([old, waiting(3)], [], [runner()], NOW)
    assert large == Placed(job=2, group="default", work_class=8)
    assert isinstance(small, HeldBack)


JOBS = st.lists(
    st.builds(
        waiting,
        st.integers(1, 500),
        impact=st.integers(1, 12),
        groups=st.sampled_from([("a",), ("b",), ("a", "b"), ("none",)]),
        template=st.integers(1, 6),
        project=st.sampled_from([None, 1, 2]),
        kind=st.sampled_from(["job", "project_update"]),
    ),
    max_size=30,
    unique_by=lambda each: each.job,
)
RUNNERS = st.lists(
    st.builds(
        runner,
        st.sampled_from(["r1", "r2", "r3"]),
        st.integers(1, 20),
        groups=st.sampled_from([("a",), ("b",), ("a", "b")]),
    ),
    max_size=3,
    unique_by=lambda each: each.name,
)


@settings(max_examples=300)
@given(JOBS, RUNNERS)
def test_every_job_gets_one_decision_and_the_same_again(
    jobs: list[Waiting], runners: list[RunnerFacts]
) -> None:
    """One decision a job, deterministic, with a reason on each that stays."""
    decisions = place(jobs, [], runners, NOW)
    assert sorted(each.job for each in decisions) == sorted(each.job for each in jobs)
    assert decisions == place(list(reversed(jobs)), [], runners, NOW)
    assert all(each.explanation for each in decisions if isinstance(each, HeldBack))


@settings(max_examples=300)
@given(JOBS, RUNNERS)
def test_capacity_is_never_exceeded_but_by_a_job_alone(
    jobs: list[Waiting], runners: list[RunnerFacts]
) -> None:
    """What is placed without an address fits into the runners' capacity."""
    placed = {each.job: each for each in place(jobs, [], runners, NOW) if isinstance(each, Placed)}
    together = sum(job.impact for job in jobs if job.job in placed and not placed[job.job].runner)
    assert together <= sum(each.capacity for each in runners)


def test_a_group_takes_no_more_than_its_limits() -> None:
    """Jobs and forks are counted with those that run; another group of the job's may have room."""
    few = GroupLimit().changed({"name": "default", "max_concurrent_jobs": 2, "other": 1})
    runners = [runner(capacity=100), runner("r2", 100, groups=("spare",))]
    jobs = [waiting(1), waiting(2), waiting(3, groups=("default", "spare"))]
    first, second, third = place(jobs, [held(9)], runners, NOW, [few])
    assert isinstance(first, Placed)
    text = "default runs at most 2 jobs at a time."
    assert second == HeldBack(job=2, rule="group", explanation=text)
    assert isinstance(third, Placed)
    assert third.group == "spare"
    narrow = few.changed({"max_concurrent_jobs": 0, "max_forks": 7})
    held_back = place(jobs[:2], [held(9)], runners, NOW, [narrow])[1]
    assert isinstance(held_back, HeldBack)
    assert held_back.explanation == (
        "default runs at most 7 forks at a time and has 6; the job takes 3."
    )
    assert all(isinstance(each, Placed) for each in place(jobs, [held(9)], runners, NOW))
