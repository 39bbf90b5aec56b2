"""The simulated server: JOBS, CONFIG, REPORTS, OUTPUT, WORK and buckets; it never forgets."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from controlplane.domain.errors import Unavailable
from controlplane.domain.job import INITIAL, JobState, evolve
from controlplane.domain.owners import PRESENCE_TTL_S
from controlplane.domain.reporting import Heard, heard
from controlplane.shell.event_store import Conflict, Expectation, SubjectPosition
from schemas import streams, subjects
from schemas.envelope import SYSTEM, Context, Recorded
from schemas.output import AttemptFinished, Frame, Report, StoredReport
from schemas.registry import Event
from schemas.work import Presence
from tests.simulation.invariants import Violation, Witness
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.streams import Answer, Headers, Stream, Work

OFFER_S = 0.5
Back = Callable[[Headers, bytes, str], None]
"""Carries what the server answers: headers, body and the subject to reply to."""
T = TypeVar("T")
Key = tuple[int, int]


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

    def __init__(self, witness: Witness) -> None:
        self.streams: dict[str, list[Recorded]] = {"JOBS": [], "CONFIG": []}
        self.states: dict[int, JobState] = {}
        self.appended: list[Callable[[], None]] = []
        self._by_subject: dict[str, list[Recorded]] = defaultdict(list)
        self._ids: dict[str, int] = {}
        self._witness = witness
        self.away = False
        """Nobody reaches the server."""
        self.seen_until: Callable[[], datetime | None] = lambda: None
        """Until when a read sees the log, for a replica may lag; None when it sees all of it."""

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
        if context.id in self._ids:
            return self._ids[context.id]
        history = self._by_subject[subject]
        last = history[-1].sequence if history else 0
        if isinstance(expect, SubjectPosition) and expect.sequence != last:
            raise Conflict
        stream = self.streams["JOBS" if subject.startswith("job.") else "CONFIG"]
        record = Recorded(
            sequence=len(stream) + 1,
            subject=subject,
            context=context,
            keys=tuple(keys),
            events=tuple(events),
        )
        stream.append(record)
        history.append(record)
        self._ids[context.id] = record.sequence
        if subject.startswith("job."):
            self._fold(record)
        else:
            self._witness.configured(record)
        for told in self.appended:
            told()
        return record.sequence

    async def load(self, subject: str) -> list[Recorded]:
        """Return a subject's transactions in order."""
        self._reach()
        until = self.seen_until()
        return [
            each for each in self._by_subject[subject] if until is None or each.context.at <= until
        ]

    def history(self, subject: str) -> list[Recorded]:
        """Return what is stored of a subject, whoever reaches the server: for checks."""
        return self._by_subject[subject]

    async def last_sequence(self, stream: str) -> int:
        """Return the sequence of a stream's last message."""
        return len(self.streams[stream])

    async def read(
        self, stream: str, first: int, last: int, *, filters: Sequence[str] = ()
    ) -> AsyncIterator[Recorded]:
        """Yield the transactions of a stretch of a stream."""
        for record in self.streams[stream][first - 1 : last]:
            if not filters or record.subject in filters:
                yield record

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("The event log is not available.")

    def _fold(self, record: Recorded) -> None:
        job = subjects.parse_job(record.subject)
        for event in record.events:
            before = self.states.get(job, INITIAL)
            after = evolve(before, event)  # type: ignore[arg-type]  # JOBS holds JobEvents
            self.states[job] = after
            self._witness.moved(job, before, after, self.states)


class Filed(Struct, frozen=True, kw_only=True):
    """One message of REPORTS."""

    attempt: subjects.Attempt
    report: Report


