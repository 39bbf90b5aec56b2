"""Projectors of the simulation: two side by side, on a database that is away at times."""

from __future__ import annotations

from projections.projection import Projection
from tests.simulation import read_model
from tests.simulation.log import Server
from tests.simulation.network import Network
from tests.simulation.read_model import Database, Fenced, Messages
from tests.simulation.scheduler import Process, Steps

IDLE_S = 0.3
RETRY_S = 1.0
BATCH_MAX = 40


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
                continue
            position = self.database.position(projection.name)
            end = min(read_model.last(self._server, projection), position + BATCH_MAX)
            batch = read_model.messages(self._server, projection, position, end)
            if not batch:
                yield IDLE_S
                continue
            yield self._moment()  # the other projector may be at the same batch
            if not self.database.away:
                yield from self.store(projection, batch, position, end)

    def store(self, projection: Projection, batch: Messages, old: int, new: int) -> Steps:
        """Store a batch; its transaction may die before it is committed."""
        self.database.begin()
        try:
            self.database.move(projection.name, old, new)
            self.database.apply(projection, batch)
        except Fenced:
            self.database.roll_back()
            return
        if self.dies():
            self.database.roll_back()
            yield RETRY_S
            return
        self.database.commit()
        read_model.check(self._server, self.database, batch)

    def dies(self) -> bool:
        """Tell whether the connection breaks now."""
        return self.scheduler.random.random() < self._network.faults.stall

    def _moment(self) -> float:
        return self.scheduler.random.random() * self._network.faults.delay_s[1] / 4
