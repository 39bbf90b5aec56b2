"""Load, decide, append, retry on conflict: the write path of aggregates with their own subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from controlplane.domain.decider import Decider, fold
from controlplane.domain.errors import Unavailable
from controlplane.shell.event_store import Conflict, EventStore, SubjectPosition
from schemas.envelope import Context, Recorded
from schemas.registry import Event

C = TypeVar("C")
S = TypeVar("S")

ATTEMPTS = 50


class Transacted(Struct, Generic[S], frozen=True, kw_only=True):
    """What a command led to: its events and the state behind them."""

    position: int
    """Where its events stand; without any, the last transaction of the aggregate."""
    events: tuple[Event, ...]
    state: S


def fold_history(decider: Decider[C, Any, S], history: Sequence[Recorded]) -> S:
    """Return the state that an aggregate's stored transactions lead to."""
    return fold(decider, (event for record in history for event in record.events))


async def transact(
    store: EventStore,
    subject: str,
    decider: Decider[C, Any, S],
    command: C,
    context: Context,
    *,
    keys: Sequence[str] = (),
) -> Transacted[S]:
    """Decide a command on its aggregate and append what it decides, exactly once.

    Raises domain Rejected as the decider does, and Unavailable when the log cannot be reached or
    the aggregate is fought over for too long; nothing is stored then.
    """
    for _ in range(ATTEMPTS):
        history = await store.load(subject)
        position = history[-1].sequence if history else 0
        state = fold_history(decider, history)
        if any(record.context.id == context.id for record in history):
            return Transacted(position=position, events=(), state=state)
        events = decider.decide(command, state)
        if not events:
            return Transacted(position=position, events=(), state=state)
        try:
            sequence = await store.append(
                subject, context, events, keys=keys, expect=SubjectPosition(position)
            )
        except Conflict:
            continue
        return Transacted(position=sequence, events=events, state=fold(decider, events, state))
    raise Unavailable("Too many changes of the same object at once.")
