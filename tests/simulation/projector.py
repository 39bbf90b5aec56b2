"""Projectors of the simulation: two side by side, on a database that is away at times."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from projections.projection import Projection
from tests.simulation import read_model
from tests.simulation.network import Network
from tests.simulation.read_model import Database, Fenced, Messages
from tests.simulation.scheduler import Process, Steps
from tests.simulation.server import Server

IDLE_S = 0.5
RETRY_S = 1.0
BATCH_MAX = 40
Stored = Generator[Any, Any, bool]
"""A task that tells in the end whether a batch is stored."""


class Projector(Process):
    """Pulls from checkpoint + 1, applies, moves the checkpoint, all in one transaction."""

    def __init__(self, server: Server, network: Network, database: Database, name: str) -> None:
        super().__init__(server.scheduler, name)
        self._server = server
        self._network = network
        self.database = database

    def boot(self) -> None:
        """Nothing is remembered but what the tables say."""
        for projection in read_model.PROJECTIONS:
            self.run(self._project(projection))

    def _project(self, projection: Projection) -> Steps:
        while True:
            if self.database.away:
                yield RETRY_S
            else:
                yield from self._session(projection)

    def _session(self, projection: Projection) -> Steps:
        """Go on from where the tables stand, until the connection breaks or they stand elsewhere.

        Nobody tells of a connection that is broken; who uses it learns.
        """
        life, position = self.database.life, self.database.position(projection.name)
        while True:
            batch = read_model.messages(self._server, projection, position, BATCH_MAX)
            if batch:
                yield self._moment()  # the other projector may be at the same batch
                if self.database.away or self.database.life != life:
                    return
                if not (yield from self.store(projection, batch, position, batch[-1].sequence)):
                    return
                position = batch[-1].sequence
            else:
                yield IDLE_S
                if not self.stands(projection, life, position):
                    return

    def stands(self, projection: Projection, life: int, position: int) -> bool:
        """Look whether the tables stand where this projector left them."""
        return (
            not self.database.away
            and self.database.life == life
            and self.database.position(projection.name) == position
        )

    def store(self, projection: Projection, batch: Messages, old: int, new: int) -> Stored:
        """Store a batch, and tell whether it is; its transaction may die before it is committed."""
        self.database.begin()
        try:
            self.database.move(projection.name, old, new)
            self.database.apply(projection, batch)
        except Fenced:
            self.database.roll_back()
            return False
        if self.dies():
            self.database.roll_back()
            yield RETRY_S
            return False
        self.database.commit()
        read_model.check(self._server, self.database, batch)
        return True

    def dies(self) -> bool:
        """Tell whether the connection breaks now."""
        return self.scheduler.random.random() < self._network.faults.broken

    def _moment(self) -> float:
        return self.scheduler.random.random() * self._network.faults.delay_s[1] / 4
