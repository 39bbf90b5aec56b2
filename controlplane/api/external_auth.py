"""Logging in elsewhere, for the rest of the API: what is set up, and the user it comes to.

Whoever a provider vouches for becomes a user by one command of the writer; where everything is as
it should be already, nothing is stored.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar.connection import ASGIConnection

from controlplane.api.services import Services
from controlplane.api.writes import context_of
from controlplane.domain.errors import Denied, Unavailable
from controlplane.domain.external import saml
from controlplane.domain.external.identity import Identity, Wanted
from controlplane.shell import external_logins
from controlplane.shell.config_writer import BEHIND, PROJECTION
from controlplane.shell.read_model import Row
from controlplane.sso.attempts import Attempts, Unproved
from controlplane.sso.backends import READ, Configured, Providers, configured
from schemas.envelope import SYSTEM
from schemas.settings import SETTINGS

Connection = ASGIConnection[Any, Any, Any, Any]


class ExternalAuth:
    """The ways of logging in elsewhere, in one process."""

    def __init__(self, services: Services) -> None:
        """Work with these services."""
        self._services = services
        self.attempts = Attempts(services.nats)
        self.providers = Providers(self.attempts)
        self._read_from: dict[str, Any] | None = None
        self._configured = Configured()

    async def configured(self) -> Configured:
        """Return what the settings set up now."""
        store = self._services.settings_store
        changed = store.changed
        if changed is not self._read_from:
            values = {
                name: await store.secret(name) if SETTINGS[name].secret else store.get(name)
                for name in READ
            }
            self._configured, self._read_from = configured(values), changed
        return self._configured

    async def ways(self) -> dict[str, dict[str, str]]:
        """Return every way that redirects, with where it begins and ends."""
        now = await self.configured()
        found = {each.name: _addresses(each.name) for each in now.social}
        for provider in now.saml:
            for idp in provider.providers:
                query = f"?idp={quote(idp, safe='')}"
                found[f"{saml.NAME}:{idp}"] = {
                    **_addresses(saml.NAME, query),
                    "metadata_url": f"/sso/metadata/{saml.NAME}/",
                }
        return found

    def base(self, connection: Connection) -> str:
        """Return our own address outside: as it is set, or else as the request has it."""
        chosen = self._services.settings_store.changed.get("TOWER_URL_BASE")
        return str(chosen or connection.base_url).rstrip("/")

    async def user_of(self, identity: Identity, desired: Wanted) -> Row:
        """Return the user that somebody is, made or changed as need be; raises Unproved."""
        services = self._services
        command = external_logins.log_in(identity, desired, services.numbers, services)
        try:
            appended = await services.writer.submit(command, context_of(SYSTEM))
        except Denied as refusal:
            raise Unproved(str(refusal.body["detail"])) from refusal
        within_s = services.settings.write_wait_s
        if not await services.catch_up.wait(PROJECTION, appended.position, within_s):
            raise Unavailable(BEHIND)
        async with services.read.view() as view:
            row = await view.named_row("user_by_id", appended.result)
        if row is None:
            raise Unproved("the user is gone")
        return row


def _addresses(name: str, query: str = "") -> dict[str, str]:
    return {"login_url": f"/sso/login/{name}/{query}", "complete_url": f"/sso/complete/{name}/"}
