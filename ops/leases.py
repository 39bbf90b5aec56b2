"""Leases in a key-value bucket: one holder at a time, fenced by the entry's revision.

The key's TTL ends a dead holder's lease on the server (measured takeover 0.7-0.9 of the TTL,
``jetstream.md`` 5); a holder that cannot renew in time loses it and its work is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import APIError
from nats.js.errors import Error as JetStreamError

from ops import clock
from ops.stopping import stopped
from schemas.streams import LEASES

log = structlog.get_logger()

_TIMEOUT_S = 2.0


class Lost(Exception):
    """The lease that the work runs under has run out; somebody else may lead already."""


class Lease:
    """One named lease and the identity that wants it."""

    def __init__(self, connection: Client, name: str, holder: str, ttl_s: int = 3) -> None:
        """Take ``name`` as ``holder``; the TTL is in whole seconds."""
        self._context = connection.jetstream(timeout=_TIMEOUT_S)
        self._subject = f"$KV.{LEASES.name}.{name}"
        self._holder = holder.encode()
        self._ttl_s = ttl_s
        self._renewed = 0.0
        self.revision = 0
        """The fencing token: the stream sequence of this holder's last renewal."""

    @property
    def holds(self) -> bool:
        """True while nobody else can have it, by this process's own clock."""
        return clock.monotonic() - self._renewed < self._ttl_s * 0.9

    async def acquire(self) -> None:
        """Wait until the lease is ours."""
        while not await self._try(0):  # noqa: ASYNC110 - the server tells nobody of an expiry
            await asyncio.sleep(self._ttl_s / 10)

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Hold the lease while ``work`` runs; cancels the work when the lease is lost.

        Returns when the work ended or the lease was lost; what the work raises is raised.
        """
        await self.acquire()
        token = _under.set(self)
        working = asyncio.ensure_future(work())
        _under.reset(token)
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost = renewing.done()
            await stopped([working, renewing])
            with contextlib.suppress(asyncio.CancelledError):
                await working
            if not lost:
                await self.release()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the lease for a short block that ends well within the TTL."""
        await self.acquire()
        try:
            yield
        finally:
            await self.release()

    async def release(self) -> None:
        """Give the lease back, so that the next holder need not wait for the TTL."""
        with contextlib.suppress(nats.errors.Error, JetStreamError, TimeoutError):
            await self._context.publish(
                self._subject,
                b"",
                headers={
                    "KV-Operation": "DEL",
                    "Nats-Expected-Last-Subject-Sequence": str(self.revision),
                    "Nats-TTL": "1",
                },
            )

    async def _renew(self) -> None:
        """Renew at a third of the TTL; returns when the lease is lost."""
        while self.holds:
            await asyncio.sleep(self._ttl_s / 3)
            if await self._put(self.revision) is False:
                break
        log.warning("lease lost", lease=self._subject)

    async def _try(self, expected: int) -> bool:
        if await self._put(expected):
            return True
        deleted = await self._deleted()
        return deleted is not None and bool(await self._put(deleted))

    async def _put(self, expected: int) -> bool | None:
        """Write the entry on this expectation; None when the server did not answer."""
        asked = clock.monotonic()
        try:
            answer = await self._context.publish(
                self._subject,
                self._holder,
                headers={
                    "Nats-Expected-Last-Subject-Sequence": str(expected),
                    "Nats-TTL": str(self._ttl_s),
                },
            )
        except APIError:
            return False
        except (nats.errors.Error, JetStreamError, TimeoutError):
            return None
        self.revision, self._renewed = answer.seq, asked
        return True

    async def _deleted(self) -> int | None:
        """Return the revision of a released entry, on which the next holder builds."""
        try:
            message = await self._context.get_last_msg(
                f"KV_{LEASES.name}", self._subject, direct=True
            )
        except (nats.errors.Error, JetStreamError, TimeoutError):
            return None
        return message.seq if not message.data else None


_under: ContextVar[Lease | None] = ContextVar("lease", default=None)


def still_held() -> None:
    """Raise Lost when the caller works under a lease that has run out.

    A process that was stopped for a while learns it here, before it does what another does now.
    """
    lease = _under.get()
    if lease is not None and not lease.holds:
        raise Lost
