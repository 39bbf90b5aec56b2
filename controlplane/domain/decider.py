"""The decider: how an aggregate decides about commands and evolves by its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from msgspec import Struct

C = TypeVar("C")
E = TypeVar("E")
S = TypeVar("S")


class Decider(Struct, Generic[C, E, S], frozen=True, kw_only=True):
    """Pure: ``decide`` raises Rejected or returns events, ``evolve`` applies one."""

    initial: S
    decide: Callable[[C, S], tuple[E, ...]]
    evolve: Callable[[S, E], S]


def fold(decider: Decider[C, E, S], events: Iterable[E], state: S | None = None) -> S:
    """Return the state that a history leads to, from ``state`` or the beginning."""
    current = decider.initial if state is None else state
    for event in events:
        current = decider.evolve(current, event)
    return current
