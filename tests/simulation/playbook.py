"""A simulated supervisor and its playbook: they write a real journal, and die apart or together."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path

from runners.journal import FINAL, STATUS, JournalWriter
from runners.record import Record
from runners.redact import mask_of
from runners.report import start_word
from runners.spec import CONTENT_FILE, JOURNAL_FILE
from schemas.work import ProjectSync
from tests.simulation.invariants import Key, Witness
from tests.simulation.loop import Loop
from tests.simulation.scheduler import Scheduler, Steps

FRAME_S = 0.5
LAST_WORD_S = 0.2
"""So long a supervisor takes from the end of its playbook to the last frame."""
FAILS = 0.2
SYNC_FAILS = 0.05
NOTHING = mask_of([])


class Play:
    """One attempt's processes: the supervisor, the playbook, and what they have written."""

    def __init__(self, pid: int, record: Record, directory: Path, witness: Witness) -> None:
        self.pid = pid
        self.record = record
        self.directory = directory
        self.supervised = True
        self.playing = True
        self.signalled = False
        self._witness = witness
        self._waiting: list[tuple[Loop, asyncio.Event]] = []

    @property
    def key(self) -> Key:
        """Which attempt."""
        return self.record.key

    def steps(self, scheduler: Scheduler) -> Steps:
        """Play to the end; the order's time limit stands for the playbook's length."""
        journal = JournalWriter(self.directory / JOURNAL_FILE, NOTHING)
        try:
            yield from self._steps(journal, scheduler)
        finally:
            journal.close()

    def _steps(self, journal: JournalWriter, scheduler: Scheduler) -> Steps:
        chance = scheduler.random
        journal.control(STATUS, status=start_word(self.record), job_args=["play"], job_cwd="/")
        yield chance.random() * FRAME_S
        for number in range(self.record.order.timeout_s):
            if self.signalled and self.supervised:
                self._end_playbook()
            if not self.playing:
                break
            self._event(journal, "verbose", f"line {number}", {})
            yield FRAME_S
        is_sync = isinstance(self.record.order.payload, ProjectSync)
        failed = chance.random() < (SYNC_FAILS if is_sync else FAILS)
        if self.playing and not is_sync:
            hosts = {"h": 1}
            recap = {"ok": {} if failed else hosts, "failures": hosts if failed else {}}
            self._event(journal, "playbook_on_stats", "", recap)
        ran = self.playing
        self._end_playbook()
        yield chance.random() * LAST_WORD_S
        if self.supervised:
            self._last_word(journal, "failed" if failed else "successful" if ran else "canceled")
            self.end_supervisor()

    def _event(
        self, journal: JournalWriter, kind: str, text: str, data: Mapping[str, object]
    ) -> None:
        written = self._witness.wrote[self.key]
        uuid = f"{self.record.ident}-{len(written) + 1}"
        created = self.record.order.created.isoformat()
        event = {"event": kind, "uuid": uuid, "created": created, "pid": self.pid}
        journal.event({**event, "event_data": data}, f"{text}\n")
        written.append(uuid)

    def _last_word(self, journal: JournalWriter, status: str) -> None:
        if self.signalled:
            status = "canceled"
        told: dict[str, object] = {"status": status, "rc": 0, "explanation": ""}
        if isinstance(self.record.order.payload, ProjectSync) and status == "successful":
            content = f"the tree of project {self.record.order.payload.project}".encode()
            (self.directory / CONTENT_FILE).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            told |= {"content_sha256": digest, "scm_revision": digest[:8]}
        journal.control(FINAL, **told)

    # -- ends --------------------------------------------------------------------------------

    def _end_playbook(self) -> None:
        self.playing = False
        self._witness.ends(self.key)

    def kill_playbook(self) -> None:
        """By SIGKILL."""
        if self.playing:
            self._end_playbook()

    def end_supervisor(self) -> None:
        """It has ended, or is killed: what it started goes on."""
        self.supervised = False
        for loop, event in self._waiting:
            loop.call_soon(event.set)
        self._waiting.clear()

    async def supervisor_ended(self, loop: Loop) -> None:
        """Wait for the supervisor's end."""
        if self.supervised:
            event = asyncio.Event()
            self._waiting.append((loop, event))
            await event.wait()
