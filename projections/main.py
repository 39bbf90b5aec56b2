"""The projector program: one task and one Postgres connection for each projection."""

from __future__ import annotations

import asyncio
import gc
import signal

import asyncpg
import structlog

from ops import connect, postgres
from ops.settings import Settings
from ops.stopping import stopped
from projections.activity import ACTIVITIES
from projections.checkpoint import Connection
from projections.facts import Facts
from projections.job_events import Output
from projections.jobs import Jobs
from projections.projection import Projection
from projections.projector import Projector
from projections.reports import Reports
from projections.resources import Config

log = structlog.get_logger()

PROJECTIONS: tuple[Projection, ...] = (
    *(Config(), Jobs(), Reports(), Output(), Facts()),
    *ACTIVITIES,
)


async def run_projector(settings: Settings, only: str | None = None) -> None:
    """Project until SIGTERM; ``only`` names one projection.

    Raises ValueError for an unknown one.
    """
    chosen = [each for each in PROJECTIONS if only in (None, each.name)]
    if not chosen:
        names = ", ".join(each.name for each in PROJECTIONS)
        raise ValueError(f"no projection is named {only!r}; there are {names}")
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    connection = await connect.connect_nats(
        settings.nats_url, settings.nats_creds_file, "projector"
    )

    async def opened() -> Connection:
        options = postgres.options(settings.postgres_password_file)
        return await asyncpg.connect(settings.postgres_dsn, **options)

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [
        asyncio.create_task(Projector(each, connection, opened).run(), name=each.name)
        for each in chosen
    ]
    log.info("projecting", projections=[each.name for each in chosen])
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping})
    await stopped(tasks)
    await connect.close_quietly(connection)
