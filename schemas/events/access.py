"""Facts about access: grants and tokens are CONFIG events, logins go to ACCESS."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.registry import event


@event("role.granted.v1")
class RoleGranted(Struct, frozen=True, kw_only=True):
    """A user holds an object role; stored on ``config.<kind>.<object id>``."""

    user: int
    kind: str
    object_id: int
    role: str
    """Role field without suffix: ``admin``, ``execute``, ``use``, ``update``, ``adhoc``.

    ``member``, ``read`` ...
    """


@event("role.revoked.v1")
class RoleRevoked(Struct, frozen=True, kw_only=True):
    """A user no longer holds an object role."""

    user: int
    kind: str
    object_id: int
    role: str


@event("role.assigned.v1")
class RoleAssigned(Struct, frozen=True, kw_only=True):
    """A user or a team holds a role definition on an object; ``config.<kind>.<object id>``."""

    definition: int
    kind: str
    object_id: int
    user: int = 0
    """Who holds it, or 0: then the team does."""
    team: int = 0


@event("role.unassigned.v1")
class RoleUnassigned(Struct, frozen=True, kw_only=True):
    """A user or a team no longer holds a role definition on an object."""

    definition: int
    kind: str
    object_id: int
    user: int = 0
    team: int = 0


@event("token.created.v1")
class TokenCreated(Struct, frozen=True, kw_only=True):
    """A token exists, personal or an application's; stored on ``config.token.<id>``."""

    id: int
    user: int
    description: str
    scope: str
    token_hash: str
    """sha256 (hex) of the token; the token itself is stored nowhere."""
    created: datetime
    expires: datetime
    application: int | None = None
    refresh_hash: str = ""
    """sha256 (hex) of its refresh token; empty for none."""
    replaces: int | None = None
    """The token whose refresh token was used to get this one: it is dead."""
    spent: tuple[str, ...] = ()
    """sha256 (hex) of the authorization code it was given for."""


@event("token.updated.v1")
class TokenUpdated(Struct, frozen=True, kw_only=True):
    """A token's description or scope changed."""

    id: int
    description: str
    scope: str


@event("token.revoked.v1")
class TokenRevoked(Struct, frozen=True, kw_only=True):
    """A token is dead."""

    id: int


@event("access.login.v1")
class LoginTried(Struct, frozen=True, kw_only=True):
    """Somebody tried to log in; stored on ``access.login``."""

    username: str
    user: int | None
    accepted: bool
    way: str
    """``session``, ``basic``, ``token``, ``password_grant``, ``authorization_code`` or
    ``refresh_token``; or the directory or provider that vouched: ``ldap``, ``oidc``, ``saml``."""
    address: str
