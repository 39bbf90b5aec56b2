"""Clusters of three nats-servers on this machine, whose leaders tests kill."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import nats.errors
import pytest
from nats.aio.client import Client

from ops import connect, provision
from ops.cli import embedded_nats
from tests.servers import free_port

SERVERS = 3


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
def servers() -> Iterator[Cluster]:
    """A cluster that holds nothing."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    made = Cluster(directory)
    try:
        for number in range(SERVERS):
            made.start(number)
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def cluster(servers: Cluster) -> AsyncIterator[tuple[Cluster, Client]]:
    """A cluster with every stream in three copies, and a connection."""
    connection = await connect.connect_nats(servers.url, None, "cluster")
    await provision.provision(connection, replicas=SERVERS)
    yield servers, connection
    await connect.close_quietly(connection)


async def leader(connection: Client, stream: str) -> str:
    """Return the name of the server that leads a stream; empty while there is none."""
    try:
        answer = await connection.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=2)
    except (nats.errors.Error, TimeoutError):
        return ""
    found = msgspec.json.decode(answer.data).get("cluster", {})
    return str(found.get("leader") or "")
