"""Commands about roles and instances, prepared for the writer of CONFIG.

A grant that is held already and a revocation of what is not held yield no events: repeating such a
request changes nothing.
"""

from __future__ import annotations

from msgspec import Struct

from controlplane.domain.instance import INSTANCE, Adjust
from controlplane.shell.config_writer import ConfigView, Prepare, Prepared
from controlplane.shell.event_store import EventStore
from controlplane.shell.standing import standing
from controlplane.shell.transact import fold_history
from schemas import subjects
from schemas.events.access import (
    RoleAssigned,
    RoleGranted,
    RoleRevoked,
    RoleUnassigned,
)
from schemas.registry import Event
from schemas.role_definitions import definition_of
from schemas.roles import ObjectRole

_HELD = """
select "definition" from "role_assignment"
where "user_id" = $1 and "team_id" = $2 and "kind" = $3 and "object_id" = $4 and "role" = $5
order by "definition"
"""
_ASSIGNED = """
select 1 from "role_assignment" where "user_id" = $1 and "team_id" = $2 and "kind" = $3
and "object_id" = $4 and "definition" = $5
"""


class Holder(Struct, frozen=True, kw_only=True):
    """Who holds a role: a user or a team; the other is 0."""

    user: int = 0
    team: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """Return its kind and id."""
        return ("user", self.user) if self.user else ("team", self.team)


def grant(role: ObjectRole, holder: Holder) -> Prepare:
    """Return the command that gives a user or a team an object role."""
    kind, number = role.kind, role.object_id

    async def prepare(view: ConfigView) -> Prepared:
        reads = await standing(view, (kind, number), holder.key)
        granted: Event = RoleGranted(user=holder.user, kind=kind, object_id=number, role=role.role)
        if holder.team:
            definition = definition_of(kind, role.role)
            granted = _assigned(definition, holder, kind, number)
        events = () if await _held(view, role, holder) else (granted,)
        return _about_role((kind, number), reads, events)

    return prepare


def revoke(role: ObjectRole, holder: Holder) -> Prepare:
    """Return the command that takes an object role from a user or a team."""
    kind, number = role.kind, role.object_id

    async def prepare(view: ConfigView) -> Prepared:
        reads = await standing(view, (kind, number), holder.key)
        held = await _held(view, role, holder)
        events: tuple[Event, ...] = tuple(
            RoleUnassigned(
                definition=each, team=holder.team, user=holder.user, kind=kind, object_id=number
            )
            for each in held
        )
        if holder.user and held:
            gone = RoleRevoked(user=holder.user, kind=kind, object_id=number, role=role.role)
            events = (gone,)
        return _about_role((kind, number), reads, events)

    return prepare


def assign(definition: int, holder: Holder, kind: str, number: int) -> Prepare:
    """Return the command that gives a user or a team a role definition on an object."""

    async def prepare(view: ConfigView) -> Prepared:
        meant = ("role_definition", definition)
        reads = await standing(view, meant, (kind, number), holder.key)
        held = await _is_assigned(view, definition, holder, kind, number)
        events = () if held else (_assigned(definition, holder, kind, number),)
        return _about_role((kind, number), reads, events)

    return prepare


def unassign(definition: int, holder: Holder, kind: str, number: int) -> Prepare:
    """Return the command that takes a role definition on an object from a user or a team."""

    async def prepare(view: ConfigView) -> Prepared:
        held = await _is_assigned(view, definition, holder, kind, number)
        gone = RoleUnassigned(
            definition=definition, user=holder.user, team=holder.team, kind=kind, object_id=number
        )
        reads = frozenset({f"{holder.key[0]}:{holder.key[1]}"})
        return _about_role((kind, number), reads, (gone,) if held else ())

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


def _assigned(definition: int, holder: Holder, kind: str, number: int) -> RoleAssigned:
    return RoleAssigned(
        definition=definition, user=holder.user, team=holder.team, kind=kind, object_id=number
    )


async def _held(view: ConfigView, role: ObjectRole, holder: Holder) -> list[int]:
    """Return the definitions through which an object role is held directly."""
    who, place = (holder.user, holder.team), (role.kind, role.object_id, role.role)
    return [row["definition"] for row in await view.connection.fetch(_HELD, *who, *place)]


async def _is_assigned(
    view: ConfigView, definition: int, holder: Holder, kind: str, number: int
) -> bool:
    who, place = (holder.user, holder.team), (kind, number, definition)
    return await view.connection.fetchval(_ASSIGNED, *who, *place) is not None


def _about_role(
    place: tuple[str, int], reads: frozenset[str], events: tuple[Event, ...]
) -> Prepared:
    key = frozenset({f"{place[0]}:{place[1]}"})
    return Prepared(subject=subjects.config(*place), events=events, reads=reads | key, writes=key)
