"""Output and reports of a job that the control plane runs itself, as a runner gives them.

The last frame in the stream is the only checkpoint: who goes on writes behind it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from nats.js.errors import NotFoundError

from controlplane.processes.loop import Tools
from ops import clock, direct
from schemas import subjects
from schemas.events.job import JobLaunched, kind_of
from schemas.output import AnsibleEvent, AttemptFinished, AttemptStarted, Frame, StoredReport
from schemas.streams import OUTPUT

_frame = msgspec.json.Decoder(Frame)
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"


class OwnOutput:
    """Writes one attempt's events and reports."""

    def __init__(self, tools: Tools, launched: JobLaunched, attempt: int, runner: str) -> None:
        """Write in the name of ``runner``; call ``resume`` first."""
        self._tools = tools
        self._launched = launched
        self._place = subjects.Attempt(launched.organization or 0, launched.id, attempt)
        self._runner = runner
        self._sequence = 0
        self._counter = 0
        self._line = 0

    async def resume(self) -> bytes:
        """Go on behind what is stored; returns the data of the last event."""
        subject = subjects.output(self._place)
        try:
            message = await direct.last_by_leader(self._tools.connection, OUTPUT.name, subject)
        except NotFoundError:
            return b""
        last = _frame.decode(message.data).events[-1]
        self._sequence, self._counter, self._line = message.sequence, last.counter, last.end_line
        return bytes(last.event_data)

    async def say(self, text: str, data: Any) -> None:
        """Store one event: its line of output, or none, and its data."""
        lines = 1 if text else 0
        event = AnsibleEvent(
            counter=self._counter + 1,
            uuid=f"{self._place.job}-{self._place.attempt}-{self._counter + 1}",
            event="verbose",
            created=clock.iso(clock.now()),
            stdout=text,
            start_line=self._line,
            end_line=self._line + lines,
            event_data=msgspec.Raw(msgspec.json.encode(data)),
        )
        frame = Frame(
            job=self._place.job,
            attempt=self._place.attempt,
            kind=str(kind_of(self._launched.record)),
            created=clock.iso(self._launched.created),
            first=event.counter,
            last=event.counter,
            offset=event.counter,
            events=(event,),
        )
        subject = subjects.output(self._place)
        headers = {
            "Nats-Msg-Id": f"{event.uuid}-frame",
            _EXPECTED: str(self._sequence),
        }
        body = msgspec.json.encode(frame)
        answer = await self._tools.connection.jetstream().publish(subject, body, headers=headers)
        self._sequence, self._counter = answer.seq, event.counter
        self._line = event.end_line

    async def started(self, arguments: tuple[str, ...]) -> None:
        """Report what runs."""
        report = AttemptStarted(at=clock.now(), runner=self._runner, job_args=arguments)
        await self._report(StoredReport(report=report), "started")

    async def finished(self, started: datetime, status: str, explanation: str = "") -> None:
        """Report the end: the job has it from there, as it has a runner's."""
        report = AttemptFinished(
            at=clock.now(),
            runner=self._runner,
            started=started,
            kind=str(kind_of(self._launched.record)),
            status=status,
            rc=0 if status == "successful" else 1,
            explanation=explanation,
            last_counter=self._counter,
        )
        await self._report(StoredReport(report=report), "finished")

    async def _report(self, report: StoredReport, word: str) -> None:
        ident = f"{self._place.job}-{self._place.attempt}"
        subject, body = subjects.report(self._place), msgspec.json.encode(report)
        headers = {"Nats-Msg-Id": f"{ident}-{word}"}
        await self._tools.connection.jetstream().publish(subject, body, headers=headers)
