"""A stream that ends before what was applied lost its tail: positions would be given out twice."""

from __future__ import annotations

from nats.aio.client import Client

from ops.postgres import SCHEMA
from projections.checkpoint import Connection


class Truncated(RuntimeError):
    """Tables hold more than the log does; they are not to be moved on or replaced."""


async def check(connection: Client, stream: str, position: int) -> None:
    """Raise Truncated when a stream ends before ``position``."""
    info = await connection.jetstream().stream_info(stream)
    if info.state.last_seq < position:
        raise Truncated(
            f"stream {stream} ends at {info.state.last_seq}, before what is applied ({position}):"
            " it was truncated"
        )


async def check_all(connection: Client, postgres: Connection) -> None:
    """Raise Truncated when any stream ends before what the read models have applied of it."""
    if not await postgres.fetchval("SELECT to_regclass($1)", f"{SCHEMA}.checkpoint"):
        return
    rows = await postgres.fetch(
        f'SELECT stream, max(position) AS position FROM "{SCHEMA}".checkpoint'
        " GROUP BY stream ORDER BY stream"
    )
    found = []
    for row in rows:
        try:
            await check(connection, row["stream"], row["position"])
        except Truncated as error:
            found.append(str(error))
    if found:
        raise Truncated("; ".join(found))
