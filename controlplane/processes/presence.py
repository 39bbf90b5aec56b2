"""Who is there: the runners' entries in the presence bucket, gone when they lapse."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client

from ops import direct
from schemas.streams import PRESENCE
from schemas.work import Presence

_decoder = msgspec.json.Decoder(Presence)


async def present_runners(connection: Client) -> dict[str, Presence]:
    """Return the presence of every runner that is there, by name."""
    found: dict[str, Presence] = {}
    for message in await direct.last_of_each(
        connection, f"KV_{PRESENCE.name}", f"$KV.{PRESENCE.name}.>"
    ):
        if message.data:
            presence = _decoder.decode(message.data)
            found[presence.runner] = presence
    return found
