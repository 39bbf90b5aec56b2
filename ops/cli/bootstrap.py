"""What a deployment needs before its roles start: streams, counters, and the first objects."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec
from nats.aio.client import Client

from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.numbers import Numbers
from controlplane.shell.seed import seed, seed_definitions
from ops import connect, ids, postgres, provision, settings
from ops.cli import demo_repository as repository_of_demo
from ops.cli import deployment
from ops.cli.deployment import Deployment
from ops.postgres import SCHEMA
from ops.settings import Settings
from projections import truncation
from projections.truncation import Truncated
from schemas.streams import CONFIG, IDS, SNAPSHOTS

WAY_OUT = (
    "Nothing was written. Restore a backup (`playlog restore DIR --replace`), or go on from what"
    " is left of the log with `playlog up --accept-truncated`"
)


async def bootstrap(
    chosen: Settings,
    admin_password: Callable[[], str],
    demo_repository: Callable[[], str],
    *,
    accept_truncated: bool = False,
) -> None:
    """Provision the log and, where CONFIG is empty, append the first objects.

    ``admin_password`` and ``demo_repository`` (a URL, or empty for no demo objects) are asked only
    then. Raises Truncated when the log ends before what the read
    models have seen, unless that is accepted; NATS errors and ProvisionError.
    """
    connection = await connect.connect_nats(chosen.nats_url, chosen.nats_creds_file, "bootstrap")
    try:
        await provision.provision(connection, replicas=chosen.nats_replicas)
        store, numbers = JetStreamStore(connection), Numbers(connection)
        await _look_for_loss(connection, chosen, numbers, accept=accept_truncated)
        if await store.last_sequence(CONFIG.name) == 0:
            repository = demo_repository()
            await seed(store, numbers, chosen.admin_user, admin_password(), repository)
        elif await store.last_sequence(IDS.name) == 0:
            await numbers.raise_from_log(store)
        await seed_definitions(store, numbers)
    finally:
        await connect.close_quietly(connection)


async def _look_for_loss(
    connection: Client, chosen: Settings, numbers: Numbers, *, accept: bool
) -> None:
    """Compare the log's ends with what was made of it, before anything is appended.

    Accepting a loss drops what knows more than the log, to be made anew from what is left. A
    Postgres that does not answer is left to the projector, which compares too, but for an empty
    log: that may be a lost one.
    """
    try:
        own = await asyncpg.connect(
            chosen.postgres_dsn, **postgres.options(chosen.postgres_password_file)
        )
    except (OSError, TimeoutError, asyncpg.PostgresError):
        if await JetStreamStore(connection).last_sequence(CONFIG.name) == 0:
            raise
        return
    try:
        await truncation.check_all(connection, own)
    except Truncated as error:
        if not accept:
            raise Truncated(f"{error}. {WAY_OUT}") from error
        await own.execute(f'DROP SCHEMA "{SCHEMA}" CASCADE')
        await connection.jetstream().purge_stream(f"KV_{SNAPSHOTS.name}")
        await numbers.raise_from_log(JetStreamStore(connection))
        await numbers.skip_lost()
    finally:
        await own.close()


async def init(data: Path | None, password_file: Path | None, *, demo: bool) -> int:
    """Prepare servers for roles that are started one by one; repeating it changes nothing.

    Raises ValueError when the settings name no NATS, NATS errors when it does not answer.
    """
    told = settings.read()
    if not settings.is_set("nats_url"):
        raise ValueError("PLAYLOG_NATS_URL names no server; `playlog up` brings its own")
    told = msgspec.structs.replace(
        told, admin_password_file=password_file or told.admin_password_file
    )
    place = Deployment(data or told.data)
    place.create()
    probe = await connect.connect_nats(told.nats_url, told.nats_creds_file, "init", patient=False)
    await connect.close_quietly(probe)
    await bootstrap(
        told, lambda: admin_password(told, place), lambda: demo_repository(place, demo=demo)
    )
    print("streams and first objects are there")
    return 0


def demo_repository(place: Deployment, *, demo: bool) -> str:
    """Return where the demo project's repository is; empty for none, or where git is missing."""
    if not demo:
        return ""
    try:
        return repository_of_demo.make(place.data / "demo_project")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no demo objects: git does not work here ({error})", flush=True)
        return ""


def admin_password(told: Settings, place: Deployment) -> str:
    """Return the first administrator's password.

    From a file, the environment, or a new one shown once.
    """
    if told.admin_password_file is not None:
        return deployment.read_secret(told.admin_password_file)
    if told.admin_password:
        return told.admin_password
    password = ids.new_password()
    deployment.write_secret(place.admin_password_file, password)
    print(f"admin user: {told.admin_user}", flush=True)
    print(f"admin password (shown once): {password}", flush=True)
    return password
