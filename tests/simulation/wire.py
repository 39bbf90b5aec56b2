"""A connection to the simulated server: what programs use of nats-py, and who hears whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple, cast

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from tests.simulation.loop import Loop
from tests.simulation.network import Network
from tests.simulation.scheduler import Process
from tests.simulation.server import Server
from tests.simulation.streams import Headers, matches

NO_RESPONDERS = "503"
Hears = Callable[[Msg], Coroutine[Any, Any, None]]


class Message(NamedTuple):
    """What a subscriber gets."""

    subject: str
    headers: dict[str, str]
    body: bytes
    reply: str


class Hub:
    """Brings each message to the server or to the connections that have subscribed to it."""

    def __init__(self, server: Server, network: Network) -> None:
        self._server = server
        self._network = network
        self._wires: list[Wire] = []
        self.said: Callable[[Process, str, bytes], None] = lambda *_: None
        """Told of every message as it is sent."""
        self.heard: Callable[[Process, str, bytes], None] = lambda *_: None
        """Told of every message to a subscriber as it arrives."""

    def away(self, process: Process) -> bool:
        """Tell whether nothing reaches a process."""
        return self._network.away(process)

    def add(self, wire: Wire) -> None:
        """Have one more connection; those of dead processes are gone."""
        self._wires = [each for each in self._wires if each.stands()]
        self._wires.append(wire)

    def send(
        self, sender: Process, subject: str, body: bytes, headers: Headers, reply: str
    ) -> None:
        """Carry a message from a process to whoever it is for."""
        self.said(sender, subject, body)
        back = partial(self._answer, subject, reply) if reply else None
        if self._server.takes(subject):
            act = partial(self._server.serve, subject, body, headers, back)
            self._network.send(sender, self._server, f"{sender.name} says {subject}", act)
            return
        found = self._subscribers(subject)
        if not found and back is not None:
            back({"Status": NO_RESPONDERS}, b"", "")
        for wire in found:
            act = partial(self._arrives, wire, Message(subject, dict(headers), body, reply))
            label = f"{sender.name} says {subject} to {wire.process.name}"
            self._network.send(sender, wire.process, label, act)

    def _answer(
        self,
        asked: str,
        inbox: str,
        headers: Headers,
        body: bytes,
        reply: str,
        subject: str = "",
    ) -> None:
        """Carry the server's word; what a reader gets comes in order, as over one connection."""
        for wire in self._subscribers(inbox):
            message = Message(subject or inbox, dict(headers), body, reply)
            act = partial(wire.deliver, inbox, message)
            label = f"answer to {wire.process.name} about {asked}"
            carry = self._network.send if wire.awaits(inbox) else self._network.stream
            carry(self._server, wire.process, label, act)

    def _arrives(self, wire: Wire, message: Message) -> None:
        self.heard(wire.process, message.subject, message.body)
        wire.deliver(message.subject, message)

    def _subscribers(self, subject: str) -> list[Wire]:
        """Return who hears a subject, one of each queue group."""
        found, queues = [], dict[str, list[Wire]]()
        for wire in self._wires:
            if wire.stands():
                for subscription in wire.heard(subject):
                    if subscription.queue:
                        queues.setdefault(subscription.queue, []).append(wire)
                    else:
                        found.append(wire)
        return [*found, *(self._network.random.choice(each) for each in queues.values())]


class Subscription:
    """What ``subscribe`` returns."""

    def __init__(self, wire: Wire, pattern: str, queue: str, hears: Hears) -> None:
        self.pattern = pattern
        self.queue = queue
        self.hears = hears
        self._wire = wire

    async def unsubscribe(self) -> None:
        """Hear no more."""
        self._wire.drop(self)


class Wire:
    """One connection of one life of a process; it reconnects by itself until it is closed."""

    def __init__(self, loop: Loop, process: Process, hub: Hub, number: int = 0) -> None:
        self.process = process
        self._life = process.life
        self._loop = loop
        self._hub = hub
        self._name = f"{process.name.replace(' ', '-')}-{process.life}-{number}"
        self._subscriptions: list[Subscription] = []
        self._asked: dict[str, asyncio.Future[Msg]] = {}
        self._number = 0
        self.closed = asyncio.Event()
        """Set when it has ended for good."""
        hub.add(self)

    # -- what nats-py has --------------------------------------------------------------------

    def new_inbox(self) -> str:
        """A subject that nobody else uses."""
        self._number += 1
        return f"_INBOX.{self._name}.{self._number}"

    async def subscribe(
        self, subject: str, queue: str = "", cb: Hears | None = None, **_limits: int
    ) -> Subscription:
        """Hear a subject, or all of a pattern."""
        assert cb is not None
        subscription = Subscription(self, subject, queue, cb)
        self._subscriptions.append(subscription)
        return subscription

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Headers | None = None
    ) -> None:
        """Send a message."""
        if self.closed.is_set():
            raise nats.errors.ConnectionClosedError
        if not self.stands():  # the rest of a step in which the process was killed
            return
        self._hub.send(self.process, subject, payload, headers or {}, reply)

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 1.0,
        headers: Headers | None = None,
    ) -> Msg:
        """Send a message and wait for its answer."""
        inbox, future = self.new_inbox(), self._loop.create_future()
        self._asked[inbox] = future
        try:
            await self.publish(subject, payload, inbox, headers)
            answer: Msg = await asyncio.wait_for(future, timeout)
        except TimeoutError as error:
            raise nats.errors.TimeoutError from error
        finally:
            del self._asked[inbox]
        if (answer.headers or {}).get("Status") == NO_RESPONDERS:
            raise nats.errors.NoRespondersError
        return answer

    def jetstream(self, timeout: float = 5.0) -> JetStreamContext:
        """Its streams."""
        return JetStreamContext(cast("Client", self), timeout=timeout)

    async def flush(self) -> None:
        """Nothing waits here."""

    async def close(self) -> None:
        """End."""
        self.end()

    # -- the simulation's side ---------------------------------------------------------------

    def end(self) -> None:
        """Be closed for good."""
        self._subscriptions.clear()
        self.closed.set()

    def stands(self) -> bool:
        """Tell whether its process lives, and it does."""
        living = self.process.alive and self.process.life == self._life
        return living and not self.closed.is_set()

    def awaits(self, subject: str) -> bool:
        """Tell whether a subject is that of one answer alone."""
        return subject in self._asked

    def drop(self, subscription: Subscription) -> None:
        """Hear a subscription's messages no more."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def heard(self, subject: str) -> list[Subscription]:
        """Return the subscriptions that a subject is for."""
        if subject.startswith("_INBOX.") and not subject.startswith(f"_INBOX.{self._name}."):
            return []
        if subject in self._asked:
            return [Subscription(self, subject, "", _unheard)]
        return [each for each in self._subscriptions if matches(each.pattern, subject)]

    def deliver(self, address: str, message: Message) -> None:
        """A message has come for a subject that is heard here."""
        told = Msg(
            cast("Client", self), message.subject, message.reply, message.body, message.headers
        )
        asked = self._asked.get(address)
        if asked is not None:
            self._loop.call_soon(_give, asked, told)
            return
        for subscription in self.heard(address):
            self._loop.call_soon(self._begin, subscription.hears, told)

    def _begin(self, hears: Hears, message: Msg) -> None:
        self._loop.create_task(hears(message))


async def _unheard(_message: Msg) -> None:
    """A request's answer is not for a subscription."""


def _give(future: asyncio.Future[Msg], message: Msg) -> None:
    if not future.done():
        future.set_result(message)
