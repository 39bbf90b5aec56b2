"""What all attempts of one agent share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nats.aio.client import Client

from ops.telemetry import Tracer
from runners.content import ContentCache
from runners.gate import StartGate
from runners.held import Held, Supervisor
from runners.isolation.plan import NOTHING, Abilities
from runners.record import JOBS_DIR
from runners.spec import Secrets


class Blobs(Protocol):
    """Content by its sha256."""

    async def put(self, content: bytes) -> str:
        """Store content, acknowledged; returns its sha256."""

    async def put_file(self, path: Path) -> str:
        """Store a file's content, acknowledged, in bounded memory; returns its sha256."""


class Processes(Protocol):
    """The processes of attempts on this machine; those of a directory carry its mark."""

    async def spawn(self, job_dir: Path, secrets: Secrets) -> Supervisor:
        """Start the supervisor of a job directory, exactly once however often it is asked for.

        Returns the one that took charge. Raises SupervisorLost.
        """

    def supervisor(self, job_dir: Path) -> Supervisor | None:
        """Return who took charge of a job directory, dead or alive; None when nobody ever did."""

    def marked(self, job_dir: Path) -> list[int]:
        """Return the living processes of an attempt, wherever they hang, by their own numbers."""

    def sweep(self, job_dir: Path) -> int:
        """Kill the processes of an attempt; returns how many there were."""


class Watch(Protocol):
    """Tells of writes in job directories."""

    def add(self, directory: Path, wake: asyncio.Event) -> int:
        """Set ``wake`` at every write in the directory; returns a number for ``remove``."""

    def remove(self, number: int) -> None:
        """Watch a directory no longer; harmless when it is gone."""


ConnectAs = Callable[[bytes, str, asyncio.Event], Awaitable[Client]]
"""Connects as an attempt's user: credentials, the attempt, and what is set at the end for good."""


class Key(Protocol):
    """The runner's own key: opens what was sealed to it."""

    @property
    def public(self) -> str:
        """The public half, base64."""

    def unseal(self, sealed: str) -> bytes:
        """Return what was sealed (base64). Raises ValueError when it was not sealed to this key."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """The agent as an attempt sees it."""

    name: str
    data: Path
    nats: Client
    connect_as: ConnectAs
    processes: Processes
    watch: Watch
    content: ContentCache
    blobs: Blobs
    key: Key
    held: Held
    gate: StartGate
    tracer: Tracer
    abilities: Abilities = NOTHING
    """What of isolation works here."""
    journal_bytes_max: int
    """Of one attempt, unpublished; beyond it the play stands still."""

    @property
    def jobs(self) -> Path:
        """Directory of the attempts' directories."""
        return self.data / JOBS_DIR
