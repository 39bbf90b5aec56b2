"""The log as who stands beside the network sees it: API clients, and checks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from controlplane.domain.errors import Unavailable
from controlplane.shell.event_store import Conflict, Expectation, SubjectPosition
from schemas import envelope, subjects
from schemas.envelope import SYSTEM, Context, Recorded
from schemas.registry import Event
from tests.simulation.scheduler import Scheduler
from tests.simulation.server import Server
from tests.simulation.streams import EXPECTED, INCREMENT, MESSAGE_ID

T = TypeVar("T")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that never has to wait: the simulated log is at hand."""
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("the simulated log never waits")


class Store:
    """The event store over the simulated streams, as ``EventStore`` has it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def append(
        self,
        subject: str,
        context: Context,
        events: Sequence[Event],
        *,
        keys: Sequence[str] = (),
        expect: Expectation = None,
    ) -> int:
        """Store one transaction; see ``EventStore.append``."""
        self._reach()
        headers = {MESSAGE_ID: context.id}
        if isinstance(expect, SubjectPosition):
            headers[EXPECTED] = str(expect.sequence)
        body = envelope.encode(context, tuple(events), tuple(keys))
        told = self._server.put(subject, body, headers)
        if "error" in told:
            raise Conflict
        sequence: int = told["seq"]
        return sequence

    async def load(self, subject: str) -> list[Recorded]:
        """Return a subject's transactions in order."""
        self._reach()
        return self.history(subject)

    def history(self, subject: str) -> list[Recorded]:
        """Return what is stored of a subject, whoever reaches the server: for checks."""
        stream = "JOBS" if subject.startswith("job.") else "CONFIG"
        return [each for each in self._server.recorded[stream] if each.subject == subject]

    async def last_sequence(self, stream: str) -> int:
        """Return the sequence of a stream's last message."""
        return self._server.streams[stream].last_sequence

    async def read(
        self, stream: str, first: int, last: int, *, filters: Sequence[str] = ()
    ) -> AsyncIterator[Recorded]:
        """Yield the transactions of a stretch of a stream."""
        for record in self._server.recorded[stream][first - 1 : last]:
            if not filters or record.subject in filters:
                yield record

    def next_job(self) -> int:
        """Allot a job's id."""
        told = self._server.put(subjects.sequence("unified_job"), b"", {INCREMENT: "1"})
        return int(told["val"])

    def _reach(self) -> None:
        if self._server.away:
            raise Unavailable("The event log is not available.")


def context(scheduler: Scheduler, number: str) -> Context:
    """The context of a transaction, its id given."""
    return Context(id=number, at=scheduler.at, actor=SYSTEM, correlation=number)
