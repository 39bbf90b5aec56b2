"""Live messages for many viewers: one NATS subscription a subject in each process, fanned out here.

A viewer that does not keep up is closed with a reason, never buffered without bound (measured: one
core subscription with fan-out in Python costs a fraction of one subscription a viewer,
``jetstream.md`` 11).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ops import connect

VIEWER_MESSAGES_MAX = 1000
VIEWER_BYTES_MAX = 8 * 1024 * 1024
"""Bounds of what waits for one viewer; beyond either it is dropped as too slow."""


class TooSlow(Exception):
    """The viewer did not take its messages; it is to come back with its cursor."""


class Viewer:
    """One receiver of live messages: a bounded queue over any set of subjects."""

    def __init__(self, hub: LiveHub) -> None:
        """Belong to a hub; subjects are added by ``join``."""
        self._hub = hub
        self._messages: deque[Msg] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()
        self._too_slow = False
        self.subjects: set[str] = set()

    def offer(self, message: Msg) -> None:
        """Queue a message, or mark the viewer as too slow."""
        if self._too_slow:
            return
        if len(self._messages) >= VIEWER_MESSAGES_MAX or self._bytes > VIEWER_BYTES_MAX:
            self._too_slow = True
            self._messages.clear()
        else:
            self._messages.append(message)
            self._bytes += len(message.data)
        self._ready.set()

    async def next(self) -> Msg:
        """Return the next message, waiting for one; raises TooSlow."""
        while not self._messages:
            if self._too_slow:
                raise TooSlow
            self._ready.clear()
            await self._ready.wait()
        message = self._messages.popleft()
        self._bytes -= len(message.data)
        return message

    async def join(self, subject: str) -> None:
        """Receive what is published on ``subject`` from now on."""
        if subject not in self.subjects:
            self.subjects.add(subject)
            await self._hub.add(subject, self)

    async def leave(self, subject: str) -> None:
        """Receive nothing more of ``subject``."""
        if subject in self.subjects:
            self.subjects.discard(subject)
            await self._hub.remove(subject, self)

    async def __aenter__(self) -> Self:
        """Return the viewer itself."""
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Leave every subject."""
        for subject in tuple(self.subjects):
            await self.leave(subject)


class LiveHub:
    """Holds this process's core subscriptions and their viewers."""

    def __init__(self, connection: Client) -> None:
        """Subscribe over ``connection``."""
        self._connection = connection
        self._viewers: dict[str, set[Viewer]] = {}
        self._subscriptions: dict[str, Subscription] = {}

    def viewer(self) -> Viewer:
        """Return a new viewer; use it as an async context manager."""
        return Viewer(self)

    async def add(self, subject: str, viewer: Viewer) -> None:
        """Let a viewer receive a subject.

        The first one subscribes, and the server has confirmed on return.
        """
        viewers = self._viewers.setdefault(subject, set())
        viewers.add(viewer)
        if subject not in self._subscriptions:

            async def deliver(message: Msg) -> None:
                for each in tuple(viewers):
                    each.offer(message)

            self._subscriptions[subject] = await self._connection.subscribe(subject, cb=deliver)
        await connect.flush(self._connection)

    async def remove(self, subject: str, viewer: Viewer) -> None:
        """Take a subject from a viewer; the last one unsubscribes."""
        viewers = self._viewers.get(subject, set())
        viewers.discard(viewer)
        if not viewers and subject in self._subscriptions:
            self._viewers.pop(subject, None)
            await self._subscriptions.pop(subject).unsubscribe()
