"""A real nats-server with the deployment's own authorization, and users of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client

from ops import clock, connect, nats_grants, nats_identity
from ops.nats_identity import Creds
from schemas import subjects
from schemas.subjects import Attempt
from tests.servers import NatsServer
from tests.waiting import soon

ATTEMPT = Attempt(1, 7, 1)
"""The attempt of the job user, and the job that the viewer may watch."""
_REFUSED = "permissions violation for "
_NOBODYS = "nobody.may"
"""Refused to everybody: when it is, all that was asked before has been answered."""


class User:
    """One connection, and what the server said it may not do."""

    def __init__(self) -> None:
        """Nothing was refused yet; ``connect`` sets the client."""
        self.client: Client
        self.refused: list[str] = []
        self.closed = asyncio.Event()

    async def on_error(self, error: Exception) -> None:
        """Keep the subject of a refusal; the server tells it in lower case."""
        text = str(error)
        if _REFUSED in text:
            self.refused.append(text.partition('"')[2].partition('"')[0])

    async def on_closed(self) -> None:
        """Know that the server has ended the connection."""
        self.closed.set()

    async def may_publish(self, names: Sequence[str]) -> set[str]:
        """Return the subjects that the server let through."""
        self.refused.clear()
        for subject in (*names, _NOBODYS):
            await self.client.publish(subject, b"{}")
        await soon(lambda: _NOBODYS in self.refused)
        return {subject for subject in names if subject.lower() not in self.refused}

    async def may_subscribe(self, names: Sequence[str]) -> set[str]:
        """Return the subjects that the server let listen to."""
        self.refused.clear()
        for subject in (*names, _NOBODYS):
            await self.client.subscribe(subject)
        await soon(lambda: _NOBODYS in self.refused)
        return {subject for subject in names if subject.lower() not in self.refused}


class NatsSite:
    """The server, its identity and everybody who is connected."""

    def __init__(self, directory: Path) -> None:
        """Make the identity; ``start`` the server."""
        self.identity = nats_identity.load_or_create(directory / "identity.json")
        auth = self.identity.auth_conf(directory / "jwt")
        self.server = NatsServer(directory / "nats", auth)
        self._users: list[User] = []

    def credentials(self, kind: str) -> tuple[Creds, str]:
        """Return the credentials of a kind of user, and its inbox prefix."""
        soon = clock.now() + timedelta(minutes=5)
        watched = [subjects.live_job(1, ATTEMPT.job), subjects.job_status(ATTEMPT.job)]
        return {
            "control": (self.identity.control_user(), "_INBOX"),
            "runner": (
                self.identity.runner_user("r1", ("default",)),
                nats_grants.inbox_prefix("r1"),
            ),
            "attempt": (
                self.identity.job_user(ATTEMPT, soon),
                nats_grants.inbox_prefix(f"{ATTEMPT.job}-{ATTEMPT.attempt}"),
            ),
            "viewer": (self.identity.viewer_user(watched, soon), "_INBOX"),
        }[kind]

    async def connect(self, kind: str) -> User:
        """Connect as a user of that kind."""
        return await self.connect_as(*self.credentials(kind))

    async def connect_as(self, creds: Creds, inbox_prefix: str) -> User:
        """Connect with credentials; never again when they end."""
        user = User()
        options: dict[str, Any] = {
            **connect.connection_options("test", creds),
            "inbox_prefix": inbox_prefix,
            "error_cb": user.on_error,
            "closed_cb": user.on_closed,
            "allow_reconnect": False,
        }
        user.client = await nats.connect(self.server.url, **options)
        self._users.append(user)
        return user

    async def stop(self) -> None:
        """Close every connection and stop the server."""
        for user in self._users:
            await connect.close_quietly(user.client)
        self.server.stop()
