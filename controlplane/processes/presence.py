"""Who is there: the runners' entries in the presence bucket, gone when they lapse."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import structlog
from nats.aio.client import Client

from ops import direct
from schemas import subjects
from schemas.streams import PRESENCE
from schemas.work import Presence

log = structlog.get_logger()

_decoder = msgspec.json.Decoder(Presence)


async def present_runners(connection: Client) -> dict[str, Presence]:
    """Return the presence of every runner that is there, by name.

    An entry that cannot be read, or is another runner's, counts as absence of that runner alone.
    """
    found: dict[str, Presence] = {}
    for message in await direct.last_of_each(
        connection, f"KV_{PRESENCE.name}", f"$KV.{PRESENCE.name}.>"
    ):
        if not message.data:
            continue
        try:
            presence = _decoder.decode(message.data)
        except msgspec.DecodeError as error:
            log.warning("presence cannot be read", entry=message.subject, why=str(error))
            continue
        if message.subject == subjects.kv(PRESENCE.name, subjects.token(presence.runner)):
            found[presence.runner] = presence
    return found


def held_by(present: Mapping[str, Presence]) -> dict[str, frozenset[tuple[int, int]]]:
    """Return which attempts each present runner holds."""
    return {name: frozenset(presence.running) for name, presence in present.items()}
