"""What the API is given to work with; built once by the role that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from controlplane.shell.read_model import ReadModel
from ops.settings import Settings

if TYPE_CHECKING:
    import asyncpg
    from nats.aio.client import Client


class Services(Struct, kw_only=True):
    """The connections and the write path; ``extra`` is for what a deployment adds."""

    settings: Settings
    pool: asyncpg.Pool[asyncpg.Record]
    nats: Client
    writer: Any
    numbers: Any
    store: Any
    vault: Any
    catch_up: Any

    @property
    def read(self) -> ReadModel:
        """Return the read side of the pool."""
        return ReadModel(self.pool)
