"""From a work order to a granted attempt on disk, and from there to its execution."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from ops import clock, signals
from runners import claim, order_spec, record
from runners.held import HeldAttempt
from runners.record import Key, Record
from runners.site import Site
from runners.spec import Secrets
from runners.start import Unstarted
from schemas.work import Grant, JobSecrets, WorkOrder

IN_PROGRESS_S = 5.0
ASK_TIMES = 6
"""A claim without an answer is asked again so often before the order goes back."""
ASK_PAUSE_S = 1.0
GIVE_BACK_DELAY_S = 5.0

Begin = Callable[[HeldAttempt, Secrets | Unstarted], None]
"""Sets the execution of an attempt going, or the report that it cannot start."""

_log = structlog.get_logger()
_secrets = msgspec.json.Decoder(JobSecrets)


async def take(site: Site, begin: Begin, order: WorkOrder, message: Msg) -> None:
    """Claim a reserved order; start it, drop it, or give it back."""
    received, key = clock.now(), (order.job, order.attempt)
    async with _in_progress(message):
        grant = await ask(site, key)
    log = _log.bind(job=order.job, attempt=order.attempt)
    if not grant.granted:
        site.held.release(key, ended=False)
        log.info("claim.refused", why=grant.reason, retry=grant.retry)
        with contextlib.suppress(nats.errors.Error, OSError):
            await (message.nak(delay=GIVE_BACK_DELAY_S) if grant.retry else message.term())
        return
    await _accept(site, begin, (order, received, grant), message)


async def ask(site: Site, key: Key) -> Grant:
    """Ask until there is a decision, for a while: an answer that was lost may have been a grant."""
    grant = await claim.ask(site, key)
    for _ in range(ASK_TIMES - 1):
        if not grant.retry:
            break
        await asyncio.sleep(ASK_PAUSE_S)
        grant = await claim.ask(site, key)
    return grant


def unsealed(site: Site, grant: Grant) -> Secrets:
    """Return a grant's secrets. Raises ValueError when they were not sealed to our key."""
    if not grant.sealed:
        return Secrets()
    return order_spec.secrets_of(_secrets.decode(site.key.unseal(grant.sealed)))


async def _accept(
    site: Site, begin: Begin, granted: tuple[WorkOrder, datetime, Grant], message: Msg
) -> None:
    """Put the attempt on disk, acknowledge, start: so redelivery can only come before a start."""
    order, received, grant = granted
    kept = Record(order=order, received=received, granted=clock.now(), nats_creds=grant.nats_creds)
    held = HeldAttempt(kept, site.jobs / kept.ident)
    site.held.attempts[kept.key] = held
    told: Secrets | Unstarted
    try:
        await asyncio.to_thread(record.write, site.jobs, kept)
        told = unsealed(site, grant)
    except (ValueError, OSError) as error:
        told = Unstarted("error", f"The runner cannot prepare the job: {error}")
    signals.reach(signals.Point.SPEC_BEFORE_ACK)
    with contextlib.suppress(nats.errors.Error, OSError):
        # Without this ack the order comes again and is dropped then: we hold the attempt.
        await message.ack_sync()
    signals.reach(signals.Point.CLAIM_BEFORE_START)
    begin(held, told)


@contextlib.asynccontextmanager
async def _in_progress(message: Msg) -> AsyncIterator[None]:
    async def tell() -> None:
        while True:
            await asyncio.sleep(IN_PROGRESS_S)
            with contextlib.suppress(nats.errors.Error, OSError):
                await message.in_progress()

    telling = asyncio.create_task(tell(), name="in-progress")
    try:
        yield
    finally:
        telling.cancel()
