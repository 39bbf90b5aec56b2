"""Messages between processes: delayed, reordered, repeated and dropped, or one of them killed."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from tests.simulation.scheduler import Process, Scheduler

RESTART_S = 4.0


class Faults(Struct, frozen=True, kw_only=True):
    """What the world does to messages and processes."""

    drop: float = 0.0
    """Probability that a message is lost."""
    repeat: float = 0.0
    delay_s: tuple[float, float] = (0.001, 0.001)
    stall: float = 0.0
    """Probability that a loop hangs at a report."""
    lag: float = 0.0
    """Probability that a load is answered by a replica that lags: ``EventStore`` rules it out."""
    stale: float = 0.0
    """Probability that a runner reads a stream's end from a replica that lags."""
    unheard: float = 0.0
    """Probability that the acknowledgement of an append is never heard."""
    crash_every_s: float = 0.0
    """Mean time between deaths of some process; 0 for none."""


CALM = Faults()
ROUGH = Faults(
    drop=0.12,
    repeat=0.1,
    delay_s=(0.0005, 1.5),
    stall=0.03,
    stale=0.03,
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

    def away(self, process: Process) -> bool:
        """Tell whether nothing reaches a process."""
        return self.down or process.name in self.cut

    def send(self, sender: Process, receiver: Process, label: str, act: Callable[[], None]) -> None:
        """Carry one message to a process, which does ``act`` if it is alive then."""
        self.sent += 1
        if self._kill is not None and self._kill.number == self.sent:
            self._scheduler.tell(f"message {self.sent} killed: {label}")
            if self._kill.receiver:
                receiver.crash()
                self._scheduler.after(RESTART_S, lambda: self._revive(receiver))
            return
        chance = self._scheduler.random
        if (
            self.down
            or self.cut & {sender.name, receiver.name}
            or chance.random() < self.faults.drop
        ):
            self._scheduler.tell(f"dropped: {label}")
            return
        self._deliver(receiver, label, act)
        if chance.random() < self.faults.repeat:
            self._deliver(receiver, f"{label} (repeated)", act)

    def _deliver(self, receiver: Process, label: str, act: Callable[[], None]) -> None:
        low, high = self.faults.delay_s
        delay = low + (high - low) * self._scheduler.random.random() ** 4

        def arrive() -> None:
            if receiver.alive:
                self._scheduler.tell(label)
                act()

        self._scheduler.after(delay, arrive)

    @staticmethod
    def _revive(process: Process) -> None:
        if not process.alive:
            process.start()
