"""Names and passwords that a directory judges (LDAP), wherever the API takes a password.

A user who was not made by a directory is none of its business: it is not asked, and cannot keep
such a user waiting. What it has agreed to counts for a moment, so that a client which sends its
password with each request does not ask it each time; changed settings end that.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac

from controlplane.api.external_auth import ExternalAuth
from controlplane.api.services import Services
from controlplane.domain.external.ldap import PROVIDER, wanted
from controlplane.domain.external.login import vouched_by_nobody
from controlplane.shell.read_model import Row, View
from controlplane.sso.attempts import Unproved
from controlplane.sso.backends import Configured
from ops import clock, ids

REMEMBER_S = 60.0
REMEMBER_MAX = 10_000
AT_ONCE = 8
"""Who sends a password waits when so many are looked up, or judged, at the same time."""


class DirectoryLogins:
    """The directories as a source of passwords, in one process."""

    def __init__(self, services: Services, external: ExternalAuth) -> None:
        """Ask the directories that ``external`` knows."""
        self._services = services
        self._external = external
        self._key = ids.random_bytes(32)
        self._proved: dict[bytes, tuple[int, float]] = {}
        self._proved_by: Configured | None = None
        self._looking = asyncio.Semaphore(AT_ONCE)
        self._asking = asyncio.Semaphore(AT_ONCE)

    @property
    def name(self) -> str:
        """Return the name that records of logins give it."""
        return PROVIDER

    async def ask(self, username: str, password: str) -> None:
        """Have the directories judge a name and password, unless that is not theirs to judge.

        Outside of any line and any snapshot: a directory that is slow keeps nobody else waiting,
        and the user that it vouches for is there afterwards.
        """
        now = await self._external.configured()
        if not now.directories or not password or "\x00" in username:
            return
        if now is not self._proved_by:
            self._proved, self._proved_by = {}, now
        if self._known(username, password) is not None:
            return
        async with self._looking, self._services.read.view() as view:
            row = await view.named_row("user_by_name", username)
        if not await self.judges(row):
            return
        async with self._asking:
            providers = self._external.providers
            found = await providers.directory.prove(now.directories, username, password)
        if found is None:
            return
        config, identity = found
        try:
            user = await self._external.user_of(identity, wanted(config, identity))
        except Unproved:
            return
        if now is self._proved_by:
            self._remember(username, password, user["id"])

    async def judges(self, row: Row | None) -> bool:
        """Return whether a directory may let in this user, or a name that nobody here has."""
        theirs = row is None or row["external_provider"] == PROVIDER or vouched_by_nobody(row)
        return theirs and bool((await self._external.configured()).directories)

    async def user_of(self, username: str, password: str, view: View) -> Row | None:
        """Return the user whom a directory vouched for a moment ago."""
        known = await self._external.configured() is self._proved_by
        number = self._known(username, password) if known else None
        row = None if number is None else await view.named_row("user_by_id", number)
        return row if row is not None and await self.judges(row) else None

    def _known(self, username: str, password: str) -> int | None:
        user, until = self._proved.get(self._mark(username, password), (0, 0.0))
        return user if until > clock.monotonic() else None

    def _remember(self, username: str, password: str, user: int) -> None:
        if len(self._proved) >= REMEMBER_MAX:
            self._proved.clear()
        self._proved[self._mark(username, password)] = (user, clock.monotonic() + REMEMBER_S)

    def _mark(self, username: str, password: str) -> bytes:
        text = f"{len(username)}:{username}:{password}"
        return hmac.new(self._key, text.encode(errors="replace"), hashlib.sha256).digest()
