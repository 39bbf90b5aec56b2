"""A stream that ends before what was applied lost its tail: positions would be given out twice."""

from __future__ import annotations

from nats.aio.client import Client


class Truncated(Exception):
    """Tables hold more than the log does; they are not to be moved on or replaced."""


async def check(connection: Client, stream: str, position: int) -> None:
    """Raise Truncated when a stream ends before ``position``."""
    info = await connection.jetstream().stream_info(stream)
    if info.state.last_seq < position:
        raise Truncated(
            f"stream {stream} ends at {info.state.last_seq}, before what is applied ({position}):"
            " it was truncated"
        )
