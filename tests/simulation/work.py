"""WORK and its consumers: each order goes to the pull of the lowest priority number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import msgspec
from msgspec import Struct

from ops import work_lines
from schemas import streams
from tests.simulation.streams import EXPIRED, Back

NOBODY = "503"
_NANO = 1_000_000_000


class Order(Struct, kw_only=True):
    """One message of WORK."""

    number: int
    subject: str
    body: bytes
    free_at: float = 0.0
    """From then on it is offered (again)."""
    deliveries: int = 0


class Pull(Struct, frozen=True, kw_only=True):
    """A runner waits for one order of a consumer."""

    priority: int
    until: float
    deliver: Back


class Work:
    """The work queue: who acknowledges an order removes it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._number = 0
        self._pulls: dict[str, list[Pull]] = defaultdict(list)
        self._consumers: dict[str, str] = {}
        """The consumer of each subject."""
        self._ids: dict[str, tuple[int, float]] = {}
        self.orders: dict[int, Order] = {}

    def put(self, name: str, subject: str, body: bytes) -> int:
        """Store an order, unless its id was stored lately; returns its sequence."""
        known, at = self._ids.get(name, (0, 0.0))
        if known and self._now() - at < streams.WORK.duplicate_window_s:
            return known
        self._number += 1
        self._ids[name] = (self._number, self._now())
        self.orders[self._number] = Order(number=self._number, subject=subject, body=body)
        self.offer()
        return self._number

    def make(self, consumer: str, subject: str) -> None:
        """Make a consumer."""
        self._consumers[subject] = consumer

    def pull(self, consumer: str, body: bytes, deliver: Back) -> None:
        """Remember who waits for an order."""
        if consumer not in self._consumers.values():
            deliver({"Status": NOBODY}, b"", "")
            return
        told = msgspec.json.decode(body, type=dict[str, int | str])
        until = self._now() + int(told["expires"]) / _NANO
        waiting = Pull(priority=int(told["priority"]), until=until, deliver=deliver)
        self._pulls[consumer].append(waiting)
        self.offer()

    def forget_pulls(self) -> None:
        """Know nothing of who waits: a server that was restarted."""
        self._pulls.clear()

    def offer(self) -> None:
        """Hand each free order to who waits for it."""
        for order in list(self.orders.values()):
            if order.free_at <= self._now() and order.subject in self._consumers:
                self._offer(order, self._consumers[order.subject])

    def expire(self) -> None:
        """Tell who has waited long enough."""
        for name, pulls in self._pulls.items():
            over = [each for each in pulls if each.until <= self._now()]
            self._pulls[name] = [each for each in pulls if each.until > self._now()]
            for each in over:
                each.deliver({"Status": EXPIRED}, b"", "")

    def acknowledge(self, reply: str, word: bytes) -> None:
        """Take a runner's word about an order."""
        order = self.orders.get(int(reply.split(".")[5]))
        if order is None:
            return
        if word.startswith(b"-NAK"):
            told = msgspec.json.decode(word[4:].strip() or b"{}", type=dict[str, int])
            order.free_at = self._now() + told.get("delay", 0) / _NANO
        elif word == b"+WPI":
            order.free_at = self._now() + work_lines.ACK_WAIT_S
        else:
            del self.orders[order.number]

    def _offer(self, order: Order, consumer: str) -> None:
        now = self._now()
        waiting = [each for each in self._pulls[consumer] if each.until > now]
        if not waiting:
            return
        pull = min(waiting, key=lambda each: each.priority)
        self._pulls[consumer].remove(pull)
        order.free_at = now + work_lines.ACK_WAIT_S
        order.deliveries += 1
        place = f"{consumer}.{order.deliveries}.{order.number}.{order.number}"
        reply = f"$JS.ACK.{streams.WORK.name}.{place}.0.0"
        pull.deliver({}, order.body, reply, order.subject)
