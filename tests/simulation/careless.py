"""Programs with one rule broken each: the simulation must find every one of them."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import cast

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from controlplane.domain.board import Board
from controlplane.domain.canceling import Deliveries, Delivery
from controlplane.domain.claiming import Asked
from controlplane.domain.dispatch import Outbox
from controlplane.domain.errors import NotFound
from controlplane.domain.job import Claim, ConfirmCancel, JobCommand, JobState, Withdraw
from controlplane.domain.loss import Present
from controlplane.processes import main
from controlplane.processes.cancels import Cancels
from controlplane.processes.claims import Claims
from controlplane.processes.dispatcher import Dispatcher
from controlplane.processes.loop import Loop, Tools
from controlplane.processes.lost_runners import Command, LostRunners
from controlplane.processes.runner_reports import RunnerReports
from controlplane.shell.jetstream_store import JetStreamStore
from ops import clock, direct
from ops.pull import StreamMessage
from projections.projection import Projection
from runners.spec import SUPERVISOR_FILE, Secrets
from schemas import subjects
from schemas.envelope import Recorded
from schemas.events.job import JobFinished, JobLaunched
from schemas.output import AttemptFinished, StoredReport
from schemas.work import CancelRequest, Grant
from tests.simulation.control import Control, Loops
from tests.simulation.loop import Loop as EventLoop
from tests.simulation.machine import Agent, Machine, Processes, Supervisor
from tests.simulation.projector import Projector, Stored
from tests.simulation.read_model import Messages
from tests.simulation.streams import Headers
from tests.simulation.wire import Hub, Wire

LATE_S = 100.0


class GrantsUnasked(Claims):
    """Answers a claim without having appended it."""

    async def _grant(
        self, tools: Tools, asked: Asked, command: Claim, sealed: tuple[str, str]
    ) -> Grant:
        return Grant(granted=True, sealed=sealed[0], nats_creds=sealed[1])


class _Once(Outbox):
    def due(self, board: Board, now_s: float) -> list[tuple[JobState, bool]]:
        """Nothing is ever due again."""
        return [(state, again) for state, again in super().due(board, now_s) if not again]

    def clear(self) -> None:
        """Believe that everything arrived."""


class LeavesPlaced(Dispatcher):
    """Waits for ever for a runner that a job was placed for."""

    async def _do(
        self, tools: Tools, job: int, command: JobCommand, trace: str | None = None
    ) -> int:
        if isinstance(command, Withdraw):
            return 0
        return await super()._do(tools, job, command, trace)


class SendsOnce(LeavesPlaced):
    """Never sends an order again, nor places an attempt anew that nobody took."""

    def __init__(self) -> None:
        super().__init__()
        self._outbox = _Once()


class _Told(Deliveries):
    def due(self, board: Board, present: Present, now_s: float) -> list[Delivery]:
        """Tell nobody again."""
        return [each for each in super().due(board, present, now_s) if each.wanted]


class GivesUpUnheard(LostRunners):
    """Tries a job again although the lost attempt's end stands in REPORTS."""

    async def _do(self, tools: Tools, launched: JobLaunched, command: Command) -> None:
        with contextlib.suppress(NotFound):
            await tools.job(self.name, launched.id, command)


class _Hasty(Deliveries):
    def due(self, board: Board, present: Present, now_s: float) -> list[Delivery]:
        """Take whatever a runner holds for what its job has left."""
        held = [
            Delivery(job=job, attempt=attempt, runner=runner, wanted=False)
            for runner, running in present.items()
            for job, attempt in running
        ]
        return [*super().due(board, present, now_s), *held]


class EndsWhatStands(Cancels):
    """Tells runners to end attempts that their jobs stand for."""

    def __init__(self) -> None:
        super().__init__()
        self._deliveries = _Hasty()


class TellsOnce(Cancels):
    """Takes any answer of a runner for the confirmation of a cancel, and tells it no more."""

    def __init__(self) -> None:
        super().__init__()
        self._deliveries = _Told()

    async def _deliver(self, tools: Tools, delivery: Delivery) -> None:
        self._deliveries.delivered(delivery, clock.monotonic())
        request = CancelRequest(job=delivery.job, attempt=delivery.attempt)
        subject = subjects.control(delivery.runner, "cancel")
        await tools.connection.publish(subject, msgspec.json.encode(request), reply="_INBOX.nobody")
        command = ConfirmCancel(attempt=delivery.attempt, runner=delivery.runner)
        await tools.job(self.name, delivery.job, command)


