"""One stream to a file and back, by JetStream's own snapshot: sequences, times and counters stay.

The server sends an archive (s2-compressed tar) in chunks and waits for each to be acknowledged;
restoring sends it the same way (NATS' wire API: ``STREAM.SNAPSHOT``, ``STREAM.RESTORE``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from ops import provision
from ops.pull import STREAM_NOT_FOUND

CHUNK_BYTES = 128 * 1024
TIMEOUT_S = 60.0
"""A server compacts and checks a stream before its first chunk, and after the last one."""


class ArchiveError(RuntimeError):
    """The server could not make or take an archive, or the archive is not what was written."""


class StreamArchive(Struct, frozen=True, kw_only=True):
    """One archived stream: its file (relative) with digest, and what the server said of it."""

    name: str
    file: str
    bytes: int
    sha256: str
    config: dict[str, Any]
    state: dict[str, Any]

    @property
    def last_sequence(self) -> int:
        """Where the stream ended."""
        return int(self.state["last_seq"])

    @property
    def messages(self) -> int:
        """How many it held."""
        return int(self.state["messages"])


async def save(connection: Client, name: str, directory: Path) -> StreamArchive | None:
    """Write a stream to ``directory`` (0600); None when there is no such stream.

    Raises ArchiveError, OSError and NATS errors; what was written so far stays.
    """
    inbox = connection.new_inbox()
    chunks = await connection.subscribe(inbox)
    path = directory / f"{name}.snapshot"
    try:
        ask = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES}
        told = await _ask(connection, f"$JS.API.STREAM.SNAPSHOT.{name}", ask)
        if told is None:
            return None
        sha = hashlib.sha256()
        count = 0
        path.touch(mode=0o600)
        with path.open("wb") as file:
            while True:
                chunk = await chunks.next_msg(TIMEOUT_S)
                if not chunk.data:
                    if chunk.headers:
                        raise ArchiveError(f"stream {name}: the server ended with {chunk.headers}")
                    break
                file.write(chunk.data)
                sha.update(chunk.data)
                count += len(chunk.data)
                if chunk.reply:
                    await connection.publish(chunk.reply, b"")
    finally:
        await chunks.unsubscribe()
    return StreamArchive(
        name=name,
        file=path.name,
        bytes=count,
        sha256=sha.hexdigest(),
        config=told["config"],
        state=told["state"],
    )


def check(archive: StreamArchive, directory: Path) -> None:
    """Raise ArchiveError unless the file holds exactly what was archived."""
    path = directory / archive.file
    sha = hashlib.sha256()
    count = 0
    try:
        for chunk in _chunks(path):
            sha.update(chunk)
            count += len(chunk)
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}") from error
    if (count, sha.hexdigest()) != (archive.bytes, archive.sha256):
        raise ArchiveError(f"{path} is damaged: it is not what the backup wrote")


async def load(connection: Client, archive: StreamArchive, directory: Path) -> None:
    """Make a stream from its archive; it must not exist.

    Raises ArchiveError and NATS errors; a stream that did not come back whole is left for the
    person to look at.
    """
    name = archive.name
    ask = {"config": archive.config, "state": archive.state}
    told = await _ask(connection, f"$JS.API.STREAM.RESTORE.{name}", ask)
    if told is None:
        raise ArchiveError(f"stream {name}: the server does not restore it")
    subject = told["deliver_subject"]
    for chunk in _chunks(directory / archive.file):
        answer = await connection.request(subject, chunk, timeout=TIMEOUT_S)
        if answer.data:
            _refused(name, answer.data)
    done = await connection.request(subject, b"", timeout=TIMEOUT_S)
    _refused(name, done.data)
    state = msgspec.json.decode(done.data)["state"]
    if state["last_seq"] < archive.last_sequence:
        raise ArchiveError(
            f"stream {name} ends at {state['last_seq']} after the restore,"
            f" the backup says {archive.last_sequence}"
        )


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


async def _ask(connection: Client, subject: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the API's answer; None when the stream does not exist."""
    told = await provision.ask(connection, subject, body, TIMEOUT_S)
    if told.get("error", {}).get("err_code") == STREAM_NOT_FOUND:
        return None
    if "error" in told:
        raise ArchiveError(f"{subject}: {told['error'].get('description')}")
    return told


def _refused(name: str, data: bytes) -> None:
    error = msgspec.json.decode(data).get("error")
    if error:
        raise ArchiveError(f"stream {name}: {error.get('description')}")
