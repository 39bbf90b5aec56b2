"""``playlog restore DIR``: a backup's log onto empty servers, and the proof that it is the same.

Read models are built from the restored log up to where they stood at the backup and compared with
the hashes taken then. Ids go on far behind the backup's: what was allotted after it is never given
out again.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from nats.aio.client import Client

from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.numbers import Numbers
from controlplane.shell.vault import MasterKey
from ops import connect, postgres, provision, settings, stream_archive
from ops.cli import backup, deployment, servers
from ops.cli.backup import Manifest, TableHash
from ops.cli.deployment import Deployment
from ops.postgres import SCHEMA
from ops.settings import Settings
from projections import rebuild
from projections.checkpoint import Connection
from projections.compare import TableDigest
from projections.main import PROJECTIONS
from schemas.streams import BUCKETS, STREAMS


async def run(data: Path | None, directory: Path, *, replace: bool) -> int:
    """Restore a backup; returns 1 when a table differs from the backup's.

    ``replace`` drops what the servers hold. Raises ValueError when they hold something, when the
    deployment is up or the master key is another one, ArchiveError for a damaged backup (nothing
    was touched then) and when the server refuses, OSError, NATS and Postgres errors as they are.
    """
    manifest = backup.read(directory)
    for archive in manifest.streams:
        stream_archive.check(archive, directory / backup.STREAMS)
    base = settings.read()
    place = Deployment(data or base.data)
    place.create()
    with deployment.locked(place):
        base = deployment.with_private_logins(msgspec.structs.replace(base, data=place.data))
        chosen = msgspec.structs.replace(
            base, master_key_file=base.master_key_file or place.master_key_file
        )
        _bring_secrets(chosen, manifest, directory)
        async with servers.started(None, None, chosen) as (complete, _):
            return await _restore(complete, manifest, directory, replace=replace)


def _bring_secrets(chosen: Settings, manifest: Manifest, directory: Path) -> None:
    """Put the backup's secret files where there are none; raises ValueError without a key."""
    for name, target in backup.secret_files(chosen).items():
        source = directory / backup.SECRETS / name
        if source.exists() and not target.exists():
            deployment.write_secret(target, source.read_text())
    path = chosen.master_key_file
    if not manifest.master_key or path is None:
        return
    if not path.exists():
        raise ValueError(
            f"the master key is not at {path}: put the backed-up deployment's there, or restore"
            " from a backup made with --with-secrets"
        )
    label = MasterKey.load_or_create(path).label
    if label != manifest.master_key:
        raise ValueError(f"{path} is {label}, the backup's secrets need {manifest.master_key}")


async def _restore(
    complete: Settings, manifest: Manifest, directory: Path, *, replace: bool
) -> int:
    connection = await connect.connect_nats(
        complete.nats_url, complete.nats_creds_file, "restore", patient=False
    )
    try:
        own = await postgres.connect_unhurried(
            complete.postgres_dsn, complete.postgres_password_file
        )
        try:
            await _clear(connection, own, replace=replace)
            await _load(connection, manifest, directory, complete.nats_replicas)
            return await _build(connection, own, manifest)
        finally:
            await own.close()
    finally:
        await connect.close_quietly(connection)


async def _clear(connection: Client, own: Connection, *, replace: bool) -> None:
    """Leave no stream and no read model of ours; raises ValueError unless that was asked for."""
    context = connection.jetstream()
    ours = {each.name for each in STREAMS} | {f"KV_{each.name}" for each in BUCKETS}
    there = [info for info in await context.streams_info() if info.config.name in ours]
    filled = sorted(str(info.config.name) for info in there if info.state.last_seq)
    tables = await own.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", SCHEMA)
    if not replace and (filled or tables):
        found = [*filled, *(["the read models in Postgres"] if tables else [])]
        raise ValueError(
            f"the servers hold a deployment already ({', '.join(found)}); --replace drops it"
        )
    for info in there:
        await context.delete_stream(str(info.config.name))
    await own.execute(f'DROP SCHEMA IF EXISTS "{SCHEMA}" CASCADE')


async def _load(connection: Client, manifest: Manifest, directory: Path, replicas: int) -> None:
    for archive in manifest.streams:
        await stream_archive.load(connection, archive, directory / backup.STREAMS)
    await provision.provision(connection, replicas=replicas)
    numbers = Numbers(connection)
    await numbers.raise_from_log(JetStreamStore(connection))
    await numbers.skip_lost()
    print(f"{len(manifest.streams)} streams restored as of {manifest.at}")


async def _build(connection: Client, own: Connection, manifest: Manifest) -> int:
    """Build the read models and compare them with the backup's; returns how many tables differ."""
    await own.execute(f'CREATE SCHEMA "{SCHEMA}"')
    different = 0
    print(f"{'projection':<10} {'table':<32} {'rows':>8}  sha256")
    for projection in PROJECTIONS:
        wanted = [
            each
            for each in manifest.tables
            if (each.projection, each.version) == (projection.name, projection.version)
        ]
        if not wanted:
            continue  # another build's tables: the projector makes this build's from the log
        made = await rebuild.build(projection, connection, own, wanted[0].position)
        different += sum(_tell(each, made[each.table]) for each in wanted)
    print(f"{len(manifest.tables)} tables, {different or 'none'} different from the backup")
    return 1 if different else 0


def _tell(wanted: TableHash, made: TableDigest) -> bool:
    """Print one table's comparison; True when it differs."""
    same = (wanted.rows, wanted.sha256) == (made.rows, made.sha256)
    what = f"{made.sha256}" if same else f"{wanted.sha256} != {made.sha256} DIFFERS"
    print(f"{wanted.projection:<10} {wanted.table:<32} {made.rows:>8}  {what}")
    return not same
