"""Job slicing: one launch becomes a workflow job, and a job for each slice of the hosts. Pure.

Slice k of n runs on every n-th host of the inventory, the k-th first (AWX 4.5). The ids of nodes
and jobs are in the launch record, so whoever goes on after a crash launches the same jobs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec
from msgspec import Struct

from controlplane.domain.board import Board
from controlplane.domain.job import JobState
from controlplane.domain.task_impact import playbook_impact
from schemas.events.job import JobLaunched, NamedRef, PlaybookLaunch, WorkflowLaunch
from schemas.status import LaunchType, Status

RUNNER = "workflow"
"""Who holds a workflow job: no runner, but the loop that launches its jobs."""
NOBODY_CARED = "No error handling paths found, marking workflow as failed"


class Slice(Struct, frozen=True, kw_only=True):
    """One slice of a sliced job: its job, and how that stands."""

    job: int
    number: int
    launched: bool
    status: Status | None = None
    """None while it is active or not launched."""


def effective_count(wanted: int, hosts: int) -> int:
    """Return how many slices a launch has: no more than hosts, and one is none."""
    return max(1, min(wanted, hosts))


def sliced(launched: JobLaunched, jobs: Collection[int], nodes: Collection[int]) -> JobLaunched:
    """Return the workflow job that stands for a launch; its slices' jobs have these ids."""
    record = launched.record
    if not isinstance(record, PlaybookLaunch):
        raise TypeError("only a playbook run has slices")
    count = len(jobs)
    return msgspec.structs.replace(
        launched,
        impact=0,
        timeout_s=0,
        record=WorkflowLaunch(
            job_template=record.job_template,
            is_sliced_job=True,
            inventory=record.inventory,
            limit=record.limit,
            scm_branch=record.scm_branch,
            job_tags=record.job_tags,
            skip_tags=record.skip_tags,
            extra_vars=record.extra_vars,
            allow_simultaneous=record.allow_simultaneous,
            labels=record.labels,
            sliced=msgspec.structs.replace(record, job_slice_count=count, allow_simultaneous=True),
            slice_jobs=tuple(jobs),
            nodes=tuple(nodes),
            slice_timeout_s=launched.timeout_s,
        ),
    )


def child(parent: JobLaunched, number: int, secrets: str) -> JobLaunched:
    """Return the launch of a slice (1..); ``secrets`` are the parent's, sealed for this job."""
    workflow = parent.record
    if not isinstance(workflow, WorkflowLaunch) or workflow.sliced is None:
        raise TypeError("only a sliced job has slices")
    record, count = workflow.sliced, len(workflow.slice_jobs)
    hosts = max(1, (record.host_count + count - number) // count)
    told = {
        "workflow_job_id": parent.id,
        "workflow_job_name": parent.name,
        "workflow_job_launch_type": str(parent.launch_type),
    }
    return msgspec.structs.replace(
        parent,
        id=workflow.slice_jobs[number - 1],
        launch_type=LaunchType.WORKFLOW,
        launched_by=NamedRef(type="workflow_job", id=parent.id, name=parent.name),
        record=msgspec.structs.replace(
            record,
            job_slice_number=number,
            host_count=hosts,
            runtime_vars={**record.runtime_vars, **told},
        ),
        impact=playbook_impact(record.forks, hosts),
        timeout_s=workflow.slice_timeout_s,
        secrets=secrets,
        relaunch_of=None,
        workflow_job=parent.id,
    )


def own_sync(launched: JobLaunched) -> int | None:
    """Return the sync that ends with a job since it serves nobody else; None without.

    That of slices serves them all: it is their run's.
    """
    record = launched.record
    if isinstance(record, WorkflowLaunch):
        record = record.sliced or record
    elif launched.workflow_job is not None:
        return None
    return record.project_update if isinstance(record, PlaybookLaunch) else None


def running(board: Board) -> Iterator[tuple[JobLaunched, WorkflowLaunch, JobState]]:
    """Yield the sliced jobs that have not ended, oldest first."""
    for job in sorted(board.active):
        state = board.active[job]
        if state.launched is None or not isinstance(state.launched.record, WorkflowLaunch):
            continue
        if state.launched.record.sliced is not None:
            yield state.launched, state.launched.record, state


def blocker(board: Board, launched: JobLaunched, record: WorkflowLaunch) -> int | None:
    """Return the older sliced run of the template that this one waits for (AWX 4.5)."""
    if record.allow_simultaneous:
        return None
    others = (
        other.id
        for other, _, _ in running(board)
        if other.template == launched.template and other.id < launched.id
    )
    return next(others, None)


def end_of(slices: Collection[Slice], *, canceled: bool) -> tuple[Status, str] | None:
    """Return how a sliced job ends, and why; None while one of its jobs is to come or active."""
    if any(each.launched and each.status is None for each in slices):
        return None
    if canceled:
        return Status.CANCELED, ""
    if not all(each.launched for each in slices):
        return None
    if all(each.status is Status.SUCCESSFUL for each in slices):
        return Status.SUCCESSFUL, ""
    return Status.FAILED, NOBODY_CARED
