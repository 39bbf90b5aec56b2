"""Commands about roles, tokens and instances, prepared for the writer of CONFIG.

A grant that is held already, a revocation of what is not held, and a token that is gone yield no
events: repeating such a request changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from controlplane.domain.errors import NotFound
from controlplane.domain.instance import INSTANCE, Adjust
from controlplane.shell.config_writer import ConfigView, Prepare, Prepared
from controlplane.shell.event_store import EventStore
from controlplane.shell.transact import fold_history
from schemas import subjects
from schemas.events.access import (
    RoleGranted,
    RoleRevoked,
    TokenCreated,
    TokenRevoked,
    TokenUpdated,
)
from schemas.registry import Event
from schemas.resource import RESOURCES
from schemas.roles import ObjectRole

_HELD = """
select 1 from "role_grant" where "user_id" = $1 and "kind" = $2 and "object_id" = $3 and "role" = $4
"""


def grant(role: ObjectRole, user: int) -> Prepare:
    """Return the command that gives a user an object role."""

    def events(*, held: bool) -> tuple[Event, ...]:
        granted = RoleGranted(user=user, kind=role.kind, object_id=role.object_id, role=role.role)
        return () if held else (granted,)

    return _on_role(role, user, events)


def revoke(role: ObjectRole, user: int) -> Prepare:
    """Return the command that takes an object role from a user."""

    def events(*, held: bool) -> tuple[Event, ...]:
        revoked = RoleRevoked(user=user, kind=role.kind, object_id=role.object_id, role=role.role)
        return (revoked,) if held else ()

    return _on_role(role, user, events)


def create_token(created: TokenCreated) -> Prepare:
    """Return the command that makes a token for a user who exists."""

    async def prepare(view: ConfigView) -> Prepared:
        await _must_exist(view, "user", created.user)
        return _about_token(created.id, (created,), frozenset({f"user:{created.user}"}))

    return prepare


def update_token(token: int, description: str, scope: str) -> Prepare:
    """Return the command that changes a token's description and scope."""

    async def prepare(view: ConfigView) -> Prepared:
        await _must_have_token(view, token)
        event = TokenUpdated(id=token, description=description, scope=scope)
        return _about_token(token, (event,), frozenset())

    return prepare


def revoke_token(token: int) -> Prepare:
    """Return the command that ends a token."""

    async def prepare(view: ConfigView) -> Prepared:
        await _must_have_token(view, token)
        return _about_token(token, (TokenRevoked(id=token),), frozenset())

    return prepare


def adjust_instance(number: int, command: Adjust, store: EventStore) -> Prepare:
    """Return the command that changes what an instance may take."""
    subject = subjects.config("instance", number)

    async def prepare(_view: ConfigView) -> Prepared:
        state = fold_history(INSTANCE, await store.load(subject))
        keys = frozenset({f"instance:{number}"})
        return Prepared(
            subject=subject,
            events=INSTANCE.decide(command, state),
            reads=keys,
            writes=keys,
        )

    return prepare


def expiry(created: datetime, lifetime_s: float) -> datetime:
    """Return when a token made at ``created`` ends; far lifetimes end with the calendar."""
    try:
        return datetime.fromtimestamp(created.timestamp() + lifetime_s, created.tzinfo)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=created.tzinfo)


def _on_role(
    role: ObjectRole, user: int, events: Callable[..., tuple[Event, ...]]
) -> Callable[[ConfigView], Awaitable[Prepared]]:
    async def prepare(view: ConfigView) -> Prepared:
        await _must_exist(view, role.kind, role.object_id)
        await _must_exist(view, "user", user)
        found: Any = await view.connection.fetchval(
            _HELD, user, role.kind, role.object_id, role.role
        )
        keys = frozenset({f"{role.kind}:{role.object_id}", f"user:{user}"})
        return Prepared(
            subject=subjects.config(role.kind, role.object_id),
            events=events(held=found is not None),
            reads=keys,
            writes=frozenset({f"{role.kind}:{role.object_id}"}),
        )

    return prepare


def _about_token(token: int, events: tuple[Event, ...], reads: frozenset[str]) -> Prepared:
    key = f"token:{token}"
    return Prepared(
        subject=subjects.config("token", token),
        events=events,
        reads=reads | {key},
        writes=frozenset({key}),
        result=token,
    )


async def _must_exist(view: ConfigView, kind: str, object_id: int) -> None:
    sql = f'select 1 from "{kind}" where "id" = $1'  # noqa: S608 - kinds come from declarations
    if kind not in RESOURCES or await view.connection.fetchval(sql, object_id) is None:
        raise NotFound(RESOURCES[kind].verbose if kind in RESOURCES else kind)


async def _must_have_token(view: ConfigView, token: int) -> None:
    if await view.connection.fetchval('select 1 from "token" where "id" = $1', token) is None:
        raise NotFound("OAuth2AccessToken")
