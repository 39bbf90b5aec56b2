"""Programs with one rule broken each: the simulation must find every one of them."""

from __future__ import annotations

from pathlib import Path

import nats.errors
from nats.aio.msg import Msg

from controlplane.domain import dispatch
from controlplane.domain.board import Board
from controlplane.domain.canceling import Deliveries, Delivery
from controlplane.domain.dispatch import Outbox
from controlplane.domain.job import (
    GiveUp,
    JobCommand,
    JobState,
    ReportFinished,
    Withdraw,
)
from controlplane.domain.loss import Present
from controlplane.domain.reporting import Heard
from projections.projection import Projection
from runners.spec import SUPERVISOR_FILE, Secrets
from schemas import subjects
from schemas.events.job import JobFinished
from schemas.work import ClaimRequest, Grant
from tests.simulation.control import Control
from tests.simulation.log import Server, at_once, context
from tests.simulation.loop import Loop
from tests.simulation.machine import Agent, Machine, Processes, Supervisor
from tests.simulation.network import Network
from tests.simulation.projector import Projector, Stored
from tests.simulation.read_model import Messages
from tests.simulation.streams import Headers
from tests.simulation.wire import Wire


class GrantsUnasked(Control):
    """Answers a claim without having appended it."""

    def granted(self, request: ClaimRequest, command: JobCommand) -> Grant:
        """Grant whatever is asked for."""
        return Grant(granted=True)


class _Once(Outbox):
    def due(self, board: Board, now_s: float) -> list[tuple[JobState, bool]]:
        """Nothing is ever due again."""
        return [(state, again) for state, again in super().due(board, now_s) if not again]

    def clear(self) -> None:
        """Believe that everything arrived."""


class SendsOnce(Control):
    """Never sends an order again, nor places an attempt anew that nobody took."""

    def outbox(self) -> Outbox:
        """One that sends once."""
        return _Once()

    def verdicts(self) -> list[tuple[int, dispatch.Verdict]]:
        """Withdraw nothing."""
        return [each for each in super().verdicts() if not isinstance(each[1], Withdraw)]


class LeavesPlaced(Control):
    """Waits for ever for a runner that a job was placed for."""

    def verdicts(self) -> list[tuple[int, dispatch.Verdict]]:
        """Withdraw nothing."""
        return [each for each in super().verdicts() if not isinstance(each[1], Withdraw)]


class _Told(Deliveries):
    def due(self, board: Board, present: Present, now_s: float) -> list[Delivery]:
        """Tell nobody again."""
        return [each for each in super().due(board, present, now_s) if each.wanted]


class GivesUpUnheard(Control):
    """Tries a job again although the lost attempt's end stands in REPORTS."""

    def confirmed(self, command: GiveUp, heard: Heard) -> GiveUp | None:
        """Do not look."""
        return command


class _Hasty(Deliveries):
    def due(self, board: Board, present: Present, now_s: float) -> list[Delivery]:
        """Take whatever a runner holds for what its job has left."""
        held = [
            Delivery(job=job, attempt=attempt, runner=runner, wanted=False)
            for runner, running in present.items()
            for job, attempt in running
        ]
        return [*super().due(board, present, now_s), *held]


class EndsWhatStands(Control):
    """Tells runners to end attempts that their jobs stand for."""

    def deliveries(self) -> Deliveries:
        """One that never looks at the board."""
        return _Hasty()


class BelievesSignals(Control):
    """Appends the end that a runner reports, whoever signalled its supervisor."""

    def job(self, job: int, command: JobCommand, message_id: str = "") -> int:
        """Take a reported cancel for somebody's wish."""
        if not isinstance(command, ReportFinished) or command.report.status != "canceled":
            return super().job(job, command, message_id)
        state = self.server.store.states[job]
        if not state.active or state.attempt != command.attempt:
            return super().job(job, command, message_id)
        made = context(self.scheduler, message_id)
        ended = JobFinished(
            status="canceled",
            finished=self.scheduler.at,
            attempt=state.attempt,
            last_counter=command.report.last_counter,
        )
        return at_once(self.server.store.append(subjects.job(job), made, (ended,)))


class TellsOnce(Control):
    """Takes any answer of a runner for the confirmation of a cancel, and tells it no more."""

    def deliveries(self) -> Deliveries:
        """One that tells once."""
        return _Told()

    def confirms(self, answer: bytes | None) -> bool:
        """Believe that whoever answered has obeyed."""
        return answer is not None


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
    def __init__(self, machine: Machine, loop: Loop) -> None:
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

    def processes_of(self, loop: Loop) -> Processes:
        """What it sees."""
        return _Blind(self, loop)


class _Impatient(Processes):
    def marked(self, job_dir: Path) -> list[int]:
        """See nothing."""
        return []


class LosesJournals(Machine):
    """Its agent takes the supervisor's end for the playbook's, and removes what still grows."""

    def processes_of(self, loop: Loop) -> Processes:
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
            return Msg(self, "", "", b"", {"sequence": "1"})  # type: ignore[arg-type]  # as Wire


class BelievesInAcks(Machine):
    """Its agent takes what nobody acknowledged for stored."""

    def agent_of(self, server: Server, network: Network) -> Agent:
        """One with such a connection."""
        agent = super().agent_of(server, network)
        agent.wire = _Optimist
        return agent
