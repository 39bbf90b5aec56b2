"""Tells that this runner lives, what it runs and how full it is: an entry that lapses by itself."""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from ops import clock
from runners.insist import DISTURBED
from runners.site import Site
from schemas import streams, subjects
from schemas.work import Presence

_log = structlog.get_logger()
_encoder = msgspec.json.Encoder()


def presence(site: Site) -> Presence:
    """Return the state of this runner now."""
    held = site.held
    return Presence(
        runner=site.name,
        at=clock.now(),
        sealing_key=site.key.public,
        running=held.running,
        used=held.used,
        journal_bytes=sum(each.unpublished_bytes for each in held.attempts.values()),
    )


async def beat(site: Site, every_s: float, ttl_s: int) -> None:
    """Renew the entry until cancelled."""
    subject = f"$KV.{streams.PRESENCE.name}.{subjects.token(site.name)}"
    jetstream = site.nats.jetstream()
    while True:
        body = _encoder.encode(presence(site))
        try:
            await jetstream.publish(
                subject, body, headers={"Nats-TTL": str(ttl_s)}, timeout=every_s
            )
        except DISTURBED as error:
            _log.info("presence.waiting", why=repr(error))
        await asyncio.sleep(every_s)
