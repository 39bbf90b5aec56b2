"""One job for one cause: a key names the cause, and whoever comes again gets the same job id."""

from __future__ import annotations

import hashlib

import nats.errors
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import APIError, NotFoundError
from nats.js.errors import Error as JetStreamError

from controlplane.domain.errors import Refused, Unavailable
from controlplane.shell.numbers import UNIFIED_JOB, Numbers
from ops import direct
from ops.pull import StreamMessage
from schemas.streams import LAUNCH_KEYS

REMEMBERED = "24 hours"
UNPROCESSABLE = 422
KEY_TAKEN = (
    f"This Idempotency-Key was used for another request in the last {REMEMBERED};"
    " use a new key for a new request."
)
UNAVAILABLE = "The launch keys are not available."
_STREAM = f"KV_{LAUNCH_KEYS.name}"


class Request(Struct, frozen=True, kw_only=True):
    """A request that launches one job however often it comes."""

    cause: str
    mark: str = ""
    """What it asks for, digested: another request may not come under the same cause."""


class LaunchKeys:
    """Keys in their bucket; each lives for a day."""

    def __init__(self, connection: Client, numbers: Numbers) -> None:
        """Allot job ids from ``numbers``."""
        self._connection = connection
        self._numbers = numbers

    async def job_for(self, cause: str) -> tuple[int, bool]:
        """Return the job id of a cause and whether it is new; raises Unavailable."""
        return await self._job(Request(cause=cause))

    async def job_of(self, request: Request) -> int:
        """Return the job id of a request; raises Unavailable, and Refused when its key is taken."""
        return (await self._job(request))[0]

    async def known(self, request: Request) -> int | None:
        """Return the job id that a request had before; None for a new one, raises as job_of."""
        try:
            found = await direct.last_by_leader(self._connection, _STREAM, _subject(request))
        except NotFoundError:
            return None
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable(UNAVAILABLE) from error
        return _number(found, request)

    async def _job(self, request: Request) -> tuple[int, bool]:
        subject = _subject(request)
        try:
            return _number(
                await direct.last_on_subject(self._connection, _STREAM, subject), request
            ), False
        except NotFoundError:
            number = (await self._numbers.take(UNIFIED_JOB))[0]
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable(UNAVAILABLE) from error
        try:
            await self._connection.jetstream().publish(
                subject,
                f"{number} {request.mark}".encode(),
                headers={"Nats-Expected-Last-Subject-Sequence": "0"},
            )
        except APIError:
            if (known := await self.known(request)) is None:
                raise Unavailable(UNAVAILABLE) from None
            return known, False
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable(UNAVAILABLE) from error
        return number, True


def _subject(request: Request) -> str:
    return f"$KV.{LAUNCH_KEYS.name}.{hashlib.sha256(request.cause.encode()).hexdigest()}"


def _number(message: StreamMessage, request: Request) -> int:
    number, _, mark = message.data.decode().partition(" ")
    if mark and request.mark and mark != request.mark:
        raise Refused({"detail": KEY_TAKEN}, UNPROCESSABLE)
    return int(number)
