"""Ends an attempt: the order from the control plane, and what makes sure that it is obeyed."""

from __future__ import annotations

import asyncio

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from runners.held import HeldAttempt
from runners.site import Processes, Site
from schemas import subjects
from schemas.work import CANCEL_SIGNALLED, CANCEL_UNKNOWN, CancelRequest

GRACE_S = 15.0
"""A supervisor grants its job 10 s; who has not ended after this is asked again, then killed."""
LAST_WORD_S = 10.0
"""A supervisor that has written its last frame ends at once; nobody waits longer for it."""

_log = structlog.get_logger()
_decoder = msgspec.json.Decoder(CancelRequest)


async def listen(site: Site) -> Subscription:
    """Take cancel requests; the answer says whether the attempt is here.

    A request is what asks for an answer. Another runner can have the server send something here,
    but nothing that names a reply other than a delivery's acknowledgement (``ops.nats_grants``).
    """

    async def on_request(message: Msg) -> None:
        if not message.reply or message.reply.startswith("$JS."):
            _log.warning("cancel.not-a-request")
            return
        try:
            request = _decoder.decode(message.data)
        except msgspec.DecodeError:
            _log.warning("cancel.unreadable")
            return
        held = site.held.attempts.get((request.job, request.attempt))
        if held is not None:
            order(held)
        await message.respond(CANCEL_UNKNOWN if held is None else CANCEL_SIGNALLED)

    return await site.nats.subscribe(subjects.control(site.name, "cancel"), cb=on_request)


def order(held: HeldAttempt) -> None:
    """Signal the supervisor, or prevent that one is started; said again it changes nothing."""
    if held.cancel_wanted.is_set():
        return
    _log.info("attempt.cancel", attempt=held.record.ident)
    held.cancel_wanted.set()
    if held.handle is not None:
        held.handle.cancel()


async def enforce(processes: Processes, held: HeldAttempt) -> None:
    """Once a cancel is wanted see to it that the attempt ends."""
    await held.cancel_wanted.wait()
    await asyncio.sleep(GRACE_S)
    if held.handle is not None:
        held.handle.cancel()
    await asyncio.sleep(GRACE_S)
    await put_down(processes, held)


async def see_ended(processes: Processes, held: HeldAttempt, within_s: float = LAST_WORD_S) -> None:
    """Wait for the supervisor, whose last word a final frame is.

    One that goes on has not said it: the job has, and both are ended.
    """
    if held.handle is None:
        return
    try:
        async with asyncio.timeout(within_s):
            await held.handle.wait()
    except TimeoutError:
        _log.error("attempt.goes-on", attempt=held.record.ident)
        await put_down(processes, held)


async def put_down(processes: Processes, held: HeldAttempt) -> None:
    """Kill the supervisor and every process of the attempt, wherever it hangs."""
    if held.handle is not None:
        held.handle.kill()
    await asyncio.to_thread(processes.sweep, held.directory)
