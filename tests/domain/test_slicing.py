"""A sliced launch: its workflow job, its slices' jobs, and how it ends."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.domain import slicing
from controlplane.domain.board import Board
from controlplane.domain.slicing import Slice
from runners.slicing import one_of
from schemas import subjects
from schemas.envelope import Recorded
from schemas.events.job import JobLaunched, PlaybookLaunch, WorkflowLaunch
from schemas.status import LaunchType, Status
from tests.factories import context, launched

ENDED = (Status.SUCCESSFUL, Status.FAILED, Status.ERROR, Status.CANCELED)


def run(job: int, *, simultaneous: bool = False) -> JobLaunched:
    """Return a run on three slices of ten hosts."""
    made = launched(job)
    record = made.record
    assert isinstance(record, PlaybookLaunch)
    record = msgspec.structs.replace(
        record, host_count=10, forks=20, allow_simultaneous=simultaneous, job_slice_count=3
    )
    made = msgspec.structs.replace(made, record=record, timeout_s=60, secrets="sealed")
    return slicing.sliced(made, [job + 1, job + 2, job + 3], [7, 8, 9])


def test_slices_share_all_but_their_hosts() -> None:
    """Each has its number, its part of the hosts and of the capacity, and its own secrets."""
    parent = run(50)
    record = parent.record
    assert isinstance(record, WorkflowLaunch)
    assert (record.is_sliced_job, record.job_template, parent.timeout_s) == (True, 7, 0)
    found = [slicing.child(parent, number, f"for {number}") for number in (1, 2, 3)]
    assert [each.id for each in found] == [51, 52, 53]
    assert [each.impact for each in found] == [5, 4, 4]
    assert [each.secrets for each in found] == ["for 1", "for 2", "for 3"]
    for number, each in enumerate(found, 1):
        assert isinstance(each.record, PlaybookLaunch)
        assert (each.record.job_slice_number, each.record.job_slice_count) == (number, 3)
        assert each.record.allow_simultaneous
        assert (each.launch_type, each.workflow_job) == (LaunchType.WORKFLOW, 50)
        assert each.timeout_s == 60
        assert each.record.runtime_vars["workflow_job_id"] == 50


def test_a_sync_ends_with_the_run_and_not_with_one_of_its_slices() -> None:
    """Who cancels one slice takes the content from none of the others."""
    made = launched(50)
    assert isinstance(made.record, PlaybookLaunch)
    record = msgspec.structs.replace(made.record, project_update=49, host_count=2)
    alone = msgspec.structs.replace(made, record=record)
    parent = slicing.sliced(alone, [51, 52], [7, 8])
    found = [slicing.own_sync(each) for each in (alone, parent, slicing.child(parent, 1, ""))]
    assert found == [49, 49, None]
    assert slicing.own_sync(launched(1)) is None


def test_runs_of_one_template_wait_for_the_older_one() -> None:
    """Unless the template allows more than one at a time."""
    board = Board()
    for sequence, each in enumerate((run(10), run(20)), 1):
        record = Recorded(
            sequence=sequence,
            subject=subjects.job(each.id),
            context=context(f"m{each.id}"),
            keys=(),
            events=(each,),
        )
        board.apply_job(record)
    runs = {launch.id: (launch, record) for launch, record, _ in slicing.running(board)}
    assert slicing.blocker(board, *runs[10]) is None
    assert slicing.blocker(board, *runs[20]) == 10
    free = run(20, simultaneous=True)
    assert isinstance(free.record, WorkflowLaunch)
    assert slicing.blocker(board, free, free.record) is None


@pytest.mark.parametrize(
    ("statuses", "canceled", "end"),
    [
        (("successful", "successful"), False, Status.SUCCESSFUL),
        (("successful", "failed"), False, Status.FAILED),
        (("error", "successful"), False, Status.FAILED),
        (("canceled", "successful"), False, Status.FAILED),
        (("successful", ""), False, None),
        (("successful", "-"), False, None),
        (("successful", "-"), True, Status.CANCELED),
        (("canceled", ""), True, None),
        (("canceled", "successful"), True, Status.CANCELED),
    ],
)
def test_a_run_ends_with_its_last_slice(
    statuses: tuple[str, ...],
    canceled: bool,  # noqa: FBT001 - a case
    end: Status | None,
) -> None:
    """A failed slice fails it; nothing ends it while a slice runs or is still to come."""
    slices = [
        Slice(
            job=number,
            number=number,
            launched=each != "-",
            status=Status(each) if each in ENDED else None,
        )
        for number, each in enumerate(statuses, 1)
    ]
    found = slicing.end_of(slices, canceled=canceled)
    assert (None if found is None else found[0]) == end


@given(st.integers(1, 40), st.integers(1, 45))
def test_slices_of_an_inventory_are_its_hosts(hosts: int, wanted: int) -> None:
    """Every host is in one slice, in order and in its groups; no slice is without hosts."""
    names = [f"h{number:02}" for number in range(hosts)]
    inventory = msgspec.json.encode(
        {
            "all": {"hosts": names[::2], "children": ["odd"], "vars": {"a": 1}},
            "odd": {"hosts": names[1::2]},
            "_meta": {"hostvars": {name: {"n": name} for name in names}},
        }
    )
    count = slicing.effective_count(wanted, hosts)
    found = []
    for number in range(1, count + 1):
        content = msgspec.json.decode(one_of(inventory, number, count))
        mine = [*content["_meta"]["hostvars"]]
        assert mine == names[number - 1 :: count]
        assert mine
        assert {*content["all"]["hosts"], *content["odd"]["hosts"]} == set(mine)
        assert content["all"]["vars"] == {"a": 1}
        found += mine
    assert sorted(found) == names
