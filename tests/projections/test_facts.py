"""The rows of hosts' facts, whatever a runner sent."""

from __future__ import annotations

import hashlib

import msgspec

from ops.blobs import Blobs
from projections import dead_letters
from projections.facts import Facts
from projections.main import PROJECTIONS
from projections.projection import RawMessage, Run
from schemas import envelope, subjects
from schemas.events.job import JobFinished
from tests.factories import NOW
from tests.projections.rig import Log, context


def test_a_host_has_one_row_in_a_statement_however_it_is_numbered() -> None:
    """Postgres refuses a statement that writes a row twice, and would for ever."""
    hosts = {"7": {"facts": {"a": 1}}, "07": {"facts": {"a": 2}}, "8": {"facts": None}}
    body = msgspec.json.encode({"at": NOW, "content": "c", "hosts": hosts})
    (run,) = Facts().apply([RawMessage(sequence=3, subject="job.1", data=body)])
    assert isinstance(run, Run)
    assert run.args == ([7, 8], ['{"a":2}', "{}"], "c", NOW, 3)


async def test_facts_that_were_set_aside_are_applied_below_newer_ones(log: Log) -> None:
    """Their content came late: trying again keeps what a later run gathered, as a rebuild does."""
    late, newer = (
        msgspec.json.encode({str(host): {"facts": {"run": run}} for host in hosts})
        for run, hosts in ((1, (7, 8)), (2, (7, 9)))
    )
    await Blobs(log.connection).put(newer)
    log.project(Facts())
    last = 0
    for job, content in enumerate((late, newer), 1):
        digest = hashlib.sha256(content).hexdigest()
        end = JobFinished(status="successful", finished=NOW, attempt=1, facts=digest)
        body = envelope.encode(context(f"m{job}"), (end,))
        last = (await log.connection.jetstream().publish(subjects.job(job), body)).seq
    await log.passed("facts", last)
    rows = "SELECT host, facts ->> 'run' FROM host_facts ORDER BY host"
    assert [tuple(each) for each in await log.reader.fetch(rows)] == [(7, "2"), (9, "2")]
    await Blobs(log.connection).put(late)
    (told,) = await dead_letters.retry(log.connection, log.reader, PROJECTIONS)
    assert (told.letter.stream, told.problem) == ("JOBS", "")
    found = [tuple(each) for each in await log.reader.fetch(rows)]
    assert found == [(7, "2"), (8, "1"), (9, "2")]
    assert await log.reader.fetchval("SELECT count(*) FROM dead_letter") == 0
