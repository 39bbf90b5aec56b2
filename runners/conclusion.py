"""How an attempt ended, by its journal, if nobody said so (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from runners.journal import Entry, Final, JournalEvent, PlaybookStats, Position, read_stats

LOST = "The supervisor of the job was lost"
RECAPPED = frozenset({"job", "ad_hoc_command"})
"""Kinds whose recap is the whole result; an update is worth nothing without what it brought."""


def conclude(entries: Iterable[Entry], at: str, kind: str = "job") -> Final:
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
    if stats is None or kind not in RECAPPED:
        return Final(status="error", created=at, explanation=LOST, ansible_pid=pid, after=after)
    status = "failed" if stats.failed else "successful"
    told = f"{LOST}; the result is that of the recap"
    return Final(status=status, created=at, explanation=told, ansible_pid=pid, after=after)
