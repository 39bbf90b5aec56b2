"""What real programs ask their surroundings for, in a simulation: the time, and a place to log."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, MutableMapping
from datetime import datetime
from typing import Any
from unittest import mock

import structlog

from tests.simulation.invariants import Violation
from tests.simulation.scheduler import Scheduler

CPUS = 2
MEMORY_BYTES = 3 << 30
WORST = frozenset({"error", "exception", "critical"})


@contextlib.contextmanager
def surrounded(scheduler: Scheduler) -> Iterator[None]:
    """Let the clock be virtual and the log part of the trace; an error in it breaks a law."""

    def heard(_logger: object, method: str, told: MutableMapping[str, Any]) -> str:
        event = told.pop("event")
        error = told.pop("exc_info", None)
        if error is True:
            error = sys.exc_info()[1]
        scheduler.tell(f"{method}: {event} {told}")
        if method in WORST:
            failure = Violation(f"{event}: {told} {error!r}")
            failure.__cause__ = error if isinstance(error, Exception) else None
            scheduler.failure = failure
        raise structlog.DropEvent

    def new_id() -> str:
        return f"{scheduler.random.getrandbits(128):032x}"

    def now() -> datetime:
        return scheduler.at

    def monotonic() -> float:
        return scheduler.now

    before = structlog.get_config()
    structlog.configure(processors=[heard], cache_logger_on_first_use=False)
    try:
        with (
            mock.patch("ops.ids.new_id", new_id),
            mock.patch("runners.register.cpus", return_value=CPUS),
            mock.patch("runners.register.memory_bytes", return_value=MEMORY_BYTES),
            mock.patch("ops.clock.now", now),
            mock.patch("ops.clock.monotonic", monotonic),
        ):
            yield
    finally:
        structlog.configure(**before)
