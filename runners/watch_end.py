"""Tells an attempt's emitter when nobody writes its journal any more."""

from __future__ import annotations

import asyncio

import structlog

from runners.conclusion import RECAPPED
from runners.emit import Emitter
from runners.held import HeldAttempt
from runners.site import Processes

PLAYING_POLL_S = 0.5

_log = structlog.get_logger()


async def watch(processes: Processes, held: HeldAttempt, emitter: Emitter) -> None:
    """Wait for the supervisor's end; when it left no final frame, for the playbook's as well.

    What an update's programs still do without it, or what prepares a play, serves nobody and may
    never end.
    """
    handle = held.handle
    if handle is not None:
        await handle.wait()
    emitter.catch_up()
    if emitter.summary.final is None:
        _log.warning("supervisor.lost", attempt=held.record.ident)
        plays = held.record.kind in RECAPPED and emitter.summary.start is not None
        while plays and await asyncio.to_thread(_plays, processes, held, emitter.ansible_pid):  # noqa: ASYNC110 - no signal
            await asyncio.sleep(PLAYING_POLL_S)
    emitter.is_over = True
    emitter.wake.set()


def _plays(processes: Processes, held: HeldAttempt, pid: int) -> bool:
    """Tell whether the playbook goes on; what it left in the background does not count."""
    living = processes.marked(held.directory)
    return pid in living if pid else bool(living)
