"""Content by digest, fetched once and kept on disk as long as there is room for it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from runners.spec import write_private

CACHE_DIR = "content-cache"
CACHE_BYTES_MAX = 4 * 1024**3

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the content of a digest. Raises KeyError when there is none."""


class ContentMissing(Exception):
    """The content that a job needs is not in the log; the text names it."""


class ContentCache:
    """Least recently used content goes first."""

    def __init__(self, data: Path, fetch: Fetch, bytes_max: int = CACHE_BYTES_MAX) -> None:
        """Keep at most ``bytes_max`` below ``data``; the newest content stays, however large."""
        self._directory = data / CACHE_DIR
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fetch = fetch
        self._bytes_max = bytes_max
        self._turns: dict[str, asyncio.Lock] = {}

    async def place(self, digest: str, target: Path) -> None:
        """Copy content to a path. Raises ContentMissing, and as ``fetch``.

        A copy, not a link: a job can reach its own directory, and must not reach the next job's.
        """
        if not _is_digest(digest):
            raise ContentMissing(f"{digest!r} is no content digest")
        async with self._turns.setdefault(digest, asyncio.Lock()):
            kept = self._directory / digest
            if not kept.exists():
                await self.keep(digest, await self._fetched(digest))
            os.utime(kept)
            await asyncio.to_thread(_copy, kept, target)

    async def keep(self, digest: str, content: bytes) -> None:
        """Keep content. Raises ContentMissing when it is not what its digest says."""
        if hashlib.sha256(content).hexdigest() != digest:
            raise ContentMissing(f"Content {digest} is damaged")
        await asyncio.to_thread(write_private, self._directory / digest, content)
        self._make_room()

    async def _fetched(self, digest: str) -> bytes:
        try:
            return await self._fetch(digest)
        except KeyError as error:
            raise ContentMissing(f"Content {digest} is not in the log") from error

    def _make_room(self) -> None:
        found = [(each.stat(), each) for each in self._directory.iterdir()]
        found.sort(key=lambda pair: pair[0].st_mtime_ns)
        used = sum(stat.st_size for stat, _ in found)
        for stat, path in found[:-1]:
            if used <= self._bytes_max:
                return
            path.unlink(missing_ok=True)
            self._turns.pop(path.name, None)
            used -= stat.st_size


def _copy(kept: Path, target: Path) -> None:
    """Copy whole or not at all: a supervisor that an agent before us started may be reading."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(kept, temporary)
    temporary.rename(target)


def _is_digest(text: str) -> bool:
    return len(text) == hashlib.sha256().digest_size * 2 and all(
        each in "0123456789abcdef" for each in text
    )
