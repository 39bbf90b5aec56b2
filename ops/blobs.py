"""Content by its sha256, in chunks on ``content.<sha256>.<n>`` of BLOBS.

The last chunk carries the header ``Playlog-Chunks`` with their number; it is written last, so
content is there whole or not at all. Writing the same content twice changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from nats.aio.client import Client
from nats.js.errors import APIError, NotFoundError

from schemas import subjects
from schemas.streams import BLOBS

CHUNK_BYTES = 128 * 1024
IN_FLIGHT = 16
_CHUNKS = "Playlog-Chunks"
_TIMEOUT_S = 30.0
_FULL = 10077
"""The subject holds its message: what was written first stays, nobody replaces content."""


class Blobs:
    """Stores and fetches content over one NATS connection."""

    def __init__(self, connection: Client) -> None:
        """Use a connection whose user may publish ``content.*.*`` and read BLOBS."""
        self._context = connection.jetstream(timeout=_TIMEOUT_S)

    async def put(self, content: bytes) -> str:
        """Store content, acknowledged; returns its sha256 (hex)."""
        digest = hashlib.sha256(content).hexdigest()
        await self._store(digest, _slices(content))
        return digest

    async def put_file(self, path: Path) -> str:
        """Store a file's content, acknowledged, in bounded memory; returns its sha256 (hex)."""
        digest = await asyncio.to_thread(_digest_of, path)
        await self._store(digest, _file_chunks(path))
        return digest

    async def get(self, digest: str) -> bytes:
        """Return content, verified; raises KeyError when it is not there (whole)."""
        parts = [part async for part in self._chunks(digest)]
        content = b"".join(parts)
        if hashlib.sha256(content).hexdigest() != digest:
            raise KeyError(digest)
        return content

    async def get_file(self, digest: str, target: Path) -> None:
        """Write content to a new file, verified, in bounded memory; raises KeyError."""
        sha = hashlib.sha256()
        partial = target.with_name(f"{target.name}.partial")
        try:
            with partial.open("wb") as file:
                async for part in self._chunks(digest):
                    sha.update(part)
                    file.write(part)
            if sha.hexdigest() != digest:
                raise KeyError(digest)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    async def exists(self, digest: str) -> bool:
        """True when the content is there whole."""
        try:
            await self._count(digest)
        except KeyError:
            return False
        return True

    async def _store(self, digest: str, parts: Iterable[bytes]) -> None:
        if await self.exists(digest):
            return
        pending: set[asyncio.Task[None]] = set()
        number, held = 0, b""
        for number, part in enumerate(parts):
            if number:
                pending.add(asyncio.create_task(self._publish(digest, number - 1, held)))
            held = part
            if len(pending) >= IN_FLIGHT:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        for task in pending:
            await task
        await self._publish(digest, number, held, last=True)

    async def _publish(self, digest: str, number: int, part: bytes, *, last: bool = False) -> None:
        """Publish a chunk; the final one stands under ``end`` and tells how many there are."""
        subject = subjects.content(digest, "end" if last else number)
        headers = {_CHUNKS: str(number + 1)} if last else None
        try:
            await self._context.publish(subject, part, headers=headers)
        except APIError as error:
            if error.err_code != _FULL:
                raise

    async def _count(self, digest: str) -> int:
        try:
            message = await self._context.get_last_msg(
                BLOBS.name, subjects.content(digest, "end"), direct=True
            )
        except NotFoundError as error:
            raise KeyError(digest) from error
        return int((message.headers or {}).get(_CHUNKS, "0"))

    async def _chunks(self, digest: str) -> AsyncIterator[bytes]:
        count = await self._count(digest)
        names = [*map(str, range(count - 1)), "end"]
        for begin in range(0, len(names), IN_FLIGHT):
            for part in await asyncio.gather(
                *(self._chunk(digest, name) for name in names[begin : begin + IN_FLIGHT])
            ):
                yield part

    async def _chunk(self, digest: str, name: str) -> bytes:
        try:
            message = await self._context.get_last_msg(
                BLOBS.name, subjects.content(digest, name), direct=True
            )
        except NotFoundError as error:
            raise KeyError(digest) from error
        return message.data or b""


def _slices(content: bytes) -> Iterator[bytes]:
    for begin in range(0, max(len(content), 1), CHUNK_BYTES):
        yield content[begin : begin + CHUNK_BYTES]


def _file_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        part = file.read(CHUNK_BYTES)
        yield part
        while part := file.read(CHUNK_BYTES):
            yield part


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
