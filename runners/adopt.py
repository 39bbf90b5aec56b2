"""What to do with an attempt found on this machine, and how it ended if nobody said (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct

from runners.journal import Entry, Final, JournalEvent, PlaybookStats, Position, read_stats

LOST = "The supervisor of the job was lost"


class Found(Struct, frozen=True, kw_only=True):
    """What an agent sees of one attempt."""

    started: bool
    """A supervisor has taken charge of its directory, once."""
    supervised: bool
    """That supervisor lives."""
    playing: bool
    """Processes with the attempt's mark live."""
    final: bool
    """The journal has its final frame."""


class Step(Enum):
    """What to do next."""

    START = "start"
    """Start a supervisor: none ever was."""
    FOLLOW = "follow"
    """Publish the journal; its supervisor lives."""
    WAIT = "wait"
    """Publish the journal until the playbook ends by itself; its supervisor is gone."""
    CONCLUDE = "conclude"
    """Publish the rest; without a final frame derive one by ``conclude``, and sweep."""


def next_step(found: Found) -> Step:
    """Decide about an attempt; the same at a restart of the agent and while it runs."""
    if not found.started:
        return Step.START
    if found.final:
        return Step.CONCLUDE
    if found.supervised:
        return Step.FOLLOW
    return Step.WAIT if found.playing else Step.CONCLUDE


def conclude(entries: Iterable[Entry], at: str) -> Final:
    """Return how an attempt ended by its whole journal: its final frame, else what the recap says.

    ``at`` is the time (ISO-8601 UTC) to give a derived end.

    A playbook that was cut off before its recap is an error: nobody can say what it did last.
    """
    stats: PlaybookStats | None = None
    after, pid = Position(), 0
    for entry in entries:
        after = entry.after
        match entry:
            case Final():
                return entry
            case JournalEvent():
                pid = pid or entry.pid
                if entry.event.event == "playbook_on_stats":
                    stats = read_stats(entry.event)
    if stats is None:
        return Final(status="error", created=at, explanation=LOST, ansible_pid=pid, after=after)
    status = "failed" if stats.failed else "successful"
    told = f"{LOST}; the result is that of the recap"
    return Final(status=status, created=at, explanation=told, ansible_pid=pid, after=after)
