"""A control process of the simulation: the loops' shells, with the real decisions inside."""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from controlplane.domain import claiming, dispatch
from controlplane.domain.board import Board
from controlplane.domain.canceling import Deliveries, Delivery
from controlplane.domain.dispatch import Outbox
from controlplane.domain.errors import Rejected, Unavailable
from controlplane.domain.instance import INSTANCE
from controlplane.domain.job import JOB, Claim, ConfirmCancel, GiveUp, JobCommand, JobState, Launch
from controlplane.domain.loss import LossWatch, confirmed
from controlplane.domain.owners import LOST_GRACE_S, PRESENCE_TTL_S
from controlplane.domain.project_update import update_of
from controlplane.domain.reporting import Heard, command_of
from controlplane.processes.project_updates import projects_to_update
from controlplane.processes.work_order import order_of
from controlplane.shell.transact import Transacted, fold_history, transact
from ops.leases import Lost
from schemas import subjects
from schemas.envelope import Context
from schemas.events.job import JobLaunched, JobPlaced, NamedRef
from schemas.events.resource import ResourceCreated
from schemas.status import LaunchType
from schemas.work import CANCEL_SIGNALLED, CancelRequest, ClaimRequest, Grant
from tests.simulation.log import Server, at_once, context
from tests.simulation.machine import CREDS
from tests.simulation.network import Network
from tests.simulation.scheduler import Process, Reply, Steps

LEASE_S = 3.0
PERIOD_S = 1.0
SNAPSHOT_S = 10.0
ANSWER_S = 2.0
STALL_S = 150.0
"""So long a loop may hang, on its own."""
Control2Agent = Callable[[str, CancelRequest, Reply, "Control"], None]


