"""``playlog up``: every role on one machine, supervised.

With embedded servers unless real ones are named.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import msgspec
from msgspec import Struct

from ops import settings
from ops.cli import bootstrap, deployment, ready, servers
from ops.cli.deployment import Deployment, State, with_private_logins
from ops.cli.supervise import Role
from ops.settings import Settings

STOP_GRACE_S = {"api": 10.0, "dispatcher": 10.0, "projector": 10.0}
RUNNER_GRACE_S = 15.0


class Options(Struct, frozen=True, kw_only=True):
    """The flags of ``playlog up``."""

    data: Path | None
    host: str | None
    port: int | None
    runners: int
    admin_password_file: Path | None
    nats_port: int | None
    postgres_port: int | None
    accept_truncated: bool
    demo: bool


async def run(options: Options) -> int:
    """Start everything, print ``ready <url>``, supervise until SIGTERM or SIGINT; returns 0.

    Raises ValueError when another ``up`` holds the data directory or a flag does not fit, OSError
    for what the system refuses, Truncated for a log that lost its end.
    """
    base = _with_flags(settings.read(), options)
    _check(options, base)
    place = Deployment(base.data)
    place.create()
    with deployment.locked(place):
        base = with_private_logins(base)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        chosen = msgspec.structs.replace(
            base,
            data=place.data,
            port=base.port or servers.free_port(),
            master_key_file=base.master_key_file or place.master_key_file,
        )
        async with servers.started(options.nats_port, options.postgres_port, chosen) as running:
            complete, below = running
            first = bootstrap.bootstrap(
                complete,
                lambda: bootstrap.admin_password(base, place),
                lambda: bootstrap.demo_repository(place, demo=options.demo),
                accept_truncated=options.accept_truncated,
            )
            if not await _unless(stop, first):
                return 0
            async with _roles(options.runners, complete, place, below):
                await _until_stopped(complete, options.runners, place, stop)
    return 0


def _with_flags(told: Settings, options: Options) -> Settings:
    """Return the settings with the flags over them."""
    source = options.admin_password_file or told.admin_password_file
    return msgspec.structs.replace(
        told,
        data=options.data or told.data,
        host=options.host or told.host,
        port=told.port if options.port is None else options.port,
        admin_password_file=source,
    )


def _check(options: Options, told: Settings) -> None:
    """Refuse flags that cannot work before anything is started."""
    if options.runners < 0:
        raise ValueError(f"--runners: {options.runners} is less than none")
    for flag, host, port in (
        ("--port", told.host, told.port),
        ("--nats-port", "127.0.0.1", options.nats_port or 0),
        ("--postgres-port", "127.0.0.1", options.postgres_port or 0),
    ):
        problem = servers.port_problem(host, port)
        if problem:
            raise ValueError(f"{flag}: {problem}")


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Return True when the work is done, False when the stop came first and ended it."""
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    done = working.done()
    for task in (working, stopping):
        task.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    with contextlib.suppress(asyncio.CancelledError):
        await working
    return done


async def _until_stopped(
    chosen: Settings, runners: int, place: Deployment, stop: asyncio.Event
) -> None:
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


@contextlib.asynccontextmanager
async def _roles(
    runners: int, chosen: Settings, place: Deployment, below: list[Role]
) -> AsyncIterator[None]:
    """Run api, projector, dispatcher and runners; stop them in the order that loses nothing."""
    shared = settings.environment(chosen)
    control = {
        name: Role(name, servers.role_command(name), shared, place.log / f"{name}.log")
        for name in ("projector", "dispatcher", "api")
    }
    agents = [
        Role(
            f"runner-{number}",
            servers.role_command("runner"),
            servers.runner_environment(chosen, number),
            place.log / f"runner-{number}.log",
        )
        for number in range(1, runners + 1)
    ]
    own = [*control.values(), *agents]

    def write() -> None:
        place.write_state(_state(chosen, [*below, *own]))

    for role in (*below, *own):
        role.changed = write
    for role in own:
        role.start()
    write()
    try:
        yield
    finally:
        await control["api"].stop(STOP_GRACE_S["api"])
        await control["dispatcher"].stop(STOP_GRACE_S["dispatcher"])
        await asyncio.gather(*(agent.stop(RUNNER_GRACE_S) for agent in agents))
        await control["projector"].stop(STOP_GRACE_S["projector"])


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
