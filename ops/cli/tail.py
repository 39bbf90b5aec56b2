"""``playlog tail JOB``: a job's output from the first line, then following, over NATS alone."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import msgspec
from nats.aio.client import Client

import schemas.catalog  # noqa: F401 - knows every tag that is decoded here
from ops import blobs, connect, direct, pull
from ops.cli.deployment import client_settings
from ops.settings import Settings
from ops.stopping import stopped
from schemas import envelope, subjects
from schemas.events.job import JobDeleted, JobFinished, JobLaunched
from schemas.output import Frame
from schemas.streams import JOBS, OUTPUT

NO_SUCH_JOB = 2
_frame = msgspec.json.Decoder(Frame)


async def run(data: Path | None, job: int) -> int:
    """Print a job's output as it happens; returns 0 when it succeeded, 1 when not, 2 without it."""
    told = client_settings(data)
    await _reach(told)
    connection = await connect.connect_nats(told.nats_url, told.nats_creds_file, "tail")
    try:
        launched = await _launched(connection, job)
        if launched is None:
            print(f"there is no job {job}", file=sys.stderr)
            return NO_SUCH_JOB
        return await _Tail(connection, job, launched.organization or 0).run()
    finally:
        await connect.close_quietly(connection)


async def _reach(told: Settings) -> None:
    """Fail at once when no server is there; one that goes away later is waited for."""
    probe = await connect.connect_nats(
        told.nats_url, told.nats_creds_file, "tail probe", patient=False
    )
    await connect.close_quietly(probe)


async def _launched(connection: Client, job: int) -> JobLaunched | None:
    for message in await direct.by_subject(connection, JOBS.name, subjects.job(job)):
        wire = envelope.decode_wire(message.data)
        for event in envelope.recorded(message.sequence, message.subject, wire, wire.events).events:
            if isinstance(event, JobLaunched):
                return event
    return None


class _Tail:
    """Prints frames in order until the job has ended and its last event is printed."""

    def __init__(self, connection: Client, job: int, organization: int) -> None:
        self._connection = connection
        self._job = job
        self._organization = organization
        self._blobs = blobs.Blobs(connection)
        self._end: JobFinished | None = None
        self._gone = False
        self._printed: dict[int, int] = {}
        self._moved = asyncio.Event()

    async def run(self) -> int:
        tasks = [
            asyncio.create_task(self._follow_output()),
            asyncio.create_task(self._follow_job()),
        ]
        try:
            while not self._complete():
                self._moved.clear()
                waiting = asyncio.create_task(self._moved.wait())
                done, _ = await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                for task in done - {waiting}:
                    task.result()
        finally:
            await stopped(tasks)
        sys.stdout.flush()
        print(self._ending(), file=sys.stderr)
        return 0 if self._end is not None and self._end.status == "successful" else 1

    def _ending(self) -> str:
        if self._end is None:
            return f"job {self._job} was deleted"
        why = f": {self._end.explanation}" if self._end.explanation else ""
        return f"job {self._job} is {self._end.status}{why}"

    def _complete(self) -> bool:
        if self._gone:
            return True
        end = self._end
        return end is not None and self._printed.get(end.attempt, 0) >= end.last_counter

    async def _follow_output(self) -> None:
        pattern = f"output.{self._organization}.{self._job}.*"
        async for messages in pull.follow(self._connection, OUTPUT.name, 0, filters=[pattern]):
            for message in messages:
                await self._print(_frame.decode(message.data))
            with contextlib.suppress(ValueError):
                sys.stdout.flush()
            self._moved.set()

    async def _print(self, frame: Frame) -> None:
        for event in frame.events:
            if event.counter <= self._printed.get(frame.attempt, 0):
                continue
            text = event.stdout
            if event.body is not None:
                raw = await self._blobs.get(event.body)
                whole = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
                text = msgspec.json.decode(whole["stdout"], type=str)
            if text:
                sys.stdout.write(text.replace("\r\n", "\n"))
                if not text.endswith("\n"):
                    sys.stdout.write("\n")
            self._printed[frame.attempt] = event.counter

    async def _follow_job(self) -> None:
        subject = subjects.job(self._job)
        async for messages in pull.follow(self._connection, JOBS.name, 0, filters=[subject]):
            for message in messages:
                wire = envelope.decode_wire(message.data)
                record = envelope.recorded(message.sequence, message.subject, wire, wire.events)
                for event in record.events:
                    if isinstance(event, JobFinished):
                        self._end = event
                    self._gone = self._gone or isinstance(event, JobDeleted)
            self._moved.set()
