"""How system jobs end, and which login sessions they take out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import structlog

from controlplane.api.sessions import Session
from controlplane.domain.errors import Invalid, Unavailable
from controlplane.domain.housekeeping import Progress, Told
from controlplane.processes import cleanups
from controlplane.processes.housekeeping import end_of
from ops import clock, direct
from schemas import subjects
from schemas.events.job import SystemJobLaunch
from schemas.streams import SESSIONS
from tests.processes.floor import Floor


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (None, ("successful", "")),
        (cleanups.Canceled(), ("canceled", "")),
        (Invalid({"name": ["Too odd."]}), ("failed", "name: Too odd.")),
        (ZeroDivisionError("by nothing"), ("error", "ZeroDivisionError: by nothing")),
        (Unavailable("away"), None),
    ],
)
async def test_a_system_job_ends_as_its_cleanup_does(
    error: Exception | None, end: tuple[str, str] | None
) -> None:
    """What is refused fails it with the reason, what nobody foresaw is logged as well.

    An outage is no end: the job goes on where it was.
    """

    async def cleaning() -> None:
        if error is not None:
            raise error

    if end is None:
        with pytest.raises(Unavailable):
            await end_of(cleaning(), 1)
        return
    with structlog.testing.capture_logs() as logged:
        assert await end_of(cleaning(), 1) == end
    assert [each["event"] for each in logged] == ["system job failed"] * (end[0] == "error")


class Lines:
    """Output that is kept."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def say(self, text: str, _data: Any) -> None:
        """Keep a line."""
        self.said.append(text)


async def test_sessions_that_nobody_used_are_taken_out(floor: Floor) -> None:
    """One that expired and is still there, as after a restore, goes; one in use stays."""
    now = clock.now().timestamp()
    context = floor.connection.jetstream()
    for key, ago in (("1.expired", 31.0), ("1.used", 5.0)):
        session = Session(user=1, opened=now - 100, renewed=now - ago, age_s=30)
        await context.publish(subjects.kv(SESSIONS.name, key), msgspec.json.encode(session))
    record = SystemJobLaunch(system_job_template=1, job_type="cleanup_sessions", extra_vars="")
    lines: Any = Lines()
    nothing: Any = None
    work = cleanups.Work(
        tools=floor.tools,
        launched=await floor.launch(1, record=record),
        output=lines,
        read=nothing,
        writer=nothing,
        told=Told(days=0, dry_run=False),
    )
    for count in (1, 0):
        await cleanups.clean_sessions(work, Progress())
        assert lines.said.pop() == f"Expired Sessions deleted {count}"
    pattern = subjects.kv(SESSIONS.name, "1.*")
    entries = await direct.last_of_each(floor.connection, f"KV_{SESSIONS.name}", pattern)
    left = [each.subject for each in entries if each.data]
    assert left == [subjects.kv(SESSIONS.name, "1.used")]
