"""The life of an instance: a machine with a runner agent that registers, comes and goes.

The same facts said again yield no events, so a runner may register as often as it likes.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec
from msgspec import Struct

from controlplane.domain.decider import Decider
from controlplane.domain.errors import NotFound
from schemas.capacity import capacity
from schemas.events.instance import (
    InstanceAdjusted,
    InstanceAvailable,
    InstanceEvent,
    InstanceRegistered,
    InstanceUnavailable,
)
from schemas.work import RegisterRunner


class InstanceState(Struct, frozen=True, kw_only=True):
    """What an instance's history says of it now; id 0 before its first registration."""

    id: int = 0
    hostname: str = ""
    uuid: str = ""
    node_type: str = ""
    groups: tuple[str, ...] = ()
    cpu: float = 0
    memory: int = 0
    """Bytes."""
    version: str = ""
    isolation: tuple[str, ...] = ()
    isolation_lacks: tuple[str, ...] = ()
    enabled: bool = True
    available: bool = True
    adjustment: float = 1.0
    managed_by_policy: bool = True

    @property
    def usable(self) -> bool:
        """True when it may be given work."""
        return self.enabled and self.available

    @property
    def capacity(self) -> int:
        """Its capacity in forks."""
        return capacity(self.cpu, self.memory, min(max(self.adjustment, 0.0), 1.0)).total


class Register(Struct, frozen=True, kw_only=True):
    """A runner announces itself; id and uuid serve for its first time only."""

    id: int
    uuid: str
    runner: RegisterRunner
    at: datetime


class Adjust(Struct, frozen=True, kw_only=True):
    """An administrator changes what the instance may take; None leaves a setting as it is."""

    enabled: bool | None = None
    adjustment: float | None = None
    managed_by_policy: bool | None = None


class MarkUnavailable(Struct, frozen=True, kw_only=True):
    """The runner's presence lapsed."""

    at: datetime
    reason: str


class MarkAvailable(Struct, frozen=True, kw_only=True):
    """The runner is present."""

    at: datetime


InstanceCommand = Register | Adjust | MarkUnavailable | MarkAvailable

INITIAL = InstanceState()


def decide(command: InstanceCommand, state: InstanceState) -> tuple[InstanceEvent, ...]:
    """Return what a command leads to; raises NotFound for an instance nobody registered."""
    if isinstance(command, Register):
        return _register(command, state)
    if not state.id:
        raise NotFound("Instance")
    match command:
        case Adjust():
            return _adjust(command, state)
        case MarkUnavailable():
            if not state.available:
                return ()
            return (InstanceUnavailable(id=state.id, at=command.at, reason=command.reason),)
        case MarkAvailable():
            return () if state.available else (InstanceAvailable(id=state.id, at=command.at),)
        case _:
            assert_never(command)


def evolve(state: InstanceState, event: InstanceEvent) -> InstanceState:
    """Return the state behind an event."""
    match event:
        case InstanceRegistered():
            return msgspec.structs.replace(
                state,
                id=event.id,
                hostname=event.hostname,
                uuid=event.uuid,
                node_type=event.node_type,
                groups=event.groups,
                cpu=event.cpu,
                memory=event.memory,
                version=event.version,
                isolation=event.isolation,
                isolation_lacks=event.isolation_lacks,
                available=True,
            )
        case InstanceAdjusted():
            return msgspec.structs.replace(
                state,
                enabled=event.enabled,
                adjustment=event.capacity_adjustment,
                managed_by_policy=event.managed_by_policy,
            )
        case InstanceUnavailable():
            return msgspec.structs.replace(state, available=False)
        case InstanceAvailable():
            return msgspec.structs.replace(state, available=True)
        case _:
            assert_never(event)


INSTANCE: Decider[InstanceCommand, InstanceEvent, InstanceState] = Decider(
    initial=INITIAL, decide=decide, evolve=evolve
)


def _register(command: Register, state: InstanceState) -> tuple[InstanceEvent, ...]:
    told = command.runner
    registered = InstanceRegistered(
        id=state.id or command.id,
        hostname=told.runner,
        uuid=state.uuid or command.uuid,
        node_type=told.node_type,
        groups=told.groups,
        cpu=told.cpu,
        memory=told.memory,
        version=told.version,
        isolation=told.isolation,
        isolation_lacks=told.isolation_lacks,
        at=command.at,
    )
    return () if evolve(state, registered) == state else (registered,)


def _adjust(command: Adjust, state: InstanceState) -> tuple[InstanceEvent, ...]:
    def chosen(wanted: bool | None, current: bool) -> bool:  # noqa: FBT001 - a pair of values
        return current if wanted is None else wanted

    adjusted = InstanceAdjusted(
        id=state.id,
        enabled=chosen(command.enabled, state.enabled),
        capacity_adjustment=(
            state.adjustment if command.adjustment is None else command.adjustment
        ),
        managed_by_policy=chosen(command.managed_by_policy, state.managed_by_policy),
    )
    return () if evolve(state, adjusted) == state else (adjusted,)
