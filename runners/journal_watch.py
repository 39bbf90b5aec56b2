"""Wakes whoever follows a job directory the moment something is written there (inotify)."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from pathlib import Path

_IN_MODIFY = 0x2
_IN_MOVED_TO = 0x80
_IN_CREATE = 0x100
_MASK = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE
_HEADER = struct.Struct("iIII")
_READ_BYTES = 1 << 16


class JournalWatch:
    """One inotify descriptor for all job directories of the agent."""

    def __init__(self) -> None:
        """Must be made inside the event loop that will wait. Raises OSError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._wakes: dict[int, asyncio.Event] = {}
        asyncio.get_running_loop().add_reader(self._fd, self._on_readable)

    def add(self, directory: Path, wake: asyncio.Event) -> int:
        """Set ``wake`` at every write in the directory; returns a number for ``remove``."""
        number: int = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), _MASK)
        if number < 0:
            raise OSError(ctypes.get_errno(), f"inotify_add_watch {directory.name}")
        self._wakes[number] = wake
        return number

    def remove(self, number: int) -> None:
        """Watch a directory no longer; harmless when it is gone."""
        self._wakes.pop(number, None)
        self._libc.inotify_rm_watch(self._fd, number)

    def close(self) -> None:
        """Watch nothing any more."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size + length
            if mask & _MASK and number in self._wakes:
                self._wakes[number].set()
