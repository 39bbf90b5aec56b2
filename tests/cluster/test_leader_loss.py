"""Leaders of a cluster's streams are killed under load: what was acknowledged stands, once."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import nats.errors
import pytest
from nats.aio.client import Client

from controlplane.domain.errors import Rejected
from controlplane.shell.event_store import SubjectPosition
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.numbers import Numbers
from ops import connect, ids, provision
from ops.cli import embedded_nats
from schemas import subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.resource import ResourceCreated
from schemas.streams import CONFIG, IDS
from tests.factories import NOW
from tests.servers import free_port
from tests.waiting import passing, soon

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(240)]

SERVERS = 3
WRITERS = 4
WRITES = 60


class Cluster:
    """Three servers that know one another."""

    def __init__(self, directory: Path) -> None:
        """Choose ports."""
        self._directory = directory
        self._ports = [free_port() for _ in range(SERVERS)]
        self._routes = [free_port() for _ in range(SERVERS)]
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """All addresses, as the setting takes them."""
        return ",".join(f"nats://127.0.0.1:{port}" for port in self._ports)

    def start(self, number: int) -> None:
        """Start one server on its store."""
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes)
        cluster = (
            f'cluster {{ name: "c", listen: "127.0.0.1:{self._routes[number]}",'
            f" routes: [{routes}] }}"
        )
        directory = self._directory / str(number)
        server = embedded_nats.prepare(directory, self._ports[number], cluster)
        path = directory / "nats.conf"
        path.write_text(path.read_text().replace("server_name: playlog", f"server_name: s{number}"))
        self._running[number] = subprocess.Popen(server.command, stderr=subprocess.DEVNULL)

    def kill(self, name: str) -> int:
        """End the server of this name with SIGKILL; returns its number."""
        number = int(name.removeprefix("s"))
        process = self._running.pop(number)
        process.kill()
        process.wait()
        return number

    def stop(self) -> None:
        """End all."""
        for process in self._running.values():
            process.kill()
            process.wait()


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[Cluster, Client]]:
    """A cluster with every stream in three copies, and a connection."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    made = Cluster(directory)
    try:
        for number in range(SERVERS):
            made.start(number)
        connection = await connect.connect_nats(made.url, None, "cluster")

        async def provisioned() -> bool:
            try:
                await provision.provision(connection, replicas=SERVERS)
            except (provision.ProvisionError, nats.errors.Error, TimeoutError):
                return False  # the cluster has no leader yet
            return True

        await soon(provisioned, 90)
        yield made, connection
        await connect.close_quietly(connection)
    finally:
        made.stop()
        shutil.rmtree(directory, ignore_errors=True)


async def _leader(connection: Client, stream: str) -> str:
    """Return the name of the server that leads a stream; empty while there is none."""
    try:
        answer = await connection.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=2)
    except (nats.errors.Error, TimeoutError):
        return ""
    found = msgspec.json.decode(answer.data).get("cluster", {})
    return str(found.get("leader") or "")


async def test_leaders_killed_under_load_lose_and_repeat_nothing(
    cluster: tuple[Cluster, Client],
) -> None:
    """Acknowledged transactions stand once, each history in order; no id is given out twice."""
    servers, connection = cluster
    told: dict[str, list[str]] = {}
    numbers: list[int] = []

    async def writer(own: int) -> None:
        link = await connect.connect_nats(servers.url, None, f"writer-{own}")
        store, counter = JetStreamStore(link), Numbers(link)
        subject = subjects.config("label", own)
        done = told.setdefault(subject, [])
        while len(done) < WRITES:
            try:
                numbers.extend(await counter.take("label"))
                history = await store.load(subject)
                assert [each.context.id for each in history] == done
                name = ids.new_id()
                context = Context(id=name, at=NOW, actor=SYSTEM, correlation=name)
                event = ResourceCreated(kind="label", id=own, values={"name": name})
                expect = SubjectPosition(history[-1].sequence if history else 0)
                await store.append(subject, context, (event,), expect=expect)
            except Rejected:
                await passing(0.1)  # refused with nothing stored: a client's retry
                continue
            done.append(name)
        await connect.close_quietly(link)

    async def lose_leader(stream: str, after: int) -> None:
        await soon(lambda: sum(map(len, told.values())) > after, 120)
        while not (name := await _leader(connection, stream)):
            await passing(0.2)
        again = servers.kill(name)
        await passing(3)
        servers.start(again)
        await passing(2)

    writing = [asyncio.create_task(writer(number)) for number in range(1, WRITERS + 1)]
    await lose_leader(CONFIG.name, 60)
    await lose_leader(IDS.name, 120)
    await asyncio.gather(*writing)
    assert len(set(numbers)) == len(numbers)
    store = JetStreamStore(connection)
    for subject, done in told.items():
        assert [each.context.id for each in await store.load(subject)] == done
