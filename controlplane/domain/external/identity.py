"""Who a back end says somebody is, and what a login is to make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from controlplane.domain.external.mapping import Memberships


class Identity(Struct, frozen=True, kw_only=True):
    """A person as a back end proved them."""

    provider: str
    """``ldap``, ``oidc``, ``saml``, ``github``, ...: users of one are never those of another."""
    uid: str
    """What the back end knows the person by; it never changes."""
    username: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    dn: str = ""
    groups: tuple[str, ...] = ()
    """Distinguished names of the groups, where the back end has any."""
    attributes: Mapping[str, tuple[str, ...]] = {}
    """What a SAML assertion says."""
    email_verified: bool = True
    """False when the back end says that it does not vouch for the address."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What a login makes of a user; a field or role that is not named stays as it is."""

    fields: Mapping[str, Any]
    memberships: Memberships
    new_users: bool = True
    """False lets in only users who are there."""
    new_objects: bool = True
    """False makes no organization or team."""
