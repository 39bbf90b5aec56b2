"""What the API is given to work with; built once by the role that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from controlplane.api.login_settings import LoginSettings, login_settings
from controlplane.shell.catch_up import CatchUp
from controlplane.shell.config_writer import ConfigWriter
from controlplane.shell.event_store import EventStore
from controlplane.shell.launch_tools import LaunchTools
from controlplane.shell.live import LiveHub
from controlplane.shell.numbers import Numbers
from controlplane.shell.read_model import ReadModel
from controlplane.shell.settings_store import SettingsStore
from controlplane.shell.vault import Vault
from ops.nats_identity import Identity
from ops.settings import Settings
from ops.telemetry import Tracer

if TYPE_CHECKING:
    import asyncpg
    from nats.aio.client import Client


class Services(Struct, kw_only=True):
    """The connections and the write path."""

    settings: Settings
    pool: asyncpg.Pool[asyncpg.Record]
    nats: Client
    writer: ConfigWriter
    numbers: Numbers
    store: EventStore
    vault: Vault
    catch_up: CatchUp
    hub: LiveHub
    identity: Identity | None
    """Mints users for viewers; None where NATS has no accounts."""
    tracer: Tracer
    launch_tools: LaunchTools
    settings_store: SettingsStore
    """What administrators set; ``settings`` is what the program was started with."""

    @property
    def login(self) -> LoginSettings:
        """Return what the settings say about logging in."""
        return login_settings(self.settings_store)

    @property
    def read(self) -> ReadModel:
        """Return the read side of the pool."""
        return ReadModel(self.pool)
