"""Asks the control plane for one attempt. Nothing starts without its grant."""

from __future__ import annotations

import msgspec
import nats.errors

from runners.record import Key
from runners.site import Site
from schemas import subjects
from schemas.work import ClaimRequest, Grant

ANSWER_WITHIN_S = 5.0

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Grant)

NO_ANSWER = Grant(granted=False, retry=True, reason="the control plane gave no answer")


async def ask(site: Site, key: Key) -> Grant:
    """Return the answer about one attempt; asking again for an attempt that we hold is harmless."""
    job, attempt = key
    request = ClaimRequest(runner=site.name, job=job, attempt=attempt, sealing_key=site.key.public)
    try:
        answer = await site.nats.request(
            subjects.claim(site.name), _encoder.encode(request), timeout=ANSWER_WITHIN_S
        )
        return _decoder.decode(answer.data)
    except (nats.errors.Error, OSError, TimeoutError, msgspec.DecodeError):
        return NO_ANSWER


async def release(site: Site, key: Key) -> None:
    """Say that the record of an attempt is complete; its last report says so too, later read."""
    job, attempt = key
    told = ClaimRequest(runner=site.name, job=job, attempt=attempt, sealing_key=site.key.public)
    try:
        await site.nats.publish(subjects.released(site.name), _encoder.encode(told))
    except (nats.errors.Error, OSError):
        return
