"""A dispatcher program of the simulation: every real loop on a board of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import cast

from nats.aio.client import Client

from controlplane.processes import main
from controlplane.processes.board_keeper import BoardKeeper
from controlplane.processes.loop import Loop as ProcessLoop
from controlplane.processes.loop import Tools
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.numbers import Numbers
from controlplane.shell.vault import MasterKey, Vault
from ops import nats_identity
from ops.settings import Settings
from ops.telemetry import Tracer
from schemas.subjects import Attempt
from tests.simulation.loop import Program
from tests.simulation.scheduler import Scheduler
from tests.simulation.wire import Hub, Wire

LEASE_S = 10
"""Longer than it is for users: who waits for a lease asks again at a tenth of it."""
Loops = Callable[[], tuple[ProcessLoop, ...]]
OF_TABLES = frozenset({"inventory_imports", "housekeeping"})
"""Loops that read Postgres, which the simulated world does not have."""


class _Identity:
    """``nats_identity.Identity``, of which each attempt gets a user."""

    @staticmethod
    def job_user(attempt: Attempt, _expires: datetime) -> str:
        """Name the attempt."""
        return f"user of {attempt.job}-{attempt.attempt}"


class Control(Program):
    """The program of ``controlplane.processes.main``: its lives follow one another."""

    near = True
    store: type[JetStreamStore] = JetStreamStore

    def __init__(self, scheduler: Scheduler, hub: Hub, name: str, loops: Loops) -> None:
        super().__init__(scheduler, name)
        self._hub = hub
        self._chosen = loops
        self.keeper: BoardKeeper | None = None

    def boot(self) -> None:
        """Run the program."""
        loop = self.new_loop()
        client = cast("Client", Wire(loop, self, self._hub))
        store = self.store(client)
        self.keeper = BoardKeeper(client, store)
        tools = Tools(
            settings=Settings(data=Path("/nowhere"), node=self.name, lease_ttl_s=LEASE_S),
            connection=client,
            store=store,
            numbers=Numbers(client),
            vault=Vault(client, MasterKey("master-1", bytes(32))),
            keeper=self.keeper,
            tracer=Tracer("dispatcher", ""),
            identity=cast("nats_identity.Identity", _Identity()),
        )
        loop.call_soon(self._begin, tools)

    def _begin(self, tools: Tools) -> None:
        main.begin(tools, [each for each in self._chosen() if each.name not in OF_TABLES])