class Control(Process):
    """One dispatcher program: a board and every loop, singletons under leases."""

    def __init__(self, server: Server, network: Network, name: str) -> None:
        super().__init__(server.scheduler, name)
        self.server = server
        self.network = network
        self.cancel: Control2Agent = lambda *_: None
        self._number = 0
        server.store.appended.append(self._hear)

    def boot(self) -> None:
        """Take the snapshot and read on; nothing is remembered but what is stored."""
        stored = self.server.buckets.get("board")
        self.board = msgspec.json.decode(stored, type=Board) if stored else Board()
        self._led: set[str] = set()
        self._waiting: list[Reply] = []
        self._renewed = self.scheduler.now
        self._holder = f"{self.name}-{self.life}"
        self.catch_up()
        self.after(0.0, self._lead)
        self.after(SNAPSHOT_S, self._snapshot)

    # -- the board ---------------------------------------------------------------------------

    def _hear(self) -> None:
        """The log grew: the board follows, sooner or later."""
        if not self.alive:
            return
        ends = (len(self.server.store.streams["JOBS"]), len(self.server.store.streams["CONFIG"]))
        low, high = self.network.faults.delay_s
        delay = low + (high - low) * self.scheduler.random.random()
        self.after(delay, lambda: self._apply(*ends))

    def _apply(self, jobs: int, config: int) -> None:
        streams = self.server.store.streams
        fresh = jobs > self.board.jobs_position or config > self.board.config_position
        for record in streams["JOBS"][self.board.jobs_position : jobs]:
            self.board.apply_job(record)
        for record in streams["CONFIG"][self.board.config_position : config]:
            self.board.apply_config(record)
        if not fresh:
            return
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self.after(0.0, functools.partial(each.give, True))

    def catch_up(self) -> None:
        """Wait until the board shows the whole log: here at once; raises Unavailable."""
        if self.server.store.away:
            raise Unavailable("The event log is not available.")
        streams = self.server.store.streams
        self._apply(len(streams["JOBS"]), len(streams["CONFIG"]))

    def _snapshot(self) -> None:
        self.server.buckets["board"] = msgspec.json.encode(self.board)
        self.after(SNAPSHOT_S, self._snapshot)

    # -- leases ------------------------------------------------------------------------------

    def _lead(self) -> None:
        loops = {
            "dispatcher": self._dispatcher,
            "lost_runners": self._lost_runners,
            "cancels": self._cancels,
            "runner_reports": self._runner_reports,
            "project_updates": self._project_updates,
        }
        for name, loop in loops.items():
            if not self.server.leads(name, self._holder, LEASE_S):
                self._led.discard(name)
            elif name not in self._led:
                self.scheduler.tell(f"{self.name} leads {name}")
                self._led.add(name)
                self.run(self._keep(name, loop()))
        self._renewed = self.scheduler.now
        self.after(PERIOD_S, self._lead)

    def _keep(self, name: str, steps: Steps) -> Steps:
        """Run a loop while its lease is held."""
        value = None
        while name in self._led:
            try:
                wanted = steps.send(value)
            except (StopIteration, Lost, Unavailable):
                self._led.discard(name)
                return
            value = yield wanted

    def still_held(self) -> None:
        """Raise Lost when the leases have run out by this process's own clock."""
        if self.scheduler.now - self._renewed >= 0.9 * LEASE_S:
            raise Lost

    def _change(self) -> Reply:
        reply = Reply(PERIOD_S)
        self._waiting.append(reply)
        return reply

    def _moment(self) -> float:
        """Between two steps somebody else may act, or this process die."""
        return self.scheduler.random.random() * self.network.faults.delay_s[1] / 4

    # -- loops -------------------------------------------------------------------------------

    def outbox(self) -> Outbox:
        """The memory of what was sent."""
        return Outbox()

    def deliveries(self) -> Deliveries:
        """The memory of what was delivered."""
        return Deliveries()

    def confirmed(self, command: GiveUp, heard: Heard) -> GiveUp | None:
        """What to give up by what the attempt itself has reported."""
        return confirmed(command, heard)

    def verdicts(self) -> list[tuple[int, dispatch.Verdict]]:
        """What must happen to jobs that cannot run, or not where they were placed."""
        return list(dispatch.verdicts(self.board, self.scheduler.at))

    def confirms(self, answer: bytes | None) -> bool:
        """Tell whether a runner's answer means that the attempt will end."""
        return answer == CANCEL_SIGNALLED

    def _dispatcher(self) -> Steps:
        self.catch_up()
        outbox = self.outbox()
        while True:
            reached = 0
            for job, verdict in self.verdicts():
                reached = max(reached, self.job(job, verdict))
                yield self._moment()
            self._apply(reached, 0)
            for job, command in list(dispatch.commands(self.board, self.scheduler.at)):
                reached = max(reached, self.job(job, command))
                yield self._moment()
            self._apply(reached, 0)
            for state, again in list(outbox.due(self.board, self.scheduler.now)):
                if state.launched is None or state.placed is None:
                    continue
                key = (state.launched.id, state.attempt)
                if not (yield self._send(state.launched, state.placed, again=again)):
                    outbox.clear()
                    break
                outbox.sent(key, self.scheduler.now)
            yield self._change()

    def _send(self, launched: JobLaunched, placed: JobPlaced, *, again: bool) -> Reply:
        order = order_of(launched, placed)
        number = f"{order.job}-{order.attempt}"
        minute = f"-{int(self.scheduler.now // 60)}" if again else ""
        reply = Reply(ANSWER_S)

        def stored() -> None:
            self.server.work.queue(f"{number}{minute}", order, placed.group, placed.runner)
            self.network.send(self.server, self, f"ack of order {number}", lambda: reply.give(True))

        self.network.send(self, self.server, f"order {number} is stored", stored)
        return reply

    def _lost_runners(self) -> Steps:
        watch = LossWatch(PRESENCE_TTL_S, LOST_GRACE_S)
        while True:
            present = self.server.present()
            self.catch_up()
            now_s, at = self.scheduler.now, self.scheduler.at
            for number, said in list(watch.instances(self.board, present, now_s, at)):
                subject = subjects.config("instance", number)
                self.still_held()
                at_once(transact(self.server.store, subject, INSTANCE, said, self._context()))
                yield self._moment()
            for job, command in list(watch.jobs(self.board, present, now_s, at)):
                wanted: JobCommand | None = command
                if isinstance(command, GiveUp):
                    attempt = self._attempt(job, command.attempt)
                    wanted = self.confirmed(command, self.server.heard_of(attempt))
                yield self._moment()
                if wanted is not None:
                    self.job(job, wanted)
            yield self._change()

    def _cancels(self) -> Steps:
        deliveries = self.deliveries()
        while True:
            present = self.server.present()
            self.catch_up()
            due = deliveries.due(self.board, present, self.scheduler.now)
            asked = [(each, self._ask_to_end(each)) for each in due]
            for each, reply in asked:
                if not self.confirms((yield reply)):
                    continue
                deliveries.delivered(each, self.scheduler.now)
                if each.wanted:
                    command = ConfirmCancel(attempt=each.attempt, runner=each.runner)
                    self.job(each.job, command)
            yield self._change()

    def _ask_to_end(self, delivery: Delivery) -> Reply:
        reply = Reply(ANSWER_S)
        request = CancelRequest(job=delivery.job, attempt=delivery.attempt)
        self.cancel(delivery.runner, request, reply, self)
        return reply

    def _runner_reports(self) -> Steps:
        position: int = self.server.buckets.get("runner_reports", 0)
        while True:
            for filed in self.server.reports[position:]:
                command = command_of(filed.attempt.attempt, filed.report)
                if command is not None:
                    self.job(filed.attempt.job, command, f"report-{position + 1}")
                yield self._moment()
                position += 1
                if self.scheduler.random.random() < self.network.faults.stall:
                    yield STALL_S
                if self.scheduler.random.random() < 0.5:
                    self.server.buckets["runner_reports"] = position
            self.server.buckets["runner_reports"] = position
            yield self._change()

    def _project_updates(self) -> Steps:
        position: int = self.server.buckets.get("project_updates", 0)
        while True:
            for record in self.server.store.streams["CONFIG"][position:]:
                for project in projects_to_update(record):
                    self._update(record.sequence, project)
                    yield self._moment()
                position = record.sequence
                self.server.buckets["project_updates"] = position
            yield self._change()

    def _update(self, sequence: int, project: int) -> None:
        history = at_once(self.server.store.load(subjects.config("project", project)))
        if not history:
            return
        first = history[0].events[0]
        if f"project:{project}" in self.board.deleted or not isinstance(first, ResourceCreated):
            return
        keys = self.server.buckets.setdefault("launch-keys", {})
        name = f"project-update-{sequence}-{project}"
        job = keys.setdefault(name, self.server.buckets["next_job"]())
        launched = update_of(
            job,
            {**first.values, "id": project},
            created=self.scheduler.at,
            launch_type=LaunchType.MANUAL,
            launched_by=NamedRef(type="user", id=1, name="admin"),
            config_position=sequence,
        )
        self.job(job, Launch(launched=launched), name)

    # -- claims ------------------------------------------------------------------------------

    def claim(self, request: ClaimRequest, answer: Callable[[Grant], None]) -> None:
        """Answer a runner; any control process may be the one that is asked."""
        self.run(self._claim(request, answer))

    def _claim(self, request: ClaimRequest, answer: Callable[[Grant], None]) -> Steps:
        self._apply(0, len(self.server.store.streams["CONFIG"]))
        try:
            asked = self._asked(request)
            command = claiming.verdict(asked, self.board)
            yield self._moment()
            answer(self.granted(request, command))
        except Unavailable as error:
            answer(Grant(granted=False, retry=True, reason=str(error)))
        except Rejected as error:
            answer(Grant(granted=False, reason=str(error)))

    def _asked(self, request: ClaimRequest) -> claiming.Asked:
        history = at_once(self.server.store.load(subjects.job(request.job)))
        state = fold_history(JOB, history)
        heard = Heard.NOTHING
        if state.runner == request.runner:
            heard = self.server.heard_of(self._attempt(request.job, request.attempt))
        return claiming.Asked(request=request, state=state, heard=heard, at=self.scheduler.at)

    def _attempt(self, job: int, attempt: int) -> subjects.Attempt:
        launched = self.server.store.states[job].launched
        return subjects.Attempt((launched.organization if launched else None) or 0, job, attempt)

    def granted(self, request: ClaimRequest, command: JobCommand) -> Grant:
        """Append what answers the claim; raises Rejected."""
        self._transact(request.job, command, self._new_id())
        return Grant(granted=isinstance(command, Claim), nats_creds=CREDS)

    # -- appending ---------------------------------------------------------------------------

    def job(self, job: int, command: JobCommand, message_id: str = "") -> int:
        """Decide a command and return the position behind it; a refusal concerns its job alone.

        Raises Unavailable, at which a loop starts anew.
        """
        self.still_held()
        try:
            position = self._transact(job, command, message_id or self._new_id()).position
        except Unavailable:
            raise
        except Rejected:
            return 0
        if self.scheduler.random.random() < self.network.faults.unheard:
            raise Lost
        return position

    def _transact(self, job: int, command: JobCommand, message_id: str) -> Transacted[JobState]:
        done = at_once(
            transact(
                self.server.store,
                subjects.job(job),
                JOB,
                command,
                context(self.scheduler, message_id),
            )
        )
        for event in done.events:
            self.scheduler.tell(f"{self.name} job {job} {type(event).__name__}")
        return done

    def _context(self) -> Context:
        return context(self.scheduler, self._new_id())

    def _new_id(self) -> str:
        self._number += 1
        return f"{self.name}-{self._number}"
