"""From a work order to a granted attempt on disk, and from there to its execution."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from ops import clock, signals
from runners import claim, record
from runners.held import HeldAttempt
from runners.record import Key, Record
from runners.site import Site
from runners.start import Unstarted
from runners.steps import workspace
from schemas.work import Grant, JobSecrets, WorkOrder

IN_PROGRESS_S = 4.0
ASK_PAUSE_S = 1.0
"""A claim without a decision is asked again after this."""

Begin = Callable[[HeldAttempt, JobSecrets | Unstarted], None]
"""Sets the execution of an attempt going, or the report that it cannot start."""

_log = structlog.get_logger()
_secrets = msgspec.json.Decoder(JobSecrets)


async def take(site: Site, begin: Begin, order: WorkOrder, message: Msg) -> None:
    """Claim a reserved order; start it or drop it.

    The attempt is on disk before its claim can be granted: an agent that dies in between leaves
    behind that it asked, and the next one asks again.
    """
    now = clock.now()
    asked = Record(order=order, received=now, granted=now)
    async with _in_progress(message):
        with contextlib.suppress(ValueError, OSError):  # what is wrong shows again after the grant
            await asyncio.to_thread(record.write, site.jobs, asked, site.abilities)
        grant = await ask(site, asked.key)
    if not grant.granted:
        await drop(site, asked, grant)
        with contextlib.suppress(nats.errors.Error, OSError):
            await message.term()
        return
    held = HeldAttempt(granted(asked, grant), site.jobs / asked.ident)
    site.held.attempts[asked.key] = held
    told = await prepared(site, held, grant)
    signals.reach(signals.Point.SPEC_BEFORE_ACK)
    with contextlib.suppress(nats.errors.Error, OSError):
        # Without this ack the order comes again and is dropped then: we hold the attempt.
        await message.ack_sync()
    signals.reach(signals.Point.CLAIM_BEFORE_START)
    begin(held, told)


async def ask(site: Site, key: Key) -> Grant:
    """Ask until there is a decision: an answer that was lost may have been a grant."""
    grant = await claim.ask(site, key)
    while grant.retry:
        await asyncio.sleep(ASK_PAUSE_S)
        grant = await claim.ask(site, key)
    return grant


async def drop(site: Site, asked: Record, grant: Grant) -> None:
    """Forget an attempt that is not granted."""
    _log.info("claim.refused", attempt=asked.ident, why=grant.reason)
    await asyncio.to_thread(workspace.remove, site.jobs / asked.ident)
    site.held.release(asked.key, ended=False)


def granted(asked: Record, grant: Grant) -> Record:
    """Return the record of an attempt that is granted now."""
    return msgspec.structs.replace(asked, granted=clock.now(), nats_creds=grant.nats_creds)


async def prepared(site: Site, held: HeldAttempt, grant: Grant) -> JobSecrets | Unstarted:
    """Put a granted attempt on disk; returns its secrets, or why it cannot start here."""
    try:
        await asyncio.to_thread(record.write, site.jobs, held.record, site.abilities)
        return _unsealed(site, grant)
    except (ValueError, OSError) as error:
        return Unstarted("error", f"The runner cannot prepare the job: {error}")


def _unsealed(site: Site, grant: Grant) -> JobSecrets:
    return _secrets.decode(site.key.unseal(grant.sealed)) if grant.sealed else JobSecrets()


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
