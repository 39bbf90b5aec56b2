"""Publishes an attempt's journal: every event once, in order, from wherever the stream stands.

The stream's last frame is the only checkpoint. The first event goes at once; those that follow
within ``LINGER_S`` share frames. Nothing is dropped: what cannot be published stays in the journal.

Where a frame of a backlog ends depends on nothing but where it begins and on the journal: sent
again after a lost connection it is the same message, with its id, and the stream keeps it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from ops import clock, signals
from runners import framing, report
from runners.held import HeldAttempt
from runners.insist import DISTURBED, pause_s
from runners.journal import Entry, JournalEvent, JournalReader, Position
from runners.outlet import Conflict, Outlet
from runners.spec import JOURNAL_FILE
from runners.steps.inventory import Hosts
from runners.summary import Summary
from schemas.output import FRAME_BYTES_MAX, StoredReport

LINGER_S = 0.05
"""Longest wait of an event that follows another for more to share its frame (seconds)."""

_log = structlog.get_logger()

Store = Callable[[bytes], Awaitable[str]]
"""Puts a body into BLOBS; returns its sha256."""


class Emitter:
    """Follows one journal to its end."""

    def __init__(self, held: HeldAttempt, outlet: Outlet, runner: str, store: Store) -> None:
        """Publish through ``outlet`` in the name of ``runner``; bodies go to ``store``."""
        self._held = held
        self._outlet = outlet
        self._runner = runner
        self._store = store
        self._reader = JournalReader(held.directory / JOURNAL_FILE)
        self._started_told = False
        self._sent_at = 0.0
        self._framed = 0
        """Where the journal's last published event ends."""
        self.hosts = Hosts()
        self.summary = Summary(report.start_word(held.record))
        self.wake = asyncio.Event()
        """Set whenever there may be more to read."""
        self.is_over = False
        """True when nobody writes the journal any more; set it before ``wake``."""
        self.position = Position()
        """Everything before it is acknowledged."""

    @property
    def ansible_pid(self) -> int:
        """Return the pid that the journal's first event names; 0 while it has none."""
        return self.summary.ansible_pid

    def unpublished(self) -> int:
        """Return how many bytes of the journal are not acknowledged."""
        return max(0, self._reader.size() - self.position.offset)

    def catch_up(self) -> None:
        """Learn all that the journal says now, published or not."""
        self.summary.catch_up(self._reader, self._reader.size())

    async def run(self) -> None:
        """Publish until the final frame, or to the journal's end once it is over. Raises Erased."""
        failures = 0
        while True:
            try:
                self.position = await self._resume()
                failures = 0
                await self._follow()
            except Conflict:
                _log.info("journal.resumed", attempt=self._held.record.ident)
            except DISTURBED as error:
                _log.warning("journal.waiting", attempt=self._held.record.ident, why=repr(error))
                await asyncio.sleep(pause_s(failures))
                failures += 1
            else:
                return

    async def _resume(self) -> Position:
        """Take the place that the streams give. Raises Lost, Erased."""
        stored = await self._outlet.last_report()
        self._started_told = self._started_told or stored is not None
        frame = await self._outlet.last_frame()
        self._framed = 0 if frame is None else frame.offset
        if frame is None:
            return Position()
        position = Position(offset=frame.offset, counter=frame.last, line=frame.events[-1].end_line)
        self.summary.catch_up(self._reader, position.offset)
        return position

    async def _follow(self) -> None:
        while self.summary.final is None or self.position.offset < self.summary.after.offset:
            over = self.is_over
            self.wake.clear()
            await self._pace()
            entries = self._reader.entries(self.position)
            if not entries:
                if over:
                    break
                await self.wake.wait()
                continue
            await self._publish(entries)
        await self._tell_start()

    async def _pace(self) -> None:
        """Let events that follow one another closely share a frame."""
        waiting = self.unpublished()
        rest = self._sent_at + LINGER_S - clock.monotonic()
        if waiting < FRAME_BYTES_MAX and rest > 0:
            await asyncio.sleep(rest)

    async def _publish(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.summary.feed(entry)
        if self.ansible_pid:
            self._held.begun()
        await self._tell_start()
        events = [entry for entry in entries if isinstance(entry, JournalEvent)]
        *full, rest = [*framing.split(events, self._framed)] or [()]
        for each in full:
            await self._send(each)
        if full and self._reader.size() > entries[-1].after.offset:
            return  # the rest shares its frame with what follows
        if rest:
            await self._send(rest)
        self.position = entries[-1].after

    async def _send(self, run: Sequence[JournalEvent]) -> None:
        """Publish a run of events as a frame, behind the bodies that it refers to."""
        cut = framing.cut(self._held.record, run, self.hosts.ids)
        for body in cut.bodies:
            await self._store(body)
        signals.reach(signals.Point.JOURNAL_BEFORE_PUBLISH)
        await self._outlet.frame(cut.frame, cut.message_id)
        self._sent_at = clock.monotonic()
        self.position = run[-1].after
        self._framed = self.position.offset

    async def _tell_start(self) -> None:
        """Report the start once, before the first frame: who reads in order learns it first."""
        told = report.started(self._runner, self.summary)
        if self._started_told or told is None:
            return
        record = self._held.record
        stored = StoredReport(report=told, traceparent=record.order.traceparent)
        await self._outlet.report(stored, f"{record.ident}-started")
        self._started_told = True
