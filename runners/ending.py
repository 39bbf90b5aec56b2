"""Why a running attempt must end before its playbook does: a cancel, its time limit, or silence."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import Enum

from ops import clock
from runners import process_tree
from runners.spec import JobSpec


class Why(Enum):
    """The reasons, in order of precedence."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    SILENCE = "silence"


class Stopped(Exception):
    """The attempt was ended before its work was done; ``Ending.why`` tells the reason."""


ORDERS = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Watches for a reason to end and, when there is one, ends the job's processes.

    SIGTERM is the order to cancel; a second one takes the grace away.
    """

    def __init__(self, spec: JobSpec, activity: Callable[[], int]) -> None:
        """``activity`` returns a number that changes whenever the job gives a sign of life."""
        self._spec = spec
        self._activity = activity
        self._orders = 0
        self._started = clock.monotonic()
        self._last = (activity(), self._started)
        self.why: Why | None = None

    def listen(self) -> None:
        """Take ``ORDERS`` to cancel, those too that came while they were blocked."""
        for order in ORDERS:
            signal.signal(order, self._on_order)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)

    def due(self) -> bool:
        """Tell whether the attempt must end, and remember why."""
        if self.why is None:
            self.why = self._reason()
        return self.why is not None

    def end_if_due(self) -> bool:
        """End our children's process groups if the attempt must end; they get the grace."""
        if not self.due():
            return False
        leaders = process_tree.children(os.getpid())
        process_tree.end_groups(leaders, self._spec.cancel_grace_s, lambda: self._orders > 1)
        return True

    def explanation(self) -> str:
        """Return AWX's ``job_explanation`` for the reason; empty for a cancel."""
        match self.why:
            case Why.TIMEOUT:
                return "Job terminated due to timeout"
            case Why.SILENCE:
                silence = f"no output for {self._spec.idle_timeout_s} seconds"
                return f"Job terminated due to timeout: {silence}"
            case _:
                return ""

    def _on_order(self, _number: int, _frame: object) -> None:
        self._orders += 1

    def _reason(self) -> Why | None:
        now = clock.monotonic()
        if self._orders:
            return Why.CANCEL
        if self._spec.timeout_s and now - self._started > self._spec.timeout_s:
            return Why.TIMEOUT
        activity = self._activity()
        if activity != self._last[0]:
            self._last = (activity, now)
        if self._spec.idle_timeout_s and now - self._last[1] > self._spec.idle_timeout_s:
            return Why.SILENCE
        return None
