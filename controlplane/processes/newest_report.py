"""What an attempt has reported itself, read where its runner wrote it."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from controlplane.domain.reporting import Heard, heard
from ops import direct
from schemas import subjects
from schemas.output import StoredReport
from schemas.streams import REPORTS

_decoder = msgspec.json.Decoder(StoredReport)


async def heard_of(connection: Client, attempt: subjects.Attempt) -> Heard:
    """Return what an attempt's newest report says; the job may not show it yet.

    A report that nobody can read is as good as none: no transition comes of it.
    """
    try:
        message = await direct.last_by_leader(connection, REPORTS.name, subjects.report(attempt))
        return heard(_decoder.decode(message.data))
    except (NotFoundError, msgspec.DecodeError):
        return Heard.NOTHING
