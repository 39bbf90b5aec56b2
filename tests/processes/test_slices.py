"""The loop of sliced runs on a real server: whoever goes on launches what is still to come."""

from __future__ import annotations

import msgspec

from controlplane.domain import slicing
from controlplane.domain.job import Launch, RequestCancel
from controlplane.processes.slices import Slices
from ops import clock
from schemas.events.job import JobLaunched, WorkflowLaunch
from schemas.streams import JOBS
from tests.factories import launched
from tests.processes.conftest import NewFloor
from tests.processes.floor import RECORD, Floor

SLICES = range(11, 16)


async def run_of(floor: Floor) -> JobLaunched:
    """Launch a run on five slices."""
    record = msgspec.structs.replace(RECORD, host_count=9, job_slice_count=len(SLICES))
    made = launched(10, record=record, created=clock.now(), depends=())
    made = slicing.sliced(made, SLICES, range(1, len(SLICES) + 1))
    await floor.job(10, Launch(launched=made))
    return made


async def test_a_run_has_the_slices_it_was_asked_for_whoever_dies(new_floor: NewFloor) -> None:
    """Two were launched when the process died: the next launches three, and ends with the last."""
    floor = await new_floor()
    parent = await run_of(floor)
    assert isinstance(parent.record, WorkflowLaunch)
    for number in (1, 3):
        await floor.job(SLICES[number - 1], Launch(launched=slicing.child(parent, number, "")))
    floor.run(Slices())
    await floor.becomes(10, "running")
    await floor.die()
    second = await new_floor()
    second.run(Slices())
    for job in SLICES:
        await second.becomes(job, "pending")
        await second.job(job, RequestCancel(requested_by="x", at=clock.now()))
    await second.becomes(10, "failed")
    last = await second.store.last_sequence(JOBS.name)
    records = [each async for each in second.store.read(JOBS.name, 1, last)]
    made = [event.id for each in records for event in each.events if isinstance(event, JobLaunched)]
    assert sorted(made) == [10, *SLICES]
