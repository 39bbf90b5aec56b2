"""Where projections stand: schema, tables, checkpoint rows and alarms.

In Postgres beside the rows.
"""

from __future__ import annotations

from typing import TypeAlias

import asyncpg
from msgspec import Struct

from ops import clock
from ops.postgres import SCHEMA
from projections.projection import Projection

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_INSTALL_LOCK = 0x504C4159
"""Advisory lock: projectors that start together make the schema one after another."""
_BOOK_KEEPING = (
    (
        "CREATE TABLE IF NOT EXISTS checkpoint (projection text PRIMARY KEY, stream text NOT NULL,"
        " position bigint NOT NULL, version integer NOT NULL)"
    ),
    (
        "CREATE TABLE IF NOT EXISTS projection_state (projection text PRIMARY KEY,"
        " state text NOT NULL, reason text NOT NULL, position bigint NOT NULL,"
        " at timestamptz NOT NULL)"
    ),
    (
        "CREATE TABLE IF NOT EXISTS dead_letter (stream text NOT NULL, position bigint NOT NULL,"
        " job bigint, reason text NOT NULL, at timestamptz NOT NULL,"
        " PRIMARY KEY (stream, position))"
    ),
    "CREATE INDEX IF NOT EXISTS dead_letter_job ON dead_letter (job)",
)
BOOK_KEEPING = ("checkpoint", "projection_state", "dead_letter")
"""Tables that belong to no projection and stay when one is rebuilt."""


class Fenced(Exception):
    """The checkpoint stands elsewhere, and this projector starts again from there.

    Another one moved it, or Postgres died and lost the last commits.
    """


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A projection's row: the last position it has applied and the version of its tables."""

    position: int
    version: int


async def install(connection: Connection, projection: Projection, schema: str = SCHEMA) -> None:
    """Make schema, book-keeping and the projection's tables unless they are there."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _INSTALL_LOCK)
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        await connection.execute(f'SET LOCAL search_path TO "{schema}"')
        for statement in _BOOK_KEEPING:
            await connection.execute(statement)
        if await load(connection, projection.name) is not None:
            return
        for statement in projection.ddl():
            await connection.execute(statement)
        await connection.execute(
            "INSERT INTO checkpoint VALUES ($1, $2, 0, $3)",
            projection.name,
            projection.stream,
            projection.version,
        )


async def load(connection: Connection, name: str) -> Checkpoint | None:
    """Return a projection's checkpoint in the connection's schema; None before it is installed."""
    row = await connection.fetchrow(
        "SELECT position, version FROM checkpoint WHERE projection = $1", name
    )
    return None if row is None else Checkpoint(position=row["position"], version=row["version"])


async def move(connection: Connection, projection: Projection, old: int, new: int) -> None:
    """Move a checkpoint on condition that it still stands at ``old``; raises Fenced.

    Tables of another version are not this build's to write, so the version is a condition too.
    """
    done = await connection.execute(
        "UPDATE checkpoint SET position = $3"
        " WHERE projection = $1 AND position = $2 AND version = $4",
        projection.name,
        old,
        new,
        projection.version,
    )
    if done != "UPDATE 1":
        raise Fenced(projection.name)


async def raise_alarm(
    connection: Connection, name: str, state: str, reason: str, position: int
) -> None:
    """Note why a projection does not run; ``status`` shows it and writers refuse."""
    await connection.execute(
        "INSERT INTO projection_state VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (projection) DO UPDATE"
        " SET state = $2, reason = $3, position = $4, at = $5",
        name,
        state,
        reason,
        position,
        clock.now(),
    )


async def clear_alarm(connection: Connection, name: str) -> None:
    """Forget an alarm: the projection runs again."""
    await connection.execute("DELETE FROM projection_state WHERE projection = $1", name)
