"""Brings the embedded NATS back once its full disk has room again.

A nats-server whose write has failed refuses every further one to that block until it is started
again, though there is room: clients wait and are refused, nothing that was acknowledged is lost.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import structlog

from ops import clock
from ops.cli.supervise import Role

log = structlog.get_logger()

PERIOD_S = 1.0
ROOM_BYTES = 8 * 1024 * 1024
"""Less than this and the next write fails again."""
AGAIN_S = 10.0
"""Pause between two restarts: another cause than space may stay."""
_FAILED = (b"failed to store a msg", b"will be DISABLED")


class StorageWatch:
    """Reads the server's log for failed writes; run it beside the role."""

    def __init__(self, server: Role, log_file: Path, store: Path) -> None:
        """Watch ``server``, which logs to ``log_file`` and stores below ``store``."""
        self._server = server
        self._log_file = log_file
        self._store = store
        self._offset = _size(log_file)
        self._broken = False
        self._restarted = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            self.look()

    def look(self) -> None:
        """Take in what was logged since the last look, and restart the server when that helps."""
        failure = self._failure()
        free = shutil.disk_usage(self._store).free
        if failure and not self._broken:
            log.critical("the log cannot be stored", why=failure, free_bytes=free)
            self._broken = True
        due = clock.monotonic() - self._restarted > AGAIN_S
        if self._broken and due and free >= ROOM_BYTES:
            log.warning("starting the log's server again: there is room")
            self._broken = False
            self._restarted = clock.monotonic()
            self._server.end()

    def _failure(self) -> str:
        """Return the last failed write that was logged since the last look, if any."""
        size = _size(self._log_file)
        if size <= self._offset:
            self._offset = min(size, self._offset)
            return ""
        with self._log_file.open("rb") as file:
            file.seek(self._offset)
            fresh = file.read()
        self._offset += len(fresh)
        lines = [line for line in fresh.splitlines() if any(each in line for each in _FAILED)]
        return lines[-1].decode(errors="replace") if lines else ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