class BelievesSignals(RunnerReports):
    """Appends the end that a runner reports, whoever signalled its supervisor."""

    async def _handle(self, tools: Tools, message: StreamMessage) -> None:
        report = msgspec.json.decode(message.data, type=StoredReport).report
        place = subjects.parse_attempt(message.subject)
        state = tools.keeper.board.active.get(place.job)
        if not isinstance(report, AttemptFinished) or report.status != "canceled" or state is None:
            await super()._handle(tools, message)
            return
        ended = JobFinished(
            status="canceled",
            finished=clock.now(),
            attempt=state.attempt,
            last_counter=report.last_counter,
        )
        made = tools.context(self.name, message_id=f"report-{message.sequence}")
        await tools.store.append(subjects.job(place.job), made, (ended,))


class ReadsAnyReplica(JetStreamStore):
    """Decides on a history without asking the leader whether it is whole."""

    async def load(self, subject: str) -> list[Recorded]:
        """Take what any replica says."""
        stream = "JOBS" if subject.startswith("job.") else "CONFIG"
        found = await direct.by_subject(self._connection, stream, subject)
        return [await self.decode(each) for each in found]


class LaggingControl(Control):
    """A control plane that reads so."""

    store = ReadsAnyReplica


class HearsLate(RunnerReports):
    """Hangs at each report, longer than a lost runner is waited for; it breaks no rule."""

    async def _handle(self, tools: Tools, message: StreamMessage) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), LATE_S)
        await super()._handle(tools, message)


def with_loops(*others: type[Loop]) -> Loops:
    """Return the dispatcher's loops, some in place of the sound ones that they derive from."""

    def loops() -> tuple[Loop, ...]:
        return tuple(
            next((other() for other in others if issubclass(other, type(each))), each)
            for each in main.loops()
        )

    return loops


class StoresUnfenced(Projector):
    """Moves the checkpoint wherever it stands."""

    def store(self, projection: Projection, batch: Messages, old: int, new: int) -> Stored:
        """Ask for no condition."""
        self.database.begin()
        self.database.apply(projection, batch)
        self.database.put(projection.name, new)
        self.database.commit()
        yield 0.0
        return True


class StoresApart(Projector):
    """Commits rows first and the checkpoint later."""

    def store(self, projection: Projection, batch: Messages, old: int, new: int) -> Stored:
        """Use two transactions."""
        self.database.begin()
        self.database.apply(projection, batch)
        self.database.commit()
        yield 0.1
        self.database.put(projection.name, new)
        return True


class SkipsOne(Projector):
    """Leaves a message out when its transaction broke, and goes on behind it."""

    def store(self, projection: Projection, batch: Messages, old: int, new: int) -> Stored:
        """Move the checkpoint without the rows."""
        if self.dies():
            self.database.put(projection.name, new)
            return True
        return (yield from super().store(projection, batch, old, new))


class NeverLooks(Projector):
    """Waits for the next message, whatever became of the tables."""

    def stands(self, projection: Projection, life: int, position: int) -> bool:
        """Believe it."""
        return True


class _Blind(Processes):
    def __init__(self, machine: Machine, loop: EventLoop) -> None:
        super().__init__(machine, loop)
        self._mine: set[Path] = set()

    async def spawn(self, job_dir: Path, secrets: Secrets) -> Supervisor:
        """Start one whoever was there before."""
        (job_dir / SUPERVISOR_FILE).unlink(missing_ok=True)
        self._mine.add(job_dir)
        return await super().spawn(job_dir, secrets)

    def supervisor(self, job_dir: Path) -> Supervisor | None:
        """See those that this agent has started."""
        return super().supervisor(job_dir) if job_dir in self._mine else None


class StartsAgain(Machine):
    """Its agent does not look for the mark of a supervisor."""

    def processes_of(self, loop: EventLoop) -> Processes:
        """What it sees."""
        return _Blind(self, loop)


class _Impatient(Processes):
    def marked(self, job_dir: Path) -> list[int]:
        """See nothing."""
        return []


class LosesJournals(Machine):
    """Its agent takes the supervisor's end for the playbook's, and removes what still grows."""

    def processes_of(self, loop: EventLoop) -> Processes:
        """What it sees."""
        return _Impatient(self, loop)


class _Optimist(Wire):
    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 1.0,
        headers: Headers | None = None,
    ) -> Msg:
        """Take what is not answered for stored."""
        try:
            return await super().request(subject, payload, timeout, headers)
        except nats.errors.TimeoutError:
            if not subject.startswith(("output.", "report.")):
                raise
            told = b'{"stream": "", "seq": 1}'
            return Msg(cast("Client", self), "", "", told)


class BelievesInAcks(Machine):
    """Its agent takes what nobody acknowledged for stored."""

    def agent_of(self, hub: Hub) -> Agent:
        """One with such a connection."""
        agent = super().agent_of(hub)
        agent.wire = _Optimist
        return agent
