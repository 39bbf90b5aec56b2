"""A whole API over real servers in one process: log, projectors, writer and HTTP on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import uvicorn
from argon2 import PasswordHasher
from litestar import Litestar
from nats.aio.client import Client

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
from controlplane.shell.seed import seed, seed_definitions
from controlplane.shell.settings_store import SettingsStore
from controlplane.shell.vault import MasterKey, Vault
from ops import clock, connect, ids, postgres, provision
from ops.blobs import Blobs
from ops.settings import Settings
from ops.stopping import stopped
from ops.telemetry import Tracer
from projections.main import PROJECTIONS
from projections.projector import Projector
from schemas import subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.resource import ResourceCreated
from tests.servers import free_port
from tests.waiting import soon

PASSWORD = "correct horse"
_hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Stack:
    """A running API; ``client`` is the superuser ``admin``, ``as_user`` anybody else."""

    def __init__(self, services: Services, app: Litestar, url: str) -> None:
        """Talk to the API at ``url``."""
        self.services = services
        self.app = app
        self.url = url
        self.client = self.as_user("admin")

    def as_user(self, username: str, password: str = PASSWORD) -> httpx.AsyncClient:
        """Return a client with basic authentication."""
        return httpx.AsyncClient(base_url=self.url, auth=(username, password), timeout=30)

    def anonymous(self) -> httpx.AsyncClient:
        """Return a client without credentials."""
        return httpx.AsyncClient(base_url=self.url, timeout=30)

    async def add_user(self, username: str, **fields: Any) -> int:
        """Add a user with the usual password straight to the log; returns its id."""
        number = (await self.services.numbers.take("user"))[0]
        password = _hasher.hash(PASSWORD)
        values = {"username": username, "password": password, **fields}
        event = ResourceCreated(kind="user", id=number, values=values)
        message_id = ids.new_id()
        context = Context(id=message_id, at=clock.now(), actor=SYSTEM, correlation=message_id)
        subject = subjects.config("user", number)
        position = await self.services.store.append(subject, context, (event,))
        assert await self.services.catch_up.wait("config", position, 20)
        return number

    async def make(self, plural: str, **body: Any) -> dict[str, Any]:
        """Create an object as the superuser and return it."""
        found = await self.client.post(f"/api/v2/{plural}/", json=body)
        assert found.status_code == 201, found.text
        made: dict[str, Any] = found.json()
        return made


@contextlib.asynccontextmanager
async def running(directory: Path, nats_url: str, postgres_dsn: str) -> AsyncIterator[Stack]:
    """Start everything, with the superuser ``admin``; stop it at the end."""
    port = free_port()
    settings = Settings(
        data=directory, nats_url=nats_url, postgres_dsn=postgres_dsn, port=port, node="test-node"
    )
    connection = await connect.connect_nats(nats_url, None, "test")
    await provision.provision(connection)
    tasks = [asyncio.create_task(each) for each in _projectors(connection, postgres_dsn)]
    positions = Positions()
    pool = await postgres.connect_pool(postgres_dsn, None, check=positions.refuse_older)
    installed: Any = functools.partial(_installed, pool)
    await soon(installed)
    services = await _services(settings, pool, positions, connection)
    assert await seed(services.store, services.numbers, "admin", PASSWORD)
    await seed_definitions(services.store, services.numbers)
    assert await services.catch_up.wait("config", 2, 20)
    tasks.append(asyncio.create_task(services.writer.run()))
    app = create_app(services)
    config = uvicorn.Config(
        app, port=port, log_level="warning", lifespan="on", ws="none", proxy_headers=False
    )
    server = uvicorn.Server(config)
    tasks.append(asyncio.create_task(server.serve()))
    await soon(lambda: server.started)
    stack = Stack(services, app, f"http://127.0.0.1:{port}")
    try:
        yield stack
    finally:
        server.should_exit = True
        await asyncio.gather(tasks[-1], return_exceptions=True)
        await stopped(tasks)
        await pool.close()
        await connect.close_quietly(connection)


async def _services(
    settings: Settings,
    pool: asyncpg.Pool[asyncpg.Record],
    positions: Positions,
    connection: Client,
) -> Services:
    store = JetStreamStore(connection)
    catch_up = CatchUp(pool, positions)
    await catch_up.start(connection)
    vault = Vault(connection, MasterKey.load_or_create(settings.data / "master.key"))
    numbers = Numbers(connection)
    hub = LiveHub(connection)
    writer = ConfigWriter(store, postgres_views(pool), catch_up, connection, 5.0)
    return Services(
        settings=settings,
        pool=pool,
        nats=connection,
        writer=writer,
        numbers=numbers,
        store=store,
        vault=vault,
        catch_up=catch_up,
        hub=hub,
        identity=None,
        tracer=Tracer("api", ""),
        launch_tools=LaunchTools(
            store=store,
            numbers=numbers,
            vault=vault,
            blobs=Blobs(connection),
            keys=LaunchKeys(connection, numbers),
            smart_hosts=smart_hosts.selection,
            manual=ManualProjects(settings.data / "projects"),
        ),
        settings_store=SettingsStore(pool, catch_up, vault),
    )


def _projectors(connection: Client, dsn: str) -> list[Any]:
    async def opened() -> Any:
        return await asyncpg.connect(dsn, **postgres.options(None))

    return [Projector(each, connection, opened).run() for each in PROJECTIONS]


async def _installed(pool: asyncpg.Pool[asyncpg.Record]) -> bool:
    try:
        return bool(await pool.fetchval("select count(*) from checkpoint") == len(PROJECTIONS))
    except asyncpg.PostgresError:
        return False
