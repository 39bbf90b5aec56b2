"""What every process loop is built from: its name, its needs, and how it is kept running."""

from __future__ import annotations

import asyncio
from typing import Protocol

import asyncpg
import nats.errors
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from controlplane.domain.errors import Unavailable
from controlplane.domain.instance import INSTANCE, InstanceCommand, InstanceState
from controlplane.domain.job import JOB, JobCommand, JobState
from controlplane.processes.board_keeper import BoardKeeper
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.numbers import Numbers
from controlplane.shell.transact import Transacted, transact
from controlplane.shell.vault import Vault
from ops import clock, ids, leases, nats_identity
from ops.settings import Settings
from ops.telemetry import Tracer
from schemas import subjects
from schemas.envelope import Actor, Context

log = structlog.get_logger()

RETRY_S = 0.5
OUTAGES = (
    OSError,
    TimeoutError,
    Unavailable,
    leases.Lost,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    nats.errors.Error,
    JetStreamError,
)
"""What a loop meets when servers are away or another process leads: it is waited out."""


class Tools(Struct, frozen=True, kw_only=True):
    """What the loops of one process share."""

    settings: Settings
    connection: Client
    store: JetStreamStore
    numbers: Numbers
    vault: Vault
    keeper: BoardKeeper
    tracer: Tracer
    identity: nats_identity.Identity | None
    """Mints users for attempts; None where NATS has no accounts."""

    def context(
        self, process: str, *, message_id: str | None = None, traceparent: str | None = None
    ) -> Context:
        """Return the context of a transaction of a loop; raises Lost without its lease."""
        leases.still_held()
        own = message_id or ids.new_id()
        return Context(
            id=own,
            at=clock.now(),
            actor=Actor(kind="process", name=process),
            correlation=own,
            traceparent=traceparent,
        )

    async def job(
        self,
        process: str,
        job: int,
        command: JobCommand,
        *,
        message_id: str | None = None,
        traceparent: str | None = None,
    ) -> Transacted[JobState]:
        """Decide a command on a job and append what it decides; raises Rejected.

        Without a traceparent the job's own goes on.
        """
        trace = traceparent or self.keeper.board.traces.get(job)
        context = self.context(process, message_id=message_id, traceparent=trace)
        return await transact(self.store, subjects.job(job), JOB, command, context)

    async def instance(
        self, process: str, number: int, command: InstanceCommand
    ) -> Transacted[InstanceState]:
        """Decide a command on an instance and append what it decides; raises Rejected."""
        subject, keys = subjects.config("instance", number), (f"instance:{number}",)
        context = self.context(process)
        return await transact(self.store, subject, INSTANCE, command, context, keys=keys)


class Loop(Protocol):
    """One long-lived loop of the dispatcher role."""

    name: str
    singleton: bool
    """True when it runs under a lease of its own; else every process may run it."""

    async def run(self, tools: Tools) -> None:
        """Work until cancelled."""
        ...


async def keep_running(loop: Loop, tools: Tools) -> None:
    """Run a loop for ever, under its lease when it is a singleton; its errors are waited out."""
    holder = f"{tools.settings.node}-{ids.new_id()[:8]}"
    while True:
        try:
            if loop.singleton:
                lease = leases.Lease(
                    tools.connection, f"loop-{loop.name}", holder, tools.settings.lease_ttl_s
                )
                await lease.run(lambda: loop.run(tools))
            else:
                await loop.run(tools)
        except OUTAGES as error:
            log.warning("loop starts again", loop=loop.name, why=repr(error))
        except Exception:
            log.exception("loop failed", loop=loop.name)
        await asyncio.sleep(RETRY_S)
