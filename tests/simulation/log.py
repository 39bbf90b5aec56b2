"""The simulated server: JOBS, CONFIG, REPORTS, OUTPUT, WORK and buckets; it never forgets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

from msgspec import Struct

from controlplane.domain.errors import Unavailable
from controlplane.domain.job import INITIAL, JobState, evolve
from controlplane.domain.reporting import Heard, heard
from controlplane.shell.event_store import Conflict, Expectation, SubjectPosition
from schemas import subjects
from schemas.envelope import SYSTEM, Context, Recorded
from schemas.output import AttemptFinished, Report, StoredReport
from schemas.registry import Event
from schemas.work import WorkOrder
from tests.simulation.invariants import Witness
from tests.simulation.scheduler import Process, Scheduler

ACK_WAIT_S = 30.0
OFFER_S = 0.5
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


class Ordered:
    """One message of WORK and who holds it."""

    def __init__(self, order: WorkOrder, group: str, runner: str | None) -> None:
        self.order = order
        self.group = group
        self.runner = runner
        self.free_at = 0.0
        """From then on it is offered (again)."""


class Server(Process):
    """Everything that is durable and in one place; it does not die."""

    def __init__(self, scheduler: Scheduler, witness: Witness) -> None:
        super().__init__(scheduler, "server")
        self._witness = witness
        self.store = Store(witness)
        self.reports: list[Filed] = []
        self.output: dict[Key, int] = defaultdict(int)
        """The counter of each attempt's last stored event."""
        self.work: list[Ordered] = []
        self.presence: dict[str, tuple[float, frozenset[Key]]] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.buckets: dict[str, Any] = {}
        self.offer: Callable[[Ordered], bool] = lambda _: False
        self._orders: dict[str, float] = {}
        self._report_ids: set[str] = set()

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

    def queue(self, message_id: str, ordered: Ordered) -> None:
        """Store an order, unless its id was stored lately."""
        seen = self._orders.get(message_id)
        if seen is None or self.scheduler.now - seen > 600:
            self._orders[message_id] = self.scheduler.now
            self.work.append(ordered)
            self.offer_all()

    def offer_all(self) -> None:
        """Hand each free order to a runner that has room."""
        for ordered in list(self.work):
            if ordered.free_at <= self.scheduler.now and self.offer(ordered):
                ordered.free_at = self.scheduler.now + ACK_WAIT_S

    def _offer_again(self) -> None:
        self.offer_all()
        self.after(OFFER_S, self._offer_again)

    def settled(self, ordered: Ordered) -> None:
        """An order was acknowledged or terminated: it is gone."""
        if ordered in self.work:
            self.work.remove(ordered)

    def given_back(self, ordered: Ordered, delay_s: float) -> None:
        """An order was refused for now."""
        ordered.free_at = self.scheduler.now + delay_s

    def store_frame(self, key: Key, counter: int) -> None:
        """Store the next frame of an attempt; one that is stored already changes nothing."""
        if counter == self.output[key] + 1:
            self.output[key] = counter

    def file(self, attempt: subjects.Attempt, word: str, report: Report) -> None:
        """Store a report once."""
        name = f"{attempt.job}-{attempt.attempt}-{word}"
        if name not in self._report_ids:
            self._report_ids.add(name)
            self.reports.append(Filed(attempt=attempt, report=report))
            if isinstance(report, AttemptFinished):
                self._witness.reported[attempt.job, attempt.attempt] = self.scheduler.now
            for told in self.store.appended:
                told()

    def heard_of(self, attempt: subjects.Attempt) -> Heard:
        """What an attempt's newest report says; raises Unavailable."""
        if self.store.away:
            raise Unavailable("The event log is not available.")
        mine = [each.report for each in self.reports if each.attempt == attempt]
        return heard(StoredReport(report=mine[-1]) if mine else None)


def context(scheduler: Scheduler, number: str) -> Context:
    """The context of a transaction, its id given."""
    return Context(id=number, at=scheduler.at, actor=SYSTEM, correlation=number)
