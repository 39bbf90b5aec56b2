"""Commands about tokens, prepared for the writer of CONFIG.

Each reads what it decides on through the view; a token's keys are its own, its user's and its
application's, so that neither can go while a token of theirs is made.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from controlplane.domain.errors import NotFound, Refused
from controlplane.shell.config_writer import ConfigView, Prepare, Prepared
from controlplane.shell.read_model import QUERIES
from schemas import subjects
from schemas.events.access import TokenCreated, TokenRevoked, TokenUpdated
from schemas.registry import Event

GONE = {"error": "invalid_grant"}
_USER = 'select 1 from "user" where "id" = $1'
_APPLICATION = 'select "organization" from "application" where "id" = $1'
_THIS = 'select 1 from "token" where "id" = $1'


def create_token(created: TokenCreated) -> Prepare:
    """Return the command that makes a token for a user and an application who exist."""

    async def prepare(view: ConfigView) -> Prepared:
        reads = await _holders(view, created)
        return msgspec.structs.replace(_about(created.id, (created,), reads), result=created.id)

    return prepare


def refresh_token(digest: str, created: TokenCreated) -> Prepare:
    """Return the command that replaces a token whose refresh token was sent by a new one.

    One of the two who have a refresh token that is used twice has stolen it: then nothing replaces
    the token, it ends (``result`` is None). Raises Refused when it is dead already.
    """

    async def prepare(view: ConfigView) -> Prepared:
        row = await view.connection.fetchrow(QUERIES["token_refreshed_by"], digest)
        if row is None or row["application"] != created.application:
            raise Refused(GONE)
        if row["refresh_hash"] != digest:
            return _about(row["id"], (TokenRevoked(id=row["id"]),), frozenset())
        new = msgspec.structs.replace(created, user=row["user_id"], replaces=row["id"])
        keys = frozenset({f"token:{new.id}", f"token:{row['id']}"})
        return Prepared(
            subject=subjects.config("token", new.id),
            events=(new,),
            reads=await _holders(view, new) | keys,
            writes=keys,
            result=new.id,
        )

    return prepare


def update_token(token: int, description: str, scope: str) -> Prepare:
    """Return the command that changes a token's description and scope."""

    async def prepare(view: ConfigView) -> Prepared:
        await _must_have(view, token)
        event = TokenUpdated(id=token, description=description, scope=scope)
        return _about(token, (event,), frozenset())

    return prepare


def revoke_token(token: int) -> Prepare:
    """Return the command that ends a token."""

    async def prepare(view: ConfigView) -> Prepared:
        await _must_have(view, token)
        return _about(token, (TokenRevoked(id=token),), frozenset())

    return prepare


def expiry(created: datetime, lifetime_s: float) -> datetime:
    """Return when a token made at ``created`` ends; far lifetimes end with the calendar."""
    try:
        return datetime.fromtimestamp(created.timestamp() + lifetime_s, created.tzinfo)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=created.tzinfo)


def _about(token: int, events: tuple[Event, ...], reads: frozenset[str]) -> Prepared:
    key = f"token:{token}"
    return Prepared(
        subject=subjects.config("token", token),
        events=events,
        reads=reads | {key},
        writes=frozenset({key}),
    )


async def _holders(view: ConfigView, created: TokenCreated) -> frozenset[str]:
    """Return the keys of what a token would go with; raises NotFound when one is gone."""
    if await view.connection.fetchval(_USER, created.user) is None:
        raise NotFound("User")
    keys = {f"user:{created.user}"}
    if created.application is not None:
        organization = await view.connection.fetchval(_APPLICATION, created.application)
        if organization is None:
            raise NotFound("OAuth2Application")
        keys |= {f"application:{created.application}", f"organization:{organization}"}
    return frozenset(keys)


async def _must_have(view: ConfigView, token: int) -> None:
    if await view.connection.fetchval(_THIS, token) is None:
        raise NotFound("OAuth2AccessToken")
