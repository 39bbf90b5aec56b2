"""The servers under a deployment.

Real ones when the settings name them, else embedded ones, supervised.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from ops import nats_identity, settings
from ops.cli import embedded_nats, embedded_postgres
from ops.cli.deployment import Deployment
from ops.cli.storage_watch import StorageWatch
from ops.cli.supervise import Role
from ops.settings import Settings
from ops.stopping import stopped

STOP_GRACE_S = 30.0
PORT_MAX = 65535


@contextlib.asynccontextmanager
async def started(
    nats_port: int | None, postgres_port: int | None, told: Settings
) -> AsyncIterator[tuple[Settings, list[Role]]]:
    """Start what is not named from outside.

    Yields the completed settings and the supervised servers.

    ``PLAYLOG_NATS_URL`` and ``PLAYLOG_POSTGRES_DSN`` name real ones.
    """
    place = Deployment(told.data)
    environment = settings.environment(told)
    roles: list[Role] = []
    watching: list[asyncio.Task[None]] = []
    chosen = told
    try:
        if not settings.is_set("nats_url"):
            chosen = await _nats(
                chosen, place, nats_port or free_port(told.port), environment, roles
            )
            watch = StorageWatch(roles[-1], place.log / "nats.log", place.data / "nats")
            watching.append(asyncio.create_task(watch.run(), name="storage-watch"))
        if not settings.is_set("postgres_dsn"):
            chosen = await _postgres(
                chosen, place, postgres_port or free_port(told.port), environment, roles
            )
        yield chosen, roles
    finally:
        await stopped(watching)
        for role in reversed(roles):
            await role.stop(STOP_GRACE_S)


def free_port(*taken: int) -> int:
    """Return a loopback port that is free now and none of those that are spoken for."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port


def port_problem(host: str, port: int) -> str:
    """Return why ``port`` cannot be listened on; empty when it can, and for 0 (any port)."""
    if not 0 <= port <= PORT_MAX:
        return f"{port} is no port"
    try:
        kind, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return f"cannot listen on port {port} of {host}: {error.strerror}"
    return ""


def runner_environment(chosen: Settings, number: int) -> dict[str, str]:
    """Return the environment of the n-th embedded runner: its own directory, name and NATS user."""
    name = f"runner-{number}"
    data = chosen.data / name
    data.mkdir(mode=0o700, exist_ok=True)
    creds: Path | None = None
    if chosen.nats_signing_file is not None:
        creds = data / "nats.creds.json"
        identity = nats_identity.load(chosen.nats_signing_file)
        nats_identity.write_creds(creds, identity.runner_user(name, chosen.runner_groups))
    own = msgspec.structs.replace(
        chosen,
        data=data,
        node=name,
        nats_creds_file=creds or chosen.nats_creds_file,
        nats_signing_file=None,
        master_key_file=None,
        postgres_dsn="",
        postgres_password_file=None,
    )
    return settings.environment(own)


async def _nats(
    chosen: Settings, place: Deployment, port: int, environment: dict[str, str], roles: list[Role]
) -> Settings:
    directory = place.data / "nats"
    identity = nats_identity.load_or_create(directory / "identity.json")
    server = embedded_nats.prepare(directory, port, identity.auth_conf(directory / "jwt"))
    role = Role("nats", server.command, environment, place.log / "nats.log")
    role.start()
    roles.append(role)
    await asyncio.to_thread(embedded_nats.wait_until_ready, server)
    creds = directory / "control.creds.json"
    nats_identity.write_creds(creds, identity.control_user())
    return msgspec.structs.replace(
        chosen,
        nats_url=server.url,
        nats_creds_file=creds,
        nats_signing_file=directory / "identity.json",
    )


async def _postgres(
    chosen: Settings, place: Deployment, port: int, environment: dict[str, str], roles: list[Role]
) -> Settings:
    server = await asyncio.to_thread(embedded_postgres.prepare, place.data / "postgres", port)
    role = Role(
        "postgres",
        server.command,
        environment,
        place.log / "postgres.log",
        stop_signal=signal.SIGINT,
    )
    role.start()
    roles.append(role)
    await asyncio.to_thread(embedded_postgres.wait_until_ready, server)
    return msgspec.structs.replace(
        chosen, postgres_dsn=server.dsn, postgres_password_file=server.password_file
    )


def role_command(*arguments: str) -> tuple[str, ...]:
    """Return the command line of one of our own roles."""
    return (sys.executable, "-m", "ops.cli.main", *arguments)
