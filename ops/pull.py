"""Reading a stream in order with overlapping pulls on one inbox (``jetstream.md`` 8.

3.3 us a message).

nats-py offers only ``fetch``, four times slower. The consumer is ephemeral, acknowledges nothing
and is made anew after any error, from the last message that was handed over: nothing is missed or
repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import msgspec
import nats.errors
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from ops import clock, ids

log = structlog.get_logger()

EXPIRES_S = 30.0
HEARTBEAT_S = 1.0
QUIET_S = 3 * HEARTBEAT_S
"""A reader that hears nothing at all for so long takes the consumer for dead."""
RETRY_S = 0.2
REQUEST_TIMEOUT_S = 5.0
PLAIN_TOKENS = 9
"""Tokens of an ack subject without a JetStream domain."""
STREAM_NOT_FOUND = 10059
_NANO = 1_000_000_000


class StreamMessage(Struct, frozen=True):
    """One stored message: its stream sequence, subject, body and message id (empty without)."""

    sequence: int
    subject: str
    data: bytes
    id: str = ""


class Silent(Exception):
    """The server or the consumer is gone; the reader starts again."""


async def follow(
    connection: Client,
    stream: str,
    after: int,
    *,
    filters: Sequence[str] = (),
    batch: int = 1000,
) -> AsyncGenerator[list[StreamMessage], None]:
    """Yield the messages behind sequence ``after`` as they come, in order, for ever.

    Each list holds what has arrived, at most ``batch`` messages; an empty one says that nothing has
    for ``QUIET_S``, so that readers look after what else they hold. Errors and server restarts are
    survived. Raises NotFoundError when the stream does not exist.
    """
    position, heard = after, clock.monotonic()
    while True:
        puller = Puller(connection, stream, position, filters, batch)
        try:
            await puller.start()
            while True:
                messages = await puller.take(batch)
                position = messages[-1].sequence if messages else position
                yield messages
                heard = clock.monotonic()
        except NotFoundError:
            raise
        except (Silent, nats.errors.Error, JetStreamError, TimeoutError, OSError) as error:
            log.debug("reading again", stream=stream, position=position, error=repr(error))
            await asyncio.sleep(RETRY_S)
        finally:
            await puller.stop()
        if clock.monotonic() - heard >= QUIET_S:
            yield []
            heard = clock.monotonic()


async def read(
    connection: Client, stream: str, first: int, last: int, *, filters: Sequence[str] = ()
) -> AsyncIterator[list[StreamMessage]]:
    """Yield the stored messages with sequences ``first``..``last`` that match, then end.

    A message that is purged meanwhile is not waited for.
    """
    position = first - 1
    while position < last and position < (end := await _end(connection, stream, filters)):
        reader = follow(connection, stream, position, filters=filters)
        async with contextlib.aclosing(reader):
            async for messages in reader:
                if not messages:  # what is awaited may be there no more
                    break
                position = messages[-1].sequence
                wanted = [message for message in messages if message.sequence <= last]
                if wanted:
                    yield wanted
                if position >= min(last, end):
                    break


async def _end(connection: Client, stream: str, filters: Sequence[str]) -> int:
    """Return the sequence of the newest message that matches and is there; 0 when none is.

    The stream's own last sequence may be one that was purged, and never be delivered; asked for
    ``>`` the server looks at that one alone.
    """
    context = connection.jetstream()
    found = 0
    for pattern in filters or (await context.stream_info(stream)).config.subjects or ():
        with contextlib.suppress(NotFoundError):
            message = await context.get_last_msg(stream, pattern)
            found = max(found, message.seq or 0)
    return found


class Puller:
    """One ephemeral consumer with its inbox and its outstanding pulls."""

    def __init__(
        self, connection: Client, stream: str, after: int, filters: Sequence[str], batch: int
    ) -> None:
        """Read ``stream`` behind sequence ``after``."""
        self._connection = connection
        self._stream = stream
        self._after = after
        self._filters = filters
        self._batch = batch
        self._name = f"r{ids.new_id()[:16]}"
        self._arrived: deque[Msg] = deque()
        self._ready = asyncio.Event()
        self._heard = False
        self._outstanding = 0
        self._delivered = 0
        self._inbox = connection.new_inbox()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Make the consumer and ask for the first messages; raises JetStream and NATS errors."""
        await self._create()
        self._subscription = await self._connection.subscribe(
            self._inbox, cb=self._receive, pending_msgs_limit=0, pending_bytes_limit=0
        )
        await self._pull()

    async def stop(self) -> None:
        """Drop the inbox and the consumer; harmless when never started."""
        if self._subscription is None:
            return
        with contextlib.suppress(nats.errors.Error):
            await self._subscription.unsubscribe()
        with contextlib.suppress(nats.errors.Error, JetStreamError, TimeoutError):
            await self._connection.publish(
                f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}", b""
            )

    async def take(self, limit: int) -> list[StreamMessage]:
        """Return what has arrived; nothing after ``QUIET_S``. Raises Silent."""
        while True:
            found = self._drain(limit)
            if self._outstanding < self._batch // 2:
                await self._pull()
            if found or not await self._arrives():
                return found

    async def _arrives(self) -> bool:
        """Wait for what is more than a heartbeat; False when none came. Raises Silent."""
        self._ready.clear()
        self._heard = False
        try:
            async with asyncio.timeout(QUIET_S):  # wait_for swallows cancels
                await self._ready.wait()
        except TimeoutError:
            if not self._heard:
                raise Silent from None
            return False
        return True

    def _drain(self, limit: int) -> list[StreamMessage]:
        found: list[StreamMessage] = []
        while self._arrived and len(found) < limit:
            message = self._arrived.popleft()
            tokens = message.reply.split(".")
            stream_sequence, delivered = (5, 6) if len(tokens) == PLAIN_TOKENS else (7, 8)
            self._delivered += 1
            if int(tokens[delivered]) != self._delivered:
                raise Silent
            headers = message.headers
            found.append(
                StreamMessage(
                    int(tokens[stream_sequence]),
                    message.subject,
                    message.data,
                    headers.get("Nats-Msg-Id", "") if headers else "",
                )
            )
            self._outstanding -= 1
        return found

    async def _receive(self, message: Msg) -> None:
        self._heard = True
        if not message.reply.startswith("$JS.ACK") and message.headers:
            status = message.headers.get("Status")
            if status == "100":
                if self._has_all(message.headers):
                    return
                self._outstanding, self._delivered = 0, -1
            elif status == "408":
                self._outstanding = max(
                    0,
                    self._outstanding - int(message.headers.get("Nats-Pending-Messages", "0")),
                )
            else:
                self._outstanding, self._delivered = 0, -1
        else:
            self._arrived.append(message)
        self._ready.set()

    def _has_all(self, headers: dict[str, str]) -> bool:
        """Tell whether all has come that a heartbeat says was sent.

        What was on its way when a connection broke is sent by nobody again; the next message would
        tell, but there may be none for long.
        """
        sent = int(headers.get("Nats-Last-Consumer", "0"))
        return sent <= self._delivered + len(self._arrived)

    async def _pull(self) -> None:
        if self._delivered < 0:
            raise Silent
        wanted = self._batch - self._outstanding
        self._outstanding += wanted
        request = {
            "batch": wanted,
            "expires": int(EXPIRES_S * _NANO),
            "idle_heartbeat": int(HEARTBEAT_S * _NANO),
        }
        await self._connection.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}",
            msgspec.json.encode(request),
            reply=self._inbox,
        )

    async def _create(self) -> None:
        config = {
            "name": self._name,
            "ack_policy": "none",
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._after + 1,
            "mem_storage": True,
            "max_waiting": 512,
            "inactive_threshold": int(EXPIRES_S * _NANO),
            "num_replicas": 1,
            "replay_policy": "instant",
        }
        if self._filters:
            config["filter_subjects"] = list(self._filters)
        answer = await self._connection.request(
            f"$JS.API.CONSUMER.CREATE.{self._stream}.{self._name}",
            msgspec.json.encode(
                {"stream_name": self._stream, "config": config, "action": "create"}
            ),
            timeout=REQUEST_TIMEOUT_S,
        )
        error = msgspec.json.decode(answer.data).get("error")
        if error:
            if error.get("err_code") == STREAM_NOT_FOUND:
                raise NotFoundError(description=error.get("description"))
            raise Silent(error.get("description"))
