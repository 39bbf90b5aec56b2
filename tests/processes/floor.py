"""One dispatcher's tools over a real server, and what a test does in place of API and runners."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.client import Client

from controlplane.domain.job import JOB, JobCommand, JobState, Launch
from controlplane.processes.board_keeper import BoardKeeper
from controlplane.processes.loop import Loop, Tools, keep_running
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.numbers import Numbers
from controlplane.shell.transact import fold_history
from controlplane.shell.vault import MasterKey, Vault
from ops import clock, connect, ids, pull, sealing
from ops.settings import Settings
from ops.stopping import stopped
from ops.telemetry import Tracer
from schemas import subjects
from schemas.events.instance import InstanceRegistered
from schemas.events.job import JobLaunched, PlaybookLaunch
from schemas.output import Report, StoredReport
from schemas.registry import Event
from schemas.streams import PRESENCE, WORK
from schemas.subjects import Attempt
from schemas.work import ClaimRequest, Grant, Presence, WorkOrder
from tests.factories import context, launched
from tests.waiting import soon

GIB = 1 << 30
KEY = sealing.SealingKey(bytes(range(32)))
RECORD = PlaybookLaunch(job_template=7, inventory=3, project=None, playbook="site.yml")
WITHIN_S = 40.0


class Floor:
    """One process of the dispatcher role: its connection, its board, the loops it was given."""

    def __init__(self, connection: Client, directory: Path, lost_grace_s: float) -> None:
        """Nothing runs yet."""
        self.connection = connection
        self.store = JetStreamStore(connection)
        self.tools = Tools(
            settings=Settings(
                data=directory,
                node="n",
                lease_ttl_s=1,
                presence_ttl_s=1,
                lost_grace_s=lost_grace_s,
            ),
            connection=connection,
            store=self.store,
            numbers=Numbers(connection),
            vault=Vault(connection, MasterKey.load_or_create(directory / "master.key")),
            keeper=BoardKeeper(connection, self.store),
            tracer=Tracer("dispatcher", ""),
            identity=None,
        )
        self._tasks = [asyncio.create_task(self.tools.keeper.run(), name="board")]

    def run(self, *loops: Loop) -> None:
        """Keep loops running, each under its lease."""
        self._tasks += [asyncio.create_task(keep_running(each, self.tools)) for each in loops]

    async def die(self) -> None:
        """End as a killed process does: nothing is said to the server any more."""
        await connect.close_quietly(self.connection)
        await self.stop()

    async def stop(self) -> None:
        """End every task."""
        await stopped(self._tasks)

    # -- in place of the API -----------------------------------------------------------------

    async def config(self, subject: str, *events: Event) -> None:
        """Append to CONFIG."""
        await self.store.append(subject, context(ids.new_id()), events)

    async def runner(self, name: str, number: int, groups: tuple[str, ...] = ("default",)) -> None:
        """Register a runner of eight forks that is there for a while."""
        event = InstanceRegistered(
            id=number,
            hostname=name,
            uuid=name,
            node_type="execution",
            groups=groups,
            cpu=2.0,
            memory=3 * GIB,
            version="1",
            at=clock.now(),
        )
        await self.config(subjects.config("instance", number), event)

    async def launch(self, job: int, **changes: Any) -> JobLaunched:
        """Launch a job that needs nothing but a runner."""
        values = {
            "record": RECORD,
            "depends": (),
            "created": clock.now(),
            "template": 100 + job,
            **changes,
        }
        record = launched(job, **values)
        await self.job(job, Launch(launched=record))
        return record

    async def job(self, job: int, command: JobCommand) -> None:
        """Decide a command as some other process would."""
        await self.tools.job("test", job, command)

    async def state(self, job: int) -> JobState:
        """A job as the log has it."""
        return fold_history(JOB, await self.store.load(subjects.job(job)))

    async def becomes(self, job: int, *statuses: str) -> JobState:
        """Wait until a job has one of these statuses."""

        async def there() -> bool:
            return (await self.state(job)).status in statuses

        await soon(there, WITHIN_S)
        return await self.state(job)

    # -- in place of a runner ----------------------------------------------------------------

    async def present(self, runner: str, *running: tuple[int, int], ttl_s: int = 60) -> None:
        """Say that a runner is there and what it holds."""
        entry = Presence(runner=runner, at=clock.now(), sealing_key=KEY.public, running=running)
        await self.connection.jetstream().publish(
            subjects.kv(PRESENCE.name, subjects.token(runner)),
            msgspec.json.encode(entry),
            headers={"Nats-TTL": str(ttl_s)},
        )

    async def claim(self, runner: str, job: int, attempt: int = 1, *, name: str = "") -> Grant:
        """Ask for an attempt (in another's ``name``) until the service is there to answer."""
        request = ClaimRequest(
            runner=name or runner, job=job, attempt=attempt, sealing_key=KEY.public
        )
        found: list[Grant] = []

        async def answered() -> bool:
            with contextlib.suppress(Exception):
                answer = await self.connection.request(
                    subjects.claim(runner), msgspec.json.encode(request), timeout=5
                )
                found.append(msgspec.json.decode(answer.data, type=Grant))
            return bool(found)

        await soon(answered, WITHIN_S)
        return found[0]

    async def report(self, job: int, report: Report, attempt: int = 1) -> int:
        """Publish a report and return its sequence."""
        stored = StoredReport(report=report)
        answer = await self.connection.jetstream().publish(
            subjects.report(Attempt(1, job, attempt)), msgspec.json.encode(stored)
        )
        return answer.seq

    async def orders(self) -> list[tuple[str, WorkOrder]]:
        """Every order that waits, with its subject."""
        info = await self.connection.jetstream().stream_info(WORK.name)
        if not info.state.messages:
            return []
        found = []
        async for messages in _peek(self.connection, info.state.first_seq, info.state.last_seq):
            found += [
                (each.subject, msgspec.json.decode(each.data, type=WorkOrder)) for each in messages
            ]
        return found


async def _peek(
    connection: Client, first: int, last: int
) -> AsyncIterator[list[pull.StreamMessage]]:
    """Read orders without taking them: WORK is a work queue, which no reader may share."""
    context_ = connection.jetstream()
    for sequence in range(first, last + 1):
        with contextlib.suppress(Exception):
            message = await context_.get_msg(WORK.name, sequence)
            yield [pull.StreamMessage(sequence, message.subject or "", message.data or b"")]
