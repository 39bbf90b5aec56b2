"""What the simulated server does with runners' messages, by JetStream's rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from ops import work_lines
from runners.outlet import CONFLICTS
from schemas import streams, subjects
from schemas.streams import StreamSpec
from schemas.work import WorkOrder, work_class

EXPECTED = "Nats-Expected-Last-Subject-Sequence"
MESSAGE_ID = "Nats-Msg-Id"
FULL = 10077
MISSING = "404"
EXPIRED = "408"
NOBODY = "503"

Headers = Mapping[str, str]


class Stored(Struct, frozen=True, kw_only=True):
    """One message, and its place in its stream."""

    sequence: int
    body: bytes
    headers: dict[str, str]


class Answer(Struct, frozen=True, kw_only=True):
    """What the server answers: an acknowledgement, a message, or an error's code."""

    sequence: int = 0
    error: int = 0
    body: bytes = b""
    headers: dict[str, str] = {}


class Stream:
    """One stream: each id once within its window, each subject chained where a message asks."""

    def __init__(self, spec: StreamSpec, now: Callable[[], float]) -> None:
        self._spec = spec
        self._now = now
        self._sequence = 0
        self._ids: dict[str, tuple[int, float]] = {}
        self._by_subject: dict[str, list[Stored]] = defaultdict(list)

    def put(self, subject: str, body: bytes, headers: Headers) -> tuple[Answer, bool]:
        """Store a message unless its id or its expectation stands against it; tells which."""
        name = headers.get(MESSAGE_ID, "")
        known = self._ids.get(name)
        if known is not None and self._now() - known[1] < self._spec.duplicate_window_s:
            return Answer(sequence=known[0]), False
        last = self._last(subject)
        expected = headers.get(EXPECTED)
        if expected is not None and int(expected) != last:
            return Answer(error=min(CONFLICTS)), False
        if self._spec.first_stays and last:
            return Answer(error=FULL), False
        self._sequence += 1
        stored = Stored(sequence=self._sequence, body=body, headers=dict(headers))
        self._by_subject[subject].append(stored)
        if name:
            self._ids[name] = (self._sequence, self._now())
        return Answer(sequence=self._sequence), True

    def get_last(self, subject: str, *, stale: bool) -> Answer:
        """Return a subject's last message; a replica that lags may not have it yet."""
        found = self._by_subject[subject]
        if stale:
            found = found[:-1]
        if not found:
            return Answer(headers={"Status": MISSING})
        last = found[-1]
        return Answer(sequence=last.sequence, body=last.body, headers=last.headers)

    def _last(self, subject: str) -> int:
        found = self._by_subject[subject]
        return found[-1].sequence if found else 0


class Ordered:
    """One message of WORK and who holds it."""

    def __init__(self, number: int, order: WorkOrder, group: str, runner: str | None) -> None:
        self.number = number
        self.order = order
        self.free_at = 0.0
        """From then on it is offered (again)."""
        self.deliveries = 0
        self.consumer = (
            subjects.group_consumer(group, work_class(order.impact))
            if runner is None
            else subjects.runner_consumer(runner)
        )


class Pull(Struct, kw_only=True):
    """A runner waits for one order of a consumer."""

    priority: int
    until: float
    deliver: Callable[[Headers, bytes, str], None]
    """Carries a message with its reply subject, or a status without."""


class Work:
    """WORK and its consumers: each order to the pull of the lowest priority number."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._number = 0
        self._pulls: dict[str, list[Pull]] = defaultdict(list)
        self._consumers: set[str] = set()
        self._ids: dict[str, float] = {}
        self.orders: dict[int, Ordered] = {}

    def queue(self, name: str, order: WorkOrder, group: str, runner: str | None) -> None:
        """Store an order, unless its id was stored lately."""
        seen = self._ids.get(name)
        if seen is None or self._now() - seen > streams.WORK.duplicate_window_s:
            self._ids[name] = self._now()
            self._number += 1
            self.orders[self._number] = Ordered(self._number, order, group, runner)
            self.offer()

    def pull(
        self, consumer: str, body: bytes, deliver: Callable[[Headers, bytes, str], None]
    ) -> None:
        """Remember who waits for an order."""
        if consumer not in self._consumers:
            deliver({"Status": NOBODY}, b"", "")
            return
        told = msgspec.json.decode(body, type=dict[str, int | str])
        until = self._now() + int(told["expires"]) / 1e9
        waiting = Pull(priority=int(told["priority"]), until=until, deliver=deliver)
        self._pulls[consumer].append(waiting)
        self.offer()

    def make(self, consumer: str) -> None:
        """Make a consumer."""
        self._consumers.add(consumer)

    def forget_pulls(self) -> None:
        """Know nothing of who waits: a server that was restarted."""
        self._pulls.clear()

    def offer(self) -> None:
        """Hand each free order to who waits for it."""
        now = self._now()
        for ordered in list(self.orders.values()):
            if ordered.free_at <= now and ordered.consumer in self._consumers:
                self._offer(ordered)

    def expire(self) -> None:
        """Tell who has waited long enough."""
        for name, pulls in self._pulls.items():
            over = [each for each in pulls if each.until <= self._now()]
            self._pulls[name] = [each for each in pulls if each.until > self._now()]
            for each in over:
                each.deliver({"Status": EXPIRED}, b"", "")

    def acknowledge(self, reply: str, word: bytes) -> None:
        """Take a runner's word about an order."""
        ordered = self.orders.get(int(reply.split(".")[5]))
        if ordered is None:
            return
        if word.startswith(b"-NAK"):
            told = msgspec.json.decode(word[4:].strip() or b"{}", type=dict[str, int])
            ordered.free_at = self._now() + told.get("delay", 0) / 1e9
        elif word == b"+WPI":
            ordered.free_at = self._now() + work_lines.ACK_WAIT_S
        else:
            del self.orders[ordered.number]

    def _offer(self, ordered: Ordered) -> None:
        now = self._now()
        waiting = [each for each in self._pulls[ordered.consumer] if each.until > now]
        if not waiting:
            return
        pull = min(waiting, key=lambda each: each.priority)
        self._pulls[ordered.consumer].remove(pull)
        ordered.free_at = now + work_lines.ACK_WAIT_S
        ordered.deliveries += 1
        token = f"{ordered.consumer}.{ordered.deliveries}.{ordered.number}.{ordered.number}"
        reply = f"$JS.ACK.{streams.WORK.name}.{token}.0.0"
        pull.deliver({}, msgspec.json.encode(ordered.order), reply)
