"""``playlog backup DIR``: the log at recorded positions, while everything runs.

Postgres is not in it: read models are rebuilt from the log. ``docs/operations.md`` has the layout.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from controlplane.shell.vault import MasterKey
from ops import clock, connect, postgres, settings, stream_archive
from ops.cli import deployment, servers
from ops.cli.deployment import Deployment, client_settings
from ops.postgres import SCHEMA
from ops.settings import Settings
from ops.stream_archive import ArchiveError, StreamArchive
from projections import checkpoint
from projections.compare import table_digest
from projections.main import PROJECTIONS
from schemas import streams

FORMAT = 1
MANIFEST = "manifest.json"
STREAMS = "streams"
SECRETS = "secrets"
ORDER = (
    streams.JOBS.name,
    streams.CONFIG.name,
    streams.REPORTS.name,
    streams.OUTPUT.name,
    streams.ACCESS.name,
    streams.DEADLETTER.name,
    f"KV_{streams.LAUNCH_KEYS.name}",
    streams.BLOBS.name,
    streams.KEYS.name,
    streams.IDS.name,
)
"""Who refers comes before what is referred to, so that nothing saved lacks what it names.

Left out is what is made anew: orders, leases, presence, sessions, snapshots.
"""


class TableHash(Struct, frozen=True, kw_only=True):
    """What a table of a read model held when its projection stood at ``position``."""

    projection: str
    version: int
    position: int
    table: str
    rows: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup is; written last, so that a backup without one is none."""

    format: int
    version: str
    at: str
    master_key: str
    """Label of the master key that opens the secrets."""
    streams: tuple[StreamArchive, ...]
    tables: tuple[TableHash, ...]


async def run(data: Path | None, directory: Path, *, with_secrets: bool) -> int:
    """Save a deployment to an empty or new ``directory``; returns 0.

    One whose embedded servers are down is saved by starting them meanwhile. Raises ValueError when
    the directory holds something or the secrets are not here, ArchiveError when the server refuses,
    OSError and NATS errors as they are; nothing half-made remains.
    """
    if directory.exists() and any(directory.iterdir()):
        raise ValueError(f"{directory} is not empty")
    async with _servers(data) as told:
        await _run(told, directory, with_secrets=with_secrets)
    return 0


@contextlib.asynccontextmanager
async def _servers(data: Path | None) -> AsyncIterator[Settings]:
    """Yield how to reach the deployment's servers, which are started if need be."""
    told = client_settings(data)
    place = Deployment(told.data)
    if settings.is_set("nats_url") or place.is_up():
        yield told
        return
    with deployment.locked(place):
        async with servers.started(None, None, told) as (complete, _):
            yield complete


async def _run(told: Settings, directory: Path, *, with_secrets: bool) -> None:
    label = _label(told, with_secrets=with_secrets)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = await connect.connect_nats(
        told.nats_url, told.nats_creds_file, "backup", patient=False
    )
    try:
        manifest = await _save(told, connection, directory, label)
        if with_secrets:
            _keep_secrets(told, directory)
        _write(directory, manifest)
    except BaseException:
        for each in (STREAMS, SECRETS):
            shutil.rmtree(directory / each, ignore_errors=True)
        raise
    finally:
        await connect.close_quietly(connection)
    _print(manifest, directory, with_secrets=with_secrets)


def read(directory: Path) -> Manifest:
    """Return a backup's manifest; raises ArchiveError when there is none that this build reads."""
    path = directory / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise ArchiveError(f"{directory} holds no complete backup: {error}") from error
    if manifest.format != FORMAT:
        raise ArchiveError(f"{path} has format {manifest.format}, this build reads {FORMAT}")
    return manifest


async def _save(told: Settings, connection: Client, directory: Path, label: str) -> Manifest:
    """Read models' hashes first: what they stand at is then in the log that is saved."""
    at = clock.iso(clock.now())
    tables = await _hashes(told)
    place = directory / STREAMS
    place.mkdir(mode=0o700)
    saved = [await stream_archive.save(connection, name, place) for name in ORDER]
    missing = [name for name, each in zip(ORDER, saved, strict=True) if each is None]
    if missing:
        raise ArchiveError(f"the server has no stream {', '.join(missing)}")
    return Manifest(
        format=FORMAT,
        version=settings.VERSION,
        at=at,
        master_key=label,
        streams=tuple(each for each in saved if each is not None),
        tables=tables,
    )


async def _hashes(told: Settings) -> tuple[TableHash, ...]:
    """Digest every table and its projection's position, all of one moment."""
    own = await postgres.connect_unhurried(told.postgres_dsn, told.postgres_password_file)
    found: list[TableHash] = []
    try:
        await own.execute(f'SET search_path TO "{SCHEMA}"')
        async with own.transaction(isolation="repeatable_read", readonly=True):
            for projection in PROJECTIONS:
                stands = await checkpoint.load(own, projection.name)
                if stands is None or stands.version != projection.version:
                    continue
                for table in projection.tables():
                    digest = await table_digest(own, SCHEMA, table)
                    found.append(
                        TableHash(
                            projection=projection.name,
                            version=stands.version,
                            position=stands.position,
                            table=table,
                            rows=digest.rows,
                            sha256=digest.sha256,
                        )
                    )
    finally:
        await own.close()
    return tuple(found)


def secret_files(told: Settings) -> dict[str, Path]:
    """Return where the files are that no log holds, by their names in a backup."""
    found = {"identity.json": told.data / "nats" / "identity.json"}
    if told.master_key_file is not None:
        found["master.key"] = told.master_key_file
    return found


def _label(told: Settings, *, with_secrets: bool) -> str:
    path = told.master_key_file
    if path is None or not path.exists():
        if with_secrets:
            raise ValueError("--with-secrets: the master key's file is not on this machine")
        return ""
    return MasterKey.load_or_create(path).label


def _keep_secrets(told: Settings, directory: Path) -> None:
    for name, path in secret_files(told).items():
        if path.exists():
            deployment.write_secret(directory / SECRETS / name, path.read_text())


def _write(directory: Path, manifest: Manifest) -> None:
    """Write the manifest in one step, once everything that it names is on the disk."""
    for path in sorted(directory.rglob("*")):
        _sync(path)
    fresh = directory / f".{MANIFEST}"
    deployment.write_secret(fresh, msgspec.json.format(msgspec.json.encode(manifest)).decode())
    _sync(fresh)
    fresh.replace(directory / MANIFEST)
    _sync(directory)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _print(manifest: Manifest, directory: Path, *, with_secrets: bool) -> None:
    print(f"{'stream':<16} {'messages':>10} {'last':>10} {'bytes':>12}")
    for each in manifest.streams:
        print(f"{each.name:<16} {each.messages:>10} {each.last_sequence:>10} {each.bytes:>12}")
    print(f"{len(manifest.tables)} tables hashed")
    print(f"saved to {directory}")
    if not with_secrets:
        print("the master key is not in it: keep its file apart, secrets cannot be read without it")
