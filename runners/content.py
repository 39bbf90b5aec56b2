"""Content by digest, fetched once and kept on disk as long as there is room for it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from runners.frames import NO_ROOM
from runners.preparation import Unrunnable
from runners.trees import Trees

CACHE_DIR = "content-cache"
CACHE_BYTES_MAX = 4 * 1024**3
_DIGEST_CHARS = 64

Fetch = Callable[[str, Path], Awaitable[None]]
"""Writes the content of a digest to a path, verified, whole or not at all.

Raises KeyError when there is none.
"""


class ContentMissing(Exception):
    """The content that a job needs is not in the log or cannot be here; the text says why."""


class ContentCache:
    """Least recently used content goes first."""

    def __init__(
        self,
        data: Path,
        fetch: Fetch,
        bytes_max: int = CACHE_BYTES_MAX,
        in_use: Callable[[], Collection[str]] | None = None,
    ) -> None:
        """Keep at most ``bytes_max`` below ``data``; the newest content stays, however large.

        What an agent before us left half arrived is removed.
        ``in_use`` tells which trees running jobs see; without it no tree is kept.
        """
        self._directory = data / CACHE_DIR
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in self._directory.glob(".*"):
            each.unlink()
        self._fetch = fetch
        self._bytes_max = bytes_max
        self._turns: dict[str, asyncio.Lock] = {}
        self._in_use = in_use
        self._trees = Trees(data, bytes_max) if in_use is not None else None

    async def place_tree(self, digest: str, target: Path) -> None:
        """Have content unpacked where jobs share it, or copy it to a path where none is shared.

        Raises as ``place``.
        """
        trees, in_use = self._trees, self._in_use
        if trees is None or in_use is None:
            await self.place(digest, target)
            return
        if not _is_digest(digest):
            raise ContentMissing(f"{digest!r} is no content digest")
        async with self._turns.setdefault(digest, asyncio.Lock()):
            if trees.has(digest):
                return
            with _room():
                kept = await self._kept(digest)
            try:
                await asyncio.to_thread(trees.unpack, digest, kept)
            except Unrunnable as error:
                raise ContentMissing(str(error)) from error
            kept.unlink(missing_ok=True)
            await asyncio.to_thread(trees.make_room, in_use())

    async def place(self, digest: str, target: Path) -> None:
        """Copy content to a path. Raises ContentMissing, and as ``fetch``.

        A copy, not a link: a job can reach its own directory, and must not reach the next job's.
        """
        if not _is_digest(digest):
            raise ContentMissing(f"{digest!r} is no content digest")
        async with self._turns.setdefault(digest, asyncio.Lock()):
            with _room():
                kept = await self._kept(digest)
                await asyncio.to_thread(_copy, kept, target)

    async def _kept(self, digest: str) -> Path:
        """Return the file of a digest, fetched if need be."""
        kept = self._directory / digest
        if not kept.exists():
            await self._fetch_one(digest)
        os.utime(kept)
        return kept

    async def keep(self, digest: str, source: Path) -> None:
        """Keep a file that has this digest; several jobs may end with the same."""
        async with self._turns.setdefault(digest, asyncio.Lock()):
            if (self._directory / digest).exists():
                return
            arriving = self._directory / f".{digest}"
            try:
                await asyncio.to_thread(shutil.copyfile, source, arriving)
                await self._arrived(arriving, digest)
            finally:
                arriving.unlink(missing_ok=True)

    async def _fetch_one(self, digest: str) -> None:
        arriving = self._directory / f".{digest}"
        try:
            await self._fetch(digest, arriving)
            await self._arrived(arriving, digest)
        except KeyError as error:
            raise ContentMissing(f"Content {digest} is not in the log") from error
        finally:
            arriving.unlink(missing_ok=True)

    async def _arrived(self, arriving: Path, digest: str) -> None:
        """Give content its name once it is on disk: a machine that stops leaves no half of it."""
        await asyncio.to_thread(_sync, arriving)
        arriving.rename(self._directory / digest)
        self._make_room()

    def _make_room(self) -> None:
        kept = (each for each in self._directory.iterdir() if _is_digest(each.name))
        found = [(each.stat(), each) for each in kept]
        found.sort(key=lambda pair: pair[0].st_mtime_ns)
        used = sum(stat.st_size for stat, _ in found)
        for stat, path in found[:-1]:
            if used <= self._bytes_max:
                return
            turn = self._turns.get(path.name)
            if turn is not None and turn.locked():
                continue  # somebody reads it just now, and who comes next must wait for the same
            path.unlink(missing_ok=True)
            self._turns.pop(path.name, None)
            used -= stat.st_size


@contextmanager
def _room() -> Iterator[None]:
    """Tell of a full disk as of content that is not there: waiting makes no room."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise ContentMissing(f"The runner has no room for it: {error.strerror}") from error


def _copy(kept: Path, target: Path) -> None:
    """Copy whole or not at all: a supervisor that an agent before us started may be reading."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(kept, temporary)
    temporary.rename(target)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _is_digest(text: str) -> bool:
    return len(text) == _DIGEST_CHARS and all(each in "0123456789abcdef" for each in text)
