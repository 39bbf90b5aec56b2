"""Connections to NATS: names, timeouts, reconnects, credentials and orderly ends."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import nats
import structlog
from nats.aio.client import Client

from ops import clock, nats_identity, settings

log = structlog.get_logger()

CONNECT_TIMEOUT_S = 5
RECONNECT_WAIT_S = 0.2
PING_INTERVAL_S = 10
PENDING_BYTES_MAX = 64 * 1024 * 1024
SAID_AGAIN_S = 10.0
"""What does not change is said so often: a server that is away is tried five times a second."""


class _Complaint:
    """Knows what was said, and when."""

    def __init__(self) -> None:
        self._said = ("", 0.0)

    def is_new(self, text: str) -> bool:
        """Tell whether a text is worth saying, and take it for said."""
        before, at = self._said
        now = clock.monotonic()
        if text == before and now - at < SAID_AGAIN_S:
            return False
        self._said = (text, now)
        return True


async def connect_nats(
    url: str,
    creds_file: Path | None,
    name: str,
    *,
    inbox_prefix: str | None = None,
    patient: bool = True,
    on_reconnect: Callable[[], Awaitable[None]] | None = None,
    closed: asyncio.Event | None = None,
) -> Client:
    """Connect to NATS and stay connected: it reconnects for ever (``jetstream.md`` 9).

    ``patient`` waits for a server that is not there yet; otherwise the connection is for one short
    use: it raises when the first attempt fails and stays away. ``inbox_prefix`` is for users
    that may only listen below their own prefix. ``closed``: see ``connect_nats_as``.
    """
    creds = None if creds_file is None else nats_identity.read_creds(creds_file)
    options = connection_options(name, creds)
    if inbox_prefix is not None:
        options["inbox_prefix"] = inbox_prefix
    if on_reconnect is not None:
        options["reconnected_cb"] = on_reconnect
    if closed is not None:
        options["closed_cb"] = _set(closed)
    if not patient:
        options["max_reconnect_attempts"] = 1
    complaint = _Complaint()
    while True:
        try:
            return await nats.connect(
                settings.nats_addresses(url), allow_reconnect=patient, **options
            )
        except (OSError, nats.errors.Error, TimeoutError) as error:
            if not patient:
                raise
            why = str(error) or type(error).__name__
            if complaint.is_new(why):
                log.warning("nats is not there", url=settings.split_nats_login(url)[0], error=why)
            await asyncio.sleep(RECONNECT_WAIT_S)


def connection_options(name: str, creds: nats_identity.Creds | None) -> dict[str, Any]:
    """Return the options that every connection of ours has in common."""
    complaint = _Complaint()

    async def on_error(error: Exception) -> None:
        why = str(error) or type(error).__name__
        if complaint.is_new(why):
            log.warning("nats", connection=name, error=why)

    options: dict[str, Any] = {
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": RECONNECT_WAIT_S,
        "ping_interval": PING_INTERVAL_S,
        "pending_size": PENDING_BYTES_MAX,
        "error_cb": on_error,
    }
    if creds is not None and creds.user:
        options |= {"user": creds.user, "password": creds.password}
    elif creds is not None:
        key = nats_identity.signing_key(creds.seed)
        options["user_jwt_cb"] = creds.jwt.encode
        options["signature_cb"] = lambda nonce: base64.b64encode(key.sign(nonce.encode()))
    return options


async def connect_nats_as(
    url: str, creds_json: bytes, name: str, inbox_prefix: str, closed: asyncio.Event
) -> Client:
    """Connect as a user whose credentials stand in memory (an attempt's own user).

    ``closed`` is set when the connection has ended for good: after some errors that a server tells
    it, such as a login that took too long on a busy machine, nats-py does not reconnect.
    """
    creds = msgspec.json.decode(creds_json, type=nats_identity.Creds)
    options = connection_options(name, creds)
    options["closed_cb"] = _set(closed)
    return await nats.connect(settings.nats_addresses(url), inbox_prefix=inbox_prefix, **options)


def _set(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def on_closed() -> None:
        event.set()

    return on_closed


async def flush(connection: Client) -> None:
    """Return when the server has handled everything that was sent before.

    nats-py writes the PING of its ``flush`` to the socket past what still waits to be written, so
    one answer says nothing about a subscription just made. When it comes, what waited has been
    written; the answer to a second PING comes behind it.
    """
    await connection.flush()
    await connection.flush()


async def close_quietly(connection: Client) -> None:
    """Flush and close a NATS connection within a second, whatever its state."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(flush(connection), 1)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(connection.close(), 1)
