"""What a journal says about its attempt as a whole, folded entry by entry (pure)."""

from __future__ import annotations

from runners.journal import (
    Entry,
    Final,
    JournalEvent,
    JournalReader,
    PlaybookStats,
    Position,
    Status,
    read_stats,
)


class Summary:
    """Folds a journal's entries, each once however often it is read."""

    def __init__(self, start_word: str) -> None:
        """``start_word`` is the supervisor's status that says that the job runs."""
        self._start_word = start_word
        self.after = Position()
        self.start: Status | None = None
        """What was started, where and when."""
        self.stats: PlaybookStats | None = None
        self.final: Final | None = None
        self.ansible_pid = 0
        """Who wrote the first event; 0 when unknown."""
        self.plays = 0
        self.tasks = 0

    def catch_up(self, reader: JournalReader, offset: int) -> None:
        """Fold what the journal holds up to an offset at least."""
        while self.after.offset < offset and (batch := reader.entries(self.after)):
            for entry in batch:
                self.feed(entry)

    def feed(self, entry: Entry) -> None:
        """Fold one entry; what was folded before is passed over."""
        if entry.after.offset <= self.after.offset:
            return
        self.after = entry.after
        match entry:
            case Status():
                if self.start is None and entry.status == self._start_word:
                    self.start = entry
            case Final():
                self.final = entry
            case JournalEvent():
                self.ansible_pid = self.ansible_pid or entry.pid
                self._count(entry)

    def _count(self, entry: JournalEvent) -> None:
        match entry.event.event:
            case "playbook_on_play_start":
                self.plays += 1
            case "playbook_on_task_start":
                self.tasks += 1
            case "playbook_on_stats":
                self.stats = read_stats(entry.event)
