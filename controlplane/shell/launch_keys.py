"""One job for one cause: a key names the cause, and whoever comes again gets the same job id."""

from __future__ import annotations

import hashlib

import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError, NotFoundError
from nats.js.errors import Error as JetStreamError

from controlplane.domain.errors import Unavailable
from controlplane.shell.numbers import UNIFIED_JOB, Numbers
from ops import direct
from schemas.streams import LAUNCH_KEYS

REMEMBERED = "24 hours"


class LaunchKeys:
    """Keys in their bucket; each lives for a day."""

    def __init__(self, connection: Client, numbers: Numbers) -> None:
        """Allot job ids from ``numbers``."""
        self._connection = connection
        self._numbers = numbers

    async def job_for(self, cause: str) -> tuple[int, bool]:
        """Return the job id of a cause and whether it is new; raises Unavailable."""
        digest = hashlib.sha256(cause.encode()).hexdigest()
        subject = f"$KV.{LAUNCH_KEYS.name}.{digest}"
        try:
            return await self._known(subject), False
        except NotFoundError:
            number = (await self._numbers.take(UNIFIED_JOB))[0]
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable("The launch keys are not available.") from error
        try:
            await self._connection.jetstream().publish(
                subject,
                str(number).encode(),
                headers={"Nats-Expected-Last-Subject-Sequence": "0"},
            )
        except APIError:
            return await self._known(subject), False
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable("The launch keys are not available.") from error
        return number, True

    async def _known(self, subject: str) -> int:
        message = await direct.last_on_subject(self._connection, f"KV_{LAUNCH_KEYS.name}", subject)
        return int(message.data)
