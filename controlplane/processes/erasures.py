"""A deleted job's output and reports leave the log: one message in place of each attempt's.

Projections meet that message live and on a rebuild alike, so both come to the same rows.
"""

from __future__ import annotations

import msgspec
import structlog

from controlplane.domain.job import JOB, JobState
from controlplane.processes import position
from controlplane.processes.loop import Tools
from controlplane.shell.transact import fold_history
from ops import clock, direct, pull
from schemas import subjects
from schemas.events.job import kind_of
from schemas.output import AttemptErased, Frame, StoredReport
from schemas.streams import JOBS, OUTPUT, REPORTS
from schemas.subjects import Attempt

log = structlog.get_logger()

_DELETED = b'"job.deleted.v1"'


class Erasures:
    """The loop; see the module."""

    name = "erasures"
    singleton = True

    async def run(self, tools: Tools) -> None:
        """Follow JOBS from the last handled position until cancelled."""
        after = await position.load(tools.connection, self.name)
        async for messages in pull.follow(tools.connection, JOBS.name, after, batch=500):
            for message in messages:
                if _DELETED in message.data:
                    await self._erase(tools, subjects.parse_job(message.subject))
            if messages:
                await position.save(tools.connection, self.name, messages[-1].sequence)

    async def _erase(self, tools: Tools, job: int) -> None:
        history = await tools.store.load(subjects.job(job))
        state = fold_history(JOB, history)
        launched = state.launched
        if launched is None:
            return
        for number in range(1, state.attempt + 1):
            attempt = Attempt(launched.organization or 0, job, number)
            report = StoredReport(report=AttemptErased(at=clock.now()))
            body = msgspec.json.encode(report)
            await self._replace(tools, REPORTS.name, subjects.report(attempt), body)
            frame = msgspec.json.encode(_tombstone(state, number))
            await self._replace(tools, OUTPUT.name, subjects.output(attempt), frame)
        await tools.vault.erase("job", job)
        log.info("erased", job=job, attempts=state.attempt)

    @staticmethod
    async def _replace(tools: Tools, stream: str, subject: str, body: bytes) -> None:
        """Publish the message that stays and purge everything before it; harmless when repeated."""
        headers = {"Nats-Msg-Id": f"erased-{subject}"}
        answer = await tools.connection.jetstream().publish(subject, body, headers=headers)
        await tools.connection.request(
            f"$JS.API.STREAM.PURGE.{stream}",
            msgspec.json.encode({"filter": subject, "seq": answer.seq}),
            timeout=direct.TIMEOUT_S,
        )


def _tombstone(state: JobState, attempt: int) -> Frame:
    launched = state.launched
    if launched is None:
        raise ValueError("a job without a launch record has no output")
    return Frame(
        job=launched.id,
        attempt=attempt,
        kind=str(kind_of(launched.record)),
        created=clock.iso(launched.created),
        first=1,
        last=0,
        offset=0,
        events=(),
        erased=True,
    )
