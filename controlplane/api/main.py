"""The API program: builds every part once, serves until SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import signal

import structlog
import uvicorn

from controlplane.api import smart_hosts
from controlplane.api.app import create_app
from controlplane.api.services import Services
from controlplane.shell.catch_up import CatchUp, Positions
from controlplane.shell.config_writer import ConfigWriter, postgres_views
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.launch_keys import LaunchKeys
from controlplane.shell.launch_tools import LaunchTools
from controlplane.shell.live import LiveHub
from controlplane.shell.manual_projects import ManualProjects
from controlplane.shell.numbers import Numbers
from controlplane.shell.settings_store import SettingsStore
from controlplane.shell.vault import MasterKey, Vault
from ops import connect, nats_identity, postgres
from ops.blobs import Blobs
from ops.settings import Settings
from ops.stopping import stopped
from ops.telemetry import Tracer

log = structlog.get_logger()

POOL_SIZE = 20
WEBSOCKET_BYTES_MAX = 1024 * 1024
"""Longest message that a websocket client may send."""
STOP_WITHIN_S = 5
IDLE_S = 75
"""A connection without requests is kept open for so long.

The ``awx`` command asks every 5 s for the job that it waits for: with a server that gives idle
connections up as soon, its request meets the end of its connection by chance.
"""


async def build_services(settings: Settings) -> Services:
    """Connect to NATS and Postgres, wait for both, and build what the API works with."""
    connection = await connect.connect_nats(settings.nats_url, settings.nats_creds_file, "api")
    positions = Positions()
    pool = await postgres.connect_pool(
        settings.postgres_dsn,
        settings.postgres_password_file,
        size=POOL_SIZE,
        wait=True,
        check=positions.refuse_older,
    )
    tracer = Tracer("api", settings.otlp_endpoint)
    store = JetStreamStore(connection, tracer)
    catch_up = CatchUp(pool, positions)
    await catch_up.start(connection)
    numbers = Numbers(connection)
    master = MasterKey.load_or_create(
        settings.master_key_file or settings.data / "secrets" / "master.key"
    )
    vault = Vault(connection, master)
    signing = settings.nats_signing_file
    return Services(
        settings=settings,
        pool=pool,
        nats=connection,
        writer=ConfigWriter(
            store, postgres_views(pool), catch_up, connection, settings.write_wait_s
        ),
        numbers=numbers,
        store=store,
        vault=vault,
        catch_up=catch_up,
        hub=LiveHub(connection),
        identity=None if signing is None else nats_identity.load(signing),
        tracer=tracer,
        launch_tools=LaunchTools(
            store=store,
            numbers=numbers,
            vault=vault,
            blobs=Blobs(connection),
            keys=LaunchKeys(connection, numbers),
            smart_hosts=smart_hosts.selection,
            manual=ManualProjects(settings.projects_root or settings.data / "projects"),
        ),
        settings_store=SettingsStore(pool, catch_up, vault),
    )


async def run_api(settings: Settings, _only: str | None = None) -> None:
    """Serve until SIGTERM; requests in flight are finished."""
    services = await build_services(settings)
    app = create_app(services)
    # What is made once is never garbage, and a page of rows is no reason to look for any.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # whom to believe about an address is a setting (client_address)
        timeout_graceful_shutdown=STOP_WITHIN_S,
        timeout_keep_alive=IDLE_S,
        ws="websockets-sansio",
        ws_max_size=WEBSOCKET_BYTES_MAX,
        loop="none",
    )
    server = uvicorn.Server(config)
    writing = asyncio.create_task(services.writer.run(), name="config-writer")
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    serving = asyncio.create_task(server.serve(), name="http")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    log.info("serving", host=settings.host, port=settings.port)
    await serving
    await stopped([writing])
    services.tracer.flush()
    await services.pool.close()
    await connect.close_quietly(services.nats)
