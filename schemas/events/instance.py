"""Facts about instances (machines with a runner agent), stored on ``config.instance.<id>``."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.registry import event


@event("instance.registered.v1")
class InstanceRegistered(Struct, frozen=True, kw_only=True):
    """A runner announced itself for the first time, or again with other facts."""

    id: int
    hostname: str
    uuid: str
    node_type: str
    groups: tuple[str, ...]
    cpu: float
    memory: int
    """Bytes."""
    version: str
    isolation: tuple[str, ...] = ()
    """What works there of ``container``, ``sandbox``, ``limits``."""
    isolation_lacks: tuple[str, ...] = ()
    """What does not, and why."""
    at: datetime


@event("instance.adjusted.v1")
class InstanceAdjusted(Struct, frozen=True, kw_only=True):
    """An administrator changed what the instance may take."""

    id: int
    enabled: bool
    capacity_adjustment: float
    """0..1: between the lower and the higher of cpu and memory capacity."""
    managed_by_policy: bool = True


@event("instance.unavailable.v1")
class InstanceUnavailable(Struct, frozen=True, kw_only=True):
    """The runner's presence lapsed."""

    id: int
    at: datetime
    reason: str


@event("instance.available.v1")
class InstanceAvailable(Struct, frozen=True, kw_only=True):
    """The runner is present again."""

    id: int
    at: datetime


InstanceEvent = InstanceRegistered | InstanceAdjusted | InstanceUnavailable | InstanceAvailable
