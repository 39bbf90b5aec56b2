"""Settings of the back ends that redirect to an OpenID or OAuth2 provider (``SOCIAL_AUTH_*``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.external.mapping import (
    Maps,
    by_name,
    evaluate,
    expression,
    organization_map,
    read_maps,
    team_map,
)
from controlplane.domain.external.values import (
    Reader,
    flag,
    optional,
    settings_of,
    strings,
    text,
    url,
)

PREFIX = "SOCIAL_AUTH_"
GOOGLE = "https://accounts.google.com"
AZURE = "https://login.microsoftonline.com/common/v2.0"
_MAPS = ("ORGANIZATION_MAP", "TEAM_MAP")


class Kind(Struct, frozen=True, kw_only=True):
    """One back end: its name in paths, its word in settings, and how its provider is asked."""

    name: str
    word: str
    issuer: str = ""
    """Of an OpenID provider whose address everybody knows; empty where a setting names it."""
    openid: bool = True
    tenants: bool = False
    """The provider issues under an address for each tenant."""
    group: str = ""
    """Setting that names the organization or team which its users must be in."""


KINDS = (
    Kind(name="google-oauth2", word="GOOGLE_OAUTH2", issuer=GOOGLE),
    Kind(name="github", word="GITHUB", openid=False),
    Kind(name="github-org", word="GITHUB_ORG", openid=False, group="NAME"),
    Kind(name="github-team", word="GITHUB_TEAM", openid=False, group="ID"),
    Kind(name="azuread-oauth2", word="AZUREAD_OAUTH2", issuer=AZURE, tenants=True),
    Kind(name="oidc", word="OIDC"),
)
"""In the order in which they are listed."""


class SocialConfig(Struct, frozen=True, kw_only=True):
    """One provider, as the settings describe it."""

    kind: Kind
    key: str
    secret: str
    issuer: str
    check_certificate: bool
    domains: tuple[str, ...]
    """Domains of a Google workspace whose users are let in; empty lets all in."""
    group: str
    maps: Maps
    user_fields: tuple[str, ...] | None
    """Fields that are taken over; an empty tuple makes no new users."""

    @property
    def name(self) -> str:
        """Return the back end's name."""
        return self.kind.name


def read_all(given: Mapping[str, Any]) -> tuple[SocialConfig, ...]:
    """Return the providers that have everything they need; raises Invalid."""
    return tuple(read(given, kind) for kind in KINDS if _complete(given, kind))


def read(given: Mapping[str, Any], kind: Kind) -> SocialConfig:
    """Return one provider's settings; raises Invalid with the messages by setting."""
    prefix = f"{PREFIX}{kind.word}_"
    maps = map_settings(given, prefix)
    names = {f"{prefix}{name}": reader for name, reader in READERS.items()}
    names |= {maps[name]: READERS[name] for name in _MAPS}
    names |= {f"{PREFIX}USER_FIELDS": user_fields}
    found = settings_of(given, names)
    return SocialConfig(
        kind=kind,
        key=found[f"{prefix}KEY"],
        secret=found[f"{prefix}SECRET"],
        issuer=(kind.issuer or found[f"{prefix}OIDC_ENDPOINT"]).rstrip("/"),
        check_certificate=found[f"{prefix}VERIFY_SSL"],
        domains=found[f"{prefix}WHITELISTED_DOMAINS"],
        group=found[f"{prefix}{kind.group}"] if kind.group else "",
        maps=read_maps(found[maps["ORGANIZATION_MAP"]], found[maps["TEAM_MAP"]]),
        user_fields=found[f"{PREFIX}USER_FIELDS"],
    )


def map_settings(given: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Return which settings hold a back end's maps: its own, or else those of all."""
    own = {name: f"{prefix}{name}" for name in _MAPS}
    return {
        name: setting if given.get(setting) is not None else f"{PREFIX}{name}"
        for name, setting in own.items()
    }


def wanted(config: SocialConfig, identity: Identity) -> Wanted:
    """Return what a login through a provider makes of its user."""
    return of_maps(config.maps, config.user_fields, identity)


def of_maps(maps: Maps, fields: tuple[str, ...] | None, identity: Identity) -> Wanted:
    """Return what two maps make of somebody whom they know by name and address.

    An address that the provider does not vouch for names nobody.
    """
    address = identity.email if identity.email_verified else ""
    known = ("first_name", "last_name", "email")
    return Wanted(
        fields={
            name: getattr(identity, name)
            for name in known
            if getattr(identity, name) and (not fields or name in fields)
        },
        memberships=evaluate(maps, by_name(identity.username, address)),
        new_users=fields != (),
    )


def user_fields(value: Any) -> tuple[str, ...] | None:
    """Return the list of user fields, or None where there is no such list."""
    return None if value is None else strings(value)


def _complete(given: Mapping[str, Any], kind: Kind) -> bool:
    words = ["KEY", "SECRET", *([kind.group] if kind.group else [])]
    if kind.openid and not kind.issuer:
        words.append("OIDC_ENDPOINT")
    return all(given.get(f"{PREFIX}{kind.word}_{word}") for word in words)


READERS: dict[str, Reader] = {
    "KEY": text,
    "SECRET": text,
    "OIDC_ENDPOINT": url,
    "VERIFY_SSL": optional(flag, default=True),
    "WHITELISTED_DOMAINS": strings,
    "NAME": text,
    "ID": text,
    "ORGANIZATION_MAP": organization_map(expression),
    "TEAM_MAP": team_map(expression),
}
"""Setting, without its prefix, to what reads it."""
