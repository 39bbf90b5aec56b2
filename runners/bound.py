"""Keeps a journal within its bound while it cannot be published: the play is told to stand still.

A mark beside the journal is the word: our callback waits while it is there. Nothing is dropped, and
whatever ends the attempt ends the wait with it.
"""

from __future__ import annotations

import asyncio

import structlog

from runners.emit import Emitter
from runners.frames import full_mark
from runners.held import HeldAttempt
from runners.spec import JOURNAL_FILE

PERIOD_S = 0.25

_log = structlog.get_logger()


async def keep(held: HeldAttempt, emitter: Emitter, bytes_max: int) -> None:
    """Set the mark above ``bytes_max`` unpublished bytes, take it away below half of them."""
    journal = held.directory / JOURNAL_FILE
    mark = full_mark(journal)
    while True:
        held.unpublished_bytes = emitter.unpublished()
        if held.unpublished_bytes > bytes_max and not mark.exists():
            _log.warning("journal.full", attempt=held.record.ident, bytes=held.unpublished_bytes)
            mark.touch(mode=0o600)
        elif held.unpublished_bytes < bytes_max // 2 and mark.exists():
            _log.info("journal.has-room", attempt=held.record.ident)
            mark.unlink()
        await asyncio.sleep(PERIOD_S)
