"""Servers that outlived a killed ``playlog up``.

Ended before the next one starts on the same data.
"""

from __future__ import annotations

import os
import signal
import time

from ops import clock

GRACE_S = 20.0
_POLL_S = 0.02


def end_leftover(pid: int | None, first: signal.Signals) -> None:
    """Send ``first``, wait for the process to go, and after the grace kill it.

    None does nothing.
    """
    if pid is None:
        return
    end = clock.monotonic() + GRACE_S
    signalled: signal.Signals | None = None
    while True:
        wanted = first if clock.monotonic() < end else signal.SIGKILL
        try:
            if wanted is not signalled:
                os.kill(pid, wanted)
                signalled = wanted
            else:
                os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(_POLL_S)
