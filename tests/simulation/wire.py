"""A runner's connection to the simulated server: what its agent uses of nats-py, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import PubAck, RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from tests.simulation.log import Back, Server
from tests.simulation.loop import Loop
from tests.simulation.network import Network
from tests.simulation.scheduler import Process
from tests.simulation.streams import MISSING, Answer, Headers

Route = Callable[[Process, str, bytes, Back | None], bool]
"""Takes a message that is not for the server itself; False when it is."""
Hears = Callable[[Msg], Coroutine[Any, Any, None]]


class Subscription:
    """What ``subscribe`` returns."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    async def unsubscribe(self) -> None:
        """Hear no more."""
        self._end()


class Wire:
    """One connection of one life of an agent; it reconnects by itself until it is closed."""

    def __init__(self, loop: Loop, process: Process, server: Server, network: Network) -> None:
        self._loop = loop
        self._process = process
        self._server = server
        self._network = network
        self._heard: dict[str, Hears] = {}
        self._asked: dict[str, Back] = {}
        self._number = 0
        self.closed = asyncio.Event()
        """Set when it has ended for good."""
        self.route: Route = lambda *_: False

    # -- what nats-py has --------------------------------------------------------------------

    def new_inbox(self) -> str:
        """A subject that nobody else uses."""
        self._number += 1
        return f"_INBOX.{self._number}"

    async def subscribe(self, subject: str, cb: Hears) -> Subscription:
        """Hear a subject, or all below it."""
        heard = subject.removesuffix("*")
        self._heard[heard] = cb
        return Subscription(lambda: self._heard.pop(heard, None) and None)

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Headers | None = None
    ) -> None:
        """Send a message."""
        answer = partial(self.deliver, reply) if reply else None
        self._send(subject, payload, headers or {}, answer)

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 1.0,
        headers: Headers | None = None,
    ) -> Msg:
        """Send a message and wait for its answer."""
        future = self._loop.create_future()

        def answered(headers: Headers, body: bytes, reply: str) -> None:
            message = Msg(self, subject, reply, body, dict(headers))  # type: ignore[arg-type]
            self._loop.call_soon(_give, future, message)

        self._send(subject, payload, headers or {}, answered)
        try:
            return await asyncio.wait_for(future, timeout)
        except TimeoutError as error:
            raise nats.errors.TimeoutError from error

    def jetstream(self, timeout: float = 5.0) -> JetStream:
        """Its streams."""
        return JetStream(self, timeout)

    async def flush(self) -> None:
        """Nothing waits here."""

    async def close(self) -> None:
        """End."""
        self.end()

    # -- the simulation's side ---------------------------------------------------------------

    def end(self) -> None:
        """Be closed for good."""
        self._heard.clear()
        self.closed.set()

    def deliver(self, subject: str, headers: Headers, body: bytes, reply: str) -> None:
        """A message has come."""
        for heard, callback in self._heard.items():
            if subject == heard or (heard.endswith(".") and subject.startswith(heard)):
                message = Msg(self, subject, reply, body, dict(headers))  # type: ignore[arg-type]
                self._loop.call_soon(self._begin, callback, message)
                return

    def ask(self, subject: str, body: bytes, answer: Back) -> None:
        """Somebody asks who is connected here; the answer goes to ``answer``."""
        reply = self.new_inbox()
        self._asked[reply] = answer
        self.deliver(subject, {}, body, reply)

    def _begin(self, callback: Hears, message: Msg) -> None:
        self._loop.create_task(callback(message))

    def _send(self, subject: str, body: bytes, headers: Headers, answer: Back | None) -> None:
        if self.closed.is_set():
            raise nats.errors.ConnectionClosedError
        asked = self._asked.pop(subject, None)
        if asked is not None:
            asked({}, body, "")
        elif not self.route(self._process, subject, body, answer):
            self._to_server(subject, body, headers, answer)

    def _to_server(self, subject: str, body: bytes, headers: Headers, answer: Back | None) -> None:
        def back(headers: Headers, body: bytes, reply: str) -> None:
            what = f"{subject}: the server's word to {self._process.name}"
            assert answer is not None
            carried = partial(answer, headers, body, reply)
            self._network.send(self._server, self._process, what, carried)

        def arrived() -> None:
            self._server.serve(subject, body, headers, back if answer else None)

        what = f"{self._process.name} says {subject} {body[:4].decode(errors='replace')}"
        self._network.send(self._process, self._server, what, arrived)


class JetStream:
    """A connection's streams."""

    def __init__(self, wire: Wire, timeout: float) -> None:
        self._wire = wire
        self._timeout = timeout

    async def publish(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float | None = None,
        headers: Headers | None = None,
    ) -> PubAck:
        """Store a message. Raises APIError, nats.errors.TimeoutError."""
        answer = await self._wire.request(subject, payload, timeout or self._timeout, headers or {})
        told = answer_of(answer)
        if told.error:
            raise APIError(code=400, err_code=told.error, description="refused")
        return PubAck(stream="", seq=told.sequence)

    async def get_last_msg(self, stream: str, subject: str, direct: bool) -> RawStreamMsg:  # noqa: FBT001 - nats-py's
        """Return a subject's last message. Raises NotFoundError, nats.errors.TimeoutError."""
        wanted = f"$JS.API.DIRECT.GET.{stream}.{subject}"
        told = answer_of(await self._wire.request(wanted, b"", self._timeout))
        if told.headers.get("Status") == MISSING:
            raise NotFoundError
        return RawStreamMsg(
            subject=subject, seq=told.sequence, data=told.body, headers=told.headers
        )


def _give(future: asyncio.Future[Msg], message: Msg) -> None:
    if not future.done():
        future.set_result(message)


def answer_of(message: Msg) -> Answer:
    """What the server says, out of the message that carries it."""
    headers: dict[str, Any] = dict(message.headers or {})
    sequence, error = int(headers.pop("sequence", 0)), int(headers.pop("error", 0))
    return Answer(sequence=sequence, error=error, body=message.data, headers=headers)
