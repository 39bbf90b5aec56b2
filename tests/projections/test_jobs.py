"""The projections ``jobs`` and ``reports``: what a job shows of its transitions and results."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from projections.checkpoint import Connection
from projections.jobs import Jobs
from projections.reports import Reports
from schemas.events.job import (
    JobCancelRequested,
    JobClaimed,
    JobDeleted,
    JobFinished,
    JobHeld,
    JobPlaced,
    JobRecordCompleted,
    JobRequeued,
    JobStarted,
)
from schemas.output import AttemptErased, AttemptFinished, AttemptStarted, HostStats
from tests.factories import NOW, launched, update_launched
from tests.projections.rig import Room, of_job, reports

PLACED = JobPlaced(attempt=1, group="default", work_class=4, scm_revision="abc")
CLAIMED = JobClaimed(attempt=1, runner="r1")
STARTED = JobStarted(attempt=1, runner="r1", at=NOW)


def ended(status: str = "successful", **fields: Any) -> JobFinished:
    """A job's end."""
    return JobFinished(status=status, finished=NOW, attempt=1, rc=0, last_counter=9, **fields)


async def test_a_job_goes_through_its_states(connection: Connection) -> None:
    """Each transition is in the timeline, and the row shows where the job stands."""
    room = Room(connection, Jobs())
    held = JobHeld(rule="capacity", explanation="full")
    query = "SELECT status, job_explanation, execution_node, rc FROM unified_job"
    await room.given(of_job(launched(), held))
    assert await room.rows(query) == [("pending", "full", "", None)]
    await room.given(of_job(launched(), held, PLACED))
    assert await room.rows(query) == [("waiting", "", "", None)]
    await room.given(of_job(launched(), PLACED, CLAIMED, STARTED))
    assert await room.rows(query) == [("running", "", "r1", None)]
    await room.given(of_job(launched(), PLACED, CLAIMED, STARTED, ended()))
    assert await room.rows(query) == [("successful", "", "r1", 0)]
    tags = await room.column("SELECT tag FROM job_transition ORDER BY position, part")
    assert tags == [
        *("job.launched.v1", "job.placed.v1", "job.claimed.v1", "job.started.v1"),
        "job.finished.v1",
    ]


async def test_a_canceled_job_says_when(connection: Connection) -> None:
    """The flag comes with the request, the time with the end."""
    room = Room(connection, Jobs())
    request = JobCancelRequested(requested_by="alice")
    await room.given(of_job(launched(), request, ended("canceled", explanation="by alice")))
    query = "SELECT status, failed, cancel_flag, canceled_on, job_explanation FROM unified_job"
    assert await room.rows(query) == [("canceled", True, True, NOW, "by alice")]


async def test_a_requeued_job_is_pending_with_nothing_of_its_attempt(
    connection: Connection,
) -> None:
    """Node and start are of the next attempt; a late record only tells its last counter."""
    room = Room(connection, Jobs())
    again = JobRequeued(attempt=1, explanation="the runner is lost")
    await room.given(of_job(launched(), PLACED, CLAIMED, STARTED, again))
    query = "SELECT status, execution_node, started, job_explanation FROM unified_job"
    assert await room.rows(query) == [("pending", "", None, "the runner is lost")]
    late = JobRecordCompleted(attempt=1, last_counter=70)
    await room.given(of_job(launched(), PLACED, CLAIMED, STARTED, ended("error"), late))
    assert await room.rows("SELECT status, final_counter FROM unified_job") == [("error", 70)]


async def test_a_template_shows_its_last_job(connection: Connection) -> None:
    """The newest job counts, whichever ends last."""
    room = Room(connection, Jobs())
    await room.given(of_job(launched(1), job=1))
    await room.when(of_job(launched(2), PLACED, ended("failed"), job=2))
    query = "SELECT last_job, current_job, status, last_job_failed FROM template_status"
    assert await room.rows(query) == [(2, None, "failed", True)]
    await room.when(of_job(PLACED, job=1))
    assert await room.rows(query) == [(2, None, "failed", True)]


async def test_a_projects_content_is_that_of_its_newest_update(connection: Connection) -> None:
    """An older update that ends late does not put the project back."""
    room = Room(connection, Jobs())
    await room.given(of_job(update_launched(1), job=1))
    await room.when(of_job(update_launched(2), ended(revision="new", content="n"), job=2))
    await room.when(of_job(ended(revision="old", content="o"), job=1))
    assert await room.rows("SELECT project, revision, content FROM project_content") == [
        (2, "new", "n")
    ]


async def test_a_deleted_job_leaves_no_row(connection: Connection) -> None:
    """Another job's rows stay."""
    room = Room(connection, Jobs())
    await room.given(of_job(launched(1), ended(), JobDeleted(), job=1))
    await room.when(of_job(launched(2), job=2))
    assert await room.column("SELECT id FROM unified_job") == [2]
    assert await room.column("SELECT DISTINCT job FROM job_transition") == [2]


def finished(stats: dict[str, HostStats], **fields: Any) -> AttemptFinished:
    """A runner's last report."""
    values = {"at": NOW, "runner": "r1", "started": NOW, "status": "successful", "last_counter": 9}
    return AttemptFinished(stats=stats, **{**values, **fields})


async def test_a_report_is_stored_once_and_in_any_order(connection: Connection) -> None:
    """Started and finished make one row, also when they come twice or swapped."""
    room = Room(connection, Reports())
    begun = AttemptStarted(at=NOW, runner="r1", job_args=("a",), job_cwd="/c", job_env={"A": "b"})
    done = finished({"h1": HostStats(host=1, ok=2)})
    await room.given(reports((7, 1, done), (7, 1, begun), (7, 1, done), (7, 1, begun)))
    query = "SELECT job_args, job_env, reported, last_counter, host_status_counts FROM job_result"
    assert await room.rows(query) == [('["a"]', '{"A":"b"}', True, 9, '{"ok":1}')]
    assert await room.rows("SELECT host_name, ok FROM job_host_summary") == [("h1", 2)]


async def test_a_host_counts_once_by_its_worst_class(connection: Connection) -> None:
    """A host that failed is not ok too."""
    room = Room(connection, Reports())
    stats = {
        "a": HostStats(ok=3, failures=1),
        "b": HostStats(ok=3, changed=1),
        "c": HostStats(dark=1),
        "d": HostStats(),
    }
    await room.given(reports((7, 1, finished(stats))))
    counts = await room.column("SELECT host_status_counts::jsonb::text FROM job_result")
    assert counts == ['{"dark": 1, "changed": 1, "skipped": 1, "failures": 1}']
    failed = "SELECT host_name FROM job_host_summary WHERE failed ORDER BY 1"
    assert await room.column(failed) == ["a", "c"]


async def test_a_hosts_last_job_is_the_newest_that_stays(connection: Connection) -> None:
    """Not the one that ended last; and the one before when the newest is erased."""
    room = Room(connection, Reports())
    bad = finished({"h1": HostStats(host=1, failures=1)})
    good = finished({"h1": HostStats(host=1, ok=1)}, at=NOW + timedelta(hours=1))
    await room.given(reports((9, 1, bad), (8, 1, good)))
    query = "SELECT host, job, failed FROM host_last_job"
    assert await room.rows(query) == [(1, 9, True)]
    await room.when(reports((9, 1, AttemptErased(at=NOW))))
    assert await room.rows(query) == [(1, 8, False)]
    await room.when(reports((8, 1, AttemptErased(at=NOW))))
    assert await room.rows(query) == []
    assert await room.column("SELECT count(*) FROM job_result") == [0]
