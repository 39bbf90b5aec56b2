"""What all attempts of one agent share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nats.aio.client import Client

from ops.telemetry import Tracer
from runners.content import ContentCache
from runners.gate import StartGate
from runners.held import Held
from runners.journal_watch import JournalWatch
from runners.record import JOBS_DIR
from runners.zygote_client import Zygote


class Blobs(Protocol):
    """Content by its sha256."""

    async def put(self, content: bytes) -> str:
        """Store content, acknowledged; returns its sha256."""

    async def put_file(self, path: Path) -> str:
        """Store a file's content, acknowledged, in bounded memory; returns its sha256."""


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
    nats_url: str
    zygote: Zygote
    watch: JournalWatch
    content: ContentCache
    blobs: Blobs
    key: Key
    held: Held
    gate: StartGate
    tracer: Tracer
    journal_bytes_max: int
    """Of one attempt, unpublished; beyond it the play stands still."""

    @property
    def jobs(self) -> Path:
        """Directory of the attempts' directories."""
        return self.data / JOBS_DIR
