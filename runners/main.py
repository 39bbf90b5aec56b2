"""Puts a runner agent together and runs it until SIGTERM."""

from __future__ import annotations

import asyncio
import fcntl
import signal

import msgspec
import structlog
import uvloop
from nats.aio.client import Client

from ops import connect, nats_grants, signals, telemetry
from ops.blobs import Blobs
from ops.sealing import SealingKey
from ops.settings import Settings, engine_environment
from ops.telemetry import Tracer
from runners import mounts, register
from runners.agent import Agent, Pace
from runners.content import ContentCache
from runners.gate import StartGate
from runners.held import Held
from runners.isolation import abilities, remains
from runners.journal_watch import JournalWatch
from runners.processes import MachineProcesses
from runners.record import JOBS_DIR
from runners.site import Site

_log = structlog.get_logger()


def run_runner(settings: Settings) -> int:
    """Run the agent of this machine until SIGTERM or SIGINT; returns the exit status.

    Raises ValueError when another agent holds the data directory.
    """
    telemetry.setup_logging("runner", settings.log_level)
    signals.arm(settings.kill_point)
    settings = msgspec.structs.replace(settings, data=settings.data.resolve())
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.data / "runner.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another runner agent works in {settings.data}"
            raise ValueError(message) from error
        overlays = mounts.possible(settings.data)
        processes = MachineProcesses()
        processes.start()
        try:
            uvloop.run(_serve(settings, processes, overlays=overlays))
        finally:
            processes.stop()
    return 0


async def _serve(settings: Settings, processes: MachineProcesses, *, overlays: bool) -> None:
    creds, closed = settings.nats_creds_file, asyncio.Event()

    async def on_reconnect() -> None:
        agent.reconnected()

    connection = await connect.connect_nats(
        settings.nats_url,
        creds,
        f"runner {settings.node}",
        inbox_prefix=nats_grants.inbox_prefix(settings.node) if creds else None,
        on_reconnect=on_reconnect,
        closed=closed,
    )

    async def connect_as(creds: bytes, ident: str, closed: asyncio.Event) -> Client:
        inbox = nats_grants.inbox_prefix(ident)
        url = settings.nats_url
        return await connect.connect_nats_as(url, creds, f"attempt {ident}", inbox, closed)

    able = await asyncio.to_thread(
        abilities.detect, settings.isolation, settings.container_engine, engine_environment()
    )
    for each in able.lacking:
        _log.info("isolation.lacking", what=each)
    await asyncio.to_thread(remains.clear, able, settings.data / JOBS_DIR)
    if not overlays:
        _log.info("overlays.lacking", what="each job gets a copy of its project")
    watch = JournalWatch()
    blobs = Blobs(connection)
    held = Held(register.own_capacity(settings.runner_capacity))
    site = Site(
        name=settings.node,
        data=settings.data,
        nats=connection,
        connect_as=connect_as,
        processes=processes,
        watch=watch,
        content=ContentCache(
            settings.data, blobs.get_file, in_use=held.contents if overlays else None
        ),
        blobs=blobs,
        key=SealingKey.load_or_create(settings.data / "runner" / "key"),
        gate=StartGate(),
        held=held,
        tracer=Tracer("runner", settings.otlp_endpoint),
        abilities=able,
        journal_bytes_max=settings.journal_bytes_max,
    )
    agent = Agent(
        site,
        Pace(
            groups=settings.runner_groups,
            heartbeat_s=settings.heartbeat_s,
            presence_ttl_s=settings.presence_ttl_s,
        ),
        closed,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop.set)
    try:
        await agent.run()
    finally:
        watch.close()
        site.tracer.flush()
        await connect.close_quietly(connection)