class Server(Process):
    """Everything that is durable and in one place; it does not die."""

    def __init__(self, scheduler: Scheduler, witness: Witness) -> None:
        super().__init__(scheduler, "server")
        self._witness = witness
        self.store = Store(witness)
        self.reports: list[Filed] = []
        self.written: dict[Key, list[str]] = defaultdict(list)
        """The uuids of each attempt's stored events, in order."""
        self.work = Work(lambda: self.scheduler.now)
        self._kept = {
            each.name: Stream(each, lambda: self.scheduler.now)
            for each in (streams.OUTPUT, streams.REPORTS, streams.BLOBS)
        }
        self.stale: Callable[[], bool] = lambda: False
        """Whether a replica that lags answers now."""
        self.presence: dict[str, tuple[float, frozenset[Key]]] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.buckets: dict[str, Any] = {}

    def boot(self) -> None:
        """Offer orders from time to time."""
        self.after(OFFER_S, self._offer_again)

    def crash(self) -> None:
        """What it has stored outlives any death; a message lost on the way is as good as one."""

    def present(self) -> dict[str, frozenset[Key]]:
        """Who is there, and what each holds."""
        now = self.scheduler.now
        return {name: held for name, (until, held) in self.presence.items() if until > now}

    def leads(self, name: str, holder: str, ttl_s: float) -> bool:
        """Take or renew a lease."""
        if self.store.away:
            return False
        now = self.scheduler.now
        who, until = self.leases.get(name, ("", 0.0))
        if who != holder and until > now:
            return False
        self.leases[name] = (holder, now + ttl_s)
        return True

    def serve(self, subject: str, body: bytes, headers: Headers, back: Back | None) -> None:
        """Do what a runner's message asks for."""
        words = subject.split(".")
        tell: Back = back or (lambda *_: None)
        if subject.startswith("$JS.API.CONSUMER.MSG.NEXT."):
            self.work.pull(words[-1], body, tell)
        elif subject.startswith("$JS.API.CONSUMER.CREATE."):
            self.work.make(words[5])
            tell({}, b"{}", "")
        elif subject.startswith("$JS.ACK."):
            self.work.acknowledge(subject, body)
            tell({}, b"", "")
        elif subject.startswith("$JS.API.DIRECT.GET."):
            stale = self.stale()
            self._answer(self._kept[words[4]].get_last(".".join(words[5:]), stale=stale), tell)
        elif subject.startswith("$KV."):
            self._see(msgspec.json.decode(body, type=Presence))
            tell({}, b"", "")
        else:
            self._answer(self.put(subject, body, headers), tell)

    def keep(self, content: bytes) -> None:
        """Have content in BLOBS."""
        subject = subjects.content(hashlib.sha256(content).hexdigest(), "end")
        self.put(subject, content, {"Playlog-Chunks": "1"})

    def put(self, subject: str, body: bytes, headers: Headers) -> Answer:
        """Store a runner's message, and learn what it says."""
        name = {"output": streams.OUTPUT, "report": streams.REPORTS, "content": streams.BLOBS}
        stream = name[subject.partition(".")[0]]
        answer, is_new = self._kept[stream.name].put(subject, body, headers)
        if is_new and stream is streams.OUTPUT:
            self._frame(msgspec.json.decode(body, type=Frame))
        if is_new and stream is streams.REPORTS:
            report = msgspec.json.decode(body, type=StoredReport).report
            assert report is not None
            self._file(subjects.parse_attempt(subject), report)
        return answer

    @staticmethod
    def _answer(answer: Answer, tell: Back) -> None:
        told = {"sequence": str(answer.sequence), "error": str(answer.error)}
        tell({**answer.headers, **told}, answer.body, "")

    def _see(self, told: Presence) -> None:
        until = self.scheduler.now + PRESENCE_TTL_S
        self.presence[told.runner] = (until, frozenset(told.running))

    def _frame(self, frame: Frame) -> None:
        """A frame is stored: its events follow those before it, each once."""
        written = self.written[frame.job, frame.attempt]
        counters = [each.counter for each in frame.events]
        if counters != list(range(len(written) + 1, len(written) + 1 + len(counters))):
            name = f"{frame.job}-{frame.attempt}"
            raise Violation(f"{name}: events {counters} are stored behind {len(written)} events")
        written += [each.uuid for each in frame.events]

    def _file(self, attempt: subjects.Attempt, report: Report) -> None:
        self.reports.append(Filed(attempt=attempt, report=report))
        if isinstance(report, AttemptFinished):
            self._witness.reported[attempt.job, attempt.attempt] = self.scheduler.now
        for told in self.store.appended:
            told()

    def _offer_again(self) -> None:
        self.work.offer()
        self.work.expire()
        self.after(OFFER_S, self._offer_again)

    def heard_of(self, attempt: subjects.Attempt) -> Heard:
        """What an attempt's newest report says; raises Unavailable."""
        if self.store.away:
            raise Unavailable("The event log is not available.")
        mine = [each.report for each in self.reports if each.attempt == attempt]
        return heard(StoredReport(report=mine[-1]) if mine else None)


def context(scheduler: Scheduler, number: str) -> Context:
    """The context of a transaction, its id given."""
    return Context(id=number, at=scheduler.at, actor=SYSTEM, correlation=number)
