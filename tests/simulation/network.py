"""Messages between processes: delayed, reordered, repeated and dropped, or one of them killed."""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec import Struct

from tests.simulation.scheduler import Process, Scheduler

RESTART_S = 4.0
ORDER_S = 1e-6
TORN_S = 0.5
NEAR = 0.08
"""What a link within the control plane has of the faults of one to a runner."""
CHATTER = (
    *("$JS.API.CONSUMER.", "$JS.API.STREAM.INFO", "$JS.API.STREAM.MSG.GET", "$JS.API.DIRECT.GET"),
    *("$KV.leases.", "$KV.presence.", "$KV.snapshots.", "$JS.ACK.JOBS", "$JS.ACK.CONFIG"),
)
"""Subjects of what is said all the time, and again when it was not heard."""


class Faults(Struct, frozen=True, kw_only=True):
    """What the world does to messages and processes."""

    drop: float = 0.0
    """Probability that a message is lost."""
    repeat: float = 0.0
    delay_s: tuple[float, float] = (0.001, 0.001)
    torn: float = 0.0
    """Probability that a connection breaks at a message: what would follow is lost with it."""
    stale: float = 0.0
    """Probability that a replica answers that lags."""
    broken: float = 0.0
    """Probability that a transaction of Postgres breaks."""
    halved: float = 0.0
    """Probability that an agent dies while it removes an attempt's directory."""
    unheard: float = 0.0
    """Probability that a client never hears the answer to its request."""
    crash_every_s: float = 0.0
    """Mean time between deaths of some process; 0 for none."""


CALM = Faults()
ROUGH = Faults(
    drop=0.03,
    repeat=0.05,
    delay_s=(0.0005, 1.0),
    torn=0.01,
    stale=0.03,
    broken=0.03,
    halved=0.05,
    unheard=0.01,
    crash_every_s=9.0,
)


class Kill(Struct, frozen=True, kw_only=True):
    """Exactly one message, by its number, that never arrives; its receiver may die of it."""

    number: int
    receiver: bool


class Network:
    """Carries every message of a run and counts them."""

    def __init__(self, scheduler: Scheduler, faults: Faults, kill: Kill | None) -> None:
        self._scheduler = scheduler
        self.faults = faults
        self.cut: set[str] = set()
        """Names of processes that nothing reaches and that reach nothing."""
        self.down = False
        """NATS, which carries everything, is away."""
        self._kill = kill
        self.sent = 0
        self.counted = 0
        """Those that are no chatter."""
        self._torn: dict[str, float] = {}
        """Until when each connection stands anew."""
        self._last: dict[str, float] = {}
        """When the last message arrives that came in order."""

    def away(self, process: Process) -> bool:
        """Tell whether nothing reaches a process."""
        return self.down or process.name in self.cut

    @property
    def random(self) -> random.Random:
        """What chance decides."""
        return self._scheduler.random

    def send(self, sender: Process, receiver: Process, label: str, act: Callable[[], None]) -> None:
        """Carry one message to a process, which does ``act`` if it is alive then."""
        self.sent += 1
        if not any(word in label for word in CHATTER):
            self.counted += 1
            if self._kill is not None and self._kill.number == self.counted:
                self._lose(label, receiver, self._kill)
                return
        part = self._part(sender, receiver)
        if self._parted(sender, receiver) or self.random.random() < self.faults.drop * part:
            self._scheduler.tell(f"dropped: {label}")
            return
        self._deliver(receiver, label, act, self._delay(part))
        if self.random.random() < self.faults.repeat * part:
            self._deliver(receiver, f"{label} (repeated)", act, self._delay(part))

    def stream(
        self, sender: Process, receiver: Process, label: str, act: Callable[[], None]
    ) -> None:
        """Carry one of the messages that one connection brings in order."""
        self.sent += 1
        now = self._scheduler.now
        part = self._part(sender, receiver)
        if self.random.random() < self.faults.torn * part:
            self._torn[receiver.name] = now + TORN_S
        if self._parted(sender, receiver) or self._torn.get(receiver.name, 0.0) > now:
            self._scheduler.tell(f"torn: {label}")
            return
        arrives = max(now + self._delay(part), self._last.get(receiver.name, 0.0) + ORDER_S)
        self._last[receiver.name] = arrives
        self._deliver(receiver, label, act, arrives - now)

    @staticmethod
    def _part(sender: Process, receiver: Process) -> float:
        """Return what a link has of the faults of one to a runner."""
        return NEAR if sender.near and receiver.near else 1.0

    def _parted(self, sender: Process, receiver: Process) -> bool:
        return self.down or bool(self.cut & {sender.name, receiver.name})

    def _delay(self, part: float) -> float:
        low, high = self.faults.delay_s
        return low + (high - low) * self.random.random() ** 4 * part

    def _lose(self, label: str, receiver: Process, kill: Kill) -> None:
        self._scheduler.tell(f"message {kill.number} killed: {label}")
        if kill.receiver:
            receiver.crash()
            self._scheduler.after(RESTART_S, lambda: self._revive(receiver))

    def _deliver(
        self, receiver: Process, label: str, act: Callable[[], None], delay_s: float
    ) -> None:
        def arrive() -> None:
            if receiver.alive:
                self._scheduler.tell(label)
                act()

        self._scheduler.after(delay_s, arrive)

    @staticmethod
    def _revive(process: Process) -> None:
        if not process.alive:
            process.start()
