"""Real servers for tests: one Postgres a test process, one nats-server a test that asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from ops import ids
from ops.cli import embedded_nats, embedded_postgres

PORTS = (12_000, 32_000)
"""Below the range of ports that Linux gives out."""


def free_port() -> int:
    """Return a loopback port that is free now, and that the system gives to nobody by itself.

    It is bound later only: one of those that are given out could be somebody else's by then.
    """
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class NatsServer:
    """A nats-server that a test can kill and start again on the same store and port."""

    def __init__(self, directory: Path, auth: str = "") -> None:
        """Use ``directory`` for its store; ``auth`` as ``embedded_nats.prepare`` takes it."""
        self.directory = directory
        self._auth = auth
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it greets."""
        server = embedded_nats.prepare(self.directory, self._port, self._auth)
        self._process = subprocess.Popen(server.command, stderr=subprocess.DEVNULL)
        embedded_nats.wait_until_ready(server)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it with SIGTERM."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None


class PostgresServer:
    """A Postgres that a test can kill and start again."""

    def __init__(self, directory: Path) -> None:
        """Make the cluster below ``directory``."""
        self._directory = directory
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.dsn = ""
        self.password = ""

    @property
    def pid(self) -> int:
        """Its process, all others below it."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        server = embedded_postgres.prepare(self._directory, self._port)
        self._process = subprocess.Popen(server.command, stderr=subprocess.DEVNULL)
        embedded_postgres.wait_until_ready(server)
        self.password = server.password_file.read_text()
        self.dsn = server.dsn.replace("playlog@", f"playlog:{self.password}@")

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it at once, cleanly."""
        self._end(signal.SIGINT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None


@pytest.fixture
def directory() -> Iterator[Path]:
    """A private directory with a short path, for servers with sockets."""
    path = Path(tempfile.mkdtemp(prefix="pl-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def nats_server(directory: Path) -> Iterator[NatsServer]:
    """A running nats-server of the test's own, without accounts."""
    server = NatsServer(directory / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nats_url(nats_server: NatsServer) -> str:
    """Address of the test's nats-server."""
    return nats_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The Postgres of this test process."""
    path = Path(tempfile.mkdtemp(prefix="pl-"))
    server = PostgresServer(path / "pg")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def postgres_dsn(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """DSN (password included) of a fresh database."""
    name = f"t{ids.new_id()}"
    connection = await asyncpg.connect(postgres_server.dsn)
    await connection.execute(f"create database {name}")
    yield postgres_server.dsn.rsplit("/", 1)[0] + f"/{name}"
    await asyncio.wait_for(connection.execute(f"drop database {name} with (force)"), 20)
    await connection.close()
