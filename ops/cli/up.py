"""``playlog up``: every role on one machine, supervised, with embedded servers unless real ones are named."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from ops import clock, ids, settings
from ops.cli import bootstrap, deployment, ready, servers
from ops.cli.deployment import Deployment, State
from ops.cli.supervise import Role
from ops.settings import Settings

STOP_GRACE_S = {"api": 10.0, "dispatcher": 10.0, "projector": 10.0}
RUNNER_GRACE_S = 15.0


class Options(Struct, frozen=True, kw_only=True):
    """The flags of ``playlog up``."""

    data: Path | None
    host: str
    port: int
    runners: int
    admin_password_file: Path | None
    nats_port: int | None
    postgres_port: int | None


async def run(options: Options) -> int:
    """Start everything, print ``ready <url>``, supervise until SIGTERM or SIGINT; returns 0.

    Raises ValueError when another ``up`` holds the data directory or a flag does not fit.
    """
    base = settings.read()
    place = Deployment(options.data or base.data)
    place.create()
    with _locked(place):
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        chosen = msgspec.structs.replace(
            base,
            data=place.data,
            host=options.host,
            port=options.port or _free_port(options.host),
            master_key_file=base.master_key_file or place.master_key_file,
        )
        async with servers.started(options.nats_port, options.postgres_port, chosen) as ready_made:
            await bootstrap.bootstrap(ready_made, lambda: _admin_password(options, base, place))
            await _supervise(options.runners, ready_made, place, stop)
    return 0


@contextlib.contextmanager
def _locked(place: Deployment) -> Iterator[None]:
    with place.lock_file.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another `playlog up` runs on {place.data}"
            raise ValueError(message) from error
        yield


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _admin_password(options: Options, base: Settings, place: Deployment) -> str:
    """Return the first administrator's password: from the flag, the environment, or a new one shown once."""
    source = options.admin_password_file or base.admin_password_file
    if source is not None:
        return deployment.read_secret(source)
    if base.admin_password:
        return base.admin_password
    password = ids.new_password()
    deployment.write_secret(place.admin_password_file, password)
    print(f"admin user: {base.admin_user}", flush=True)
    print(f"admin password (shown once): {password}", flush=True)
    return password


async def _supervise(
    runners: int, chosen: Settings, place: Deployment, stop: asyncio.Event
) -> None:
    async with _roles(runners, chosen, place) as roles:
        url = f"http://{chosen.host}:{chosen.port}"
        waiting = asyncio.create_task(ready.wait(url, runners))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            problem = waiting.result()
            if problem:
                print(f"playlog: {problem}; logs: {place.log}", file=sys.stderr, flush=True)
            else:
                print(f"ready {url}", flush=True)
            await stopping
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        del roles


@contextlib.asynccontextmanager
async def _roles(runners: int, chosen: Settings, place: Deployment) -> AsyncIterator[list[Role]]:
    """Run api, projector, dispatcher and runners; stop them in the order that loses nothing."""
    shared = settings.environment(chosen)
    roles = [
        Role(name, [name], shared, place.log / f"{name}.log")
        for name in ("projector", "dispatcher", "api")
    ]
    roles += [
        Role(f"runner-{number}", ["runner"], env, place.log / f"runner-{number}.log")
        for number in range(1, runners + 1)
        if (env := await servers.runner_environment(chosen, number))
    ]

    def write() -> None:
        place.write_state(_state(chosen, roles))

    for role in roles:
        role.changed = write
        role.start()
    write()
    try:
        yield roles
    finally:
        begun = clock.monotonic()
        by_name = {role.name: role for role in roles}
        await by_name["api"].stop(STOP_GRACE_S["api"])
        await by_name["dispatcher"].stop(STOP_GRACE_S["dispatcher"])
        await asyncio.gather(
            *(role.stop(RUNNER_GRACE_S) for role in roles if role.name.startswith("runner"))
        )
        await by_name["projector"].stop(STOP_GRACE_S["projector"])
        write()
        print(f"stopped in {clock.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)


def _state(chosen: Settings, roles: list[Role]) -> State:
    return State(
        http=f"http://{chosen.host}:{chosen.port}",
        nats_url=chosen.nats_url,
        nats_creds_file=_text(chosen.nats_creds_file),
        postgres_dsn=chosen.postgres_dsn,
        postgres_password_file=_text(chosen.postgres_password_file),
        roles=tuple(role.state for role in roles),
    )


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
