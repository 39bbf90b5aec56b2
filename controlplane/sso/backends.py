"""The one interface of all ways of logging in elsewhere, and which of them the settings make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog
from msgspec import Struct

from controlplane.domain.errors import Invalid
from controlplane.domain.external import checks, ldap, saml, social
from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.external.ldap import LdapConfig
from controlplane.domain.external.saml import SamlConfig
from controlplane.domain.external.social import SocialConfig
from controlplane.sso.attempts import Attempt, Attempts
from controlplane.sso.directory import Directory
from controlplane.sso.github import GitHub
from controlplane.sso.openid import OpenId
from controlplane.sso.saml import Saml
from schemas.settings import SETTINGS

READ = tuple(name for name in checks.READERS if name in SETTINGS)
"""The settings of all ways."""

_log = structlog.get_logger()


class Backend(Protocol):
    """A way of logging in where the browser is sent elsewhere and comes back with an answer."""

    async def start(self, attempt: Attempt) -> tuple[str, str]:
        """Return the address to which the browser goes, and the request's id; raises Unproved."""
        ...

    async def complete(self, answer: Mapping[str, str], attempt: Attempt) -> Identity:
        """Return who it is by the answer to an attempt; raises Unproved."""
        ...

    def wanted(self, identity: Identity) -> Wanted:
        """Return what the settings make of somebody."""
        ...


class Configured(Struct, frozen=True, kw_only=True):
    """The settings of every way that is set up."""

    directories: tuple[LdapConfig, ...] = ()
    social: tuple[SocialConfig, ...] = ()
    saml: tuple[SamlConfig, ...] = ()


def configured(given: Mapping[str, Any]) -> Configured:
    """Return what these settings set up; a way whose settings do not fit is left out."""
    return Configured(
        directories=_read(ldap.read_all, given),
        social=_read(social.read_all, given),
        saml=_read(saml.read_all, given),
    )


class Providers:
    """The back ends of one process; what they remember of providers outlives a request."""

    def __init__(self, attempts: Attempts, github: GitHub | None = None) -> None:
        """Start without knowing any provider."""
        self.attempts = attempts
        self.directory = Directory()
        self._openid = OpenId()
        self._github = github or GitHub()

    def backend(self, name: str, now: Configured, base: str) -> Backend | None:
        """Return a way that redirects, by its name; ``base`` is our own address outside."""
        for config in now.social:
            if config.name == name:
                maker = self._openid if config.kind.openid else self._github
                return maker.backend(config, f"{base}/sso/complete/{name}/")
        if name == saml.NAME and now.saml:
            return Saml(now.saml[0], base, self.attempts)
        return None


def _read(read: Callable[[Mapping[str, Any]], tuple[Any, ...]], given: Mapping[str, Any]) -> Any:
    try:
        return read(given)
    except Invalid as error:
        _log.warning("a way of logging in is left out", settings=sorted(error.errors))
        return ()
