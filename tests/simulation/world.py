"""One run: control processes, machines, clients and the faults between them, from one seed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from shutil import rmtree as remove_all
from unittest import mock

import msgspec
from msgspec import Struct

from controlplane.domain import owners
from controlplane.domain.board import Board
from controlplane.domain.job import LOST_ATTEMPTS_MAX
from controlplane.processes import main
from schemas.streams import CONFIG, JOBS, REPORTS, SNAPSHOTS
from schemas.work import CancelRequest, ClaimRequest
from tests.simulation import read_model
from tests.simulation.clients import ENDLESS, INVENTORIES, INVENTORY, LONG, PROJECTS, Clients
from tests.simulation.control import Control, Loops
from tests.simulation.invariants import Key, Violation, Witness
from tests.simulation.machine import Agent, Machine
from tests.simulation.network import CALM, RESTART_S, ROUGH, Faults, Kill, Network
from tests.simulation.projector import Projector
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.server import Server
from tests.simulation.surroundings import surrounded
from tests.simulation.wire import Hub

FLUSH_S = 0.7
"""How much of what Postgres has committed its death can cost (seconds)."""
FRESH_WITHIN_S = 15.0
"""The tables show within so long what the log says, or what they are made by is away."""
GIVES_UP = 0.05
"""Probability that a connection does not survive an outage."""
MOMENT_S = 0.2
HANDLED = {
    "runner_reports": REPORTS.name,
    "project_updates": CONFIG.name,
    "erasures": JOBS.name,
}
"""The stream that each loop follows to its end."""
STEPS_MAX = 2_000_000
MEMORY = Path("/dev/shm")
"""Where the machines' disks are, if it is there: what is simulated needs no real one."""


class Plan(Struct, frozen=True, kw_only=True):
    """What a run is made of besides its seed."""

    faults: Faults = ROUGH
    chaos_s: float = 90.0
    """How long clients and faults are at work; then the world is calm."""
    launches: int = 10
    cancels: int = 3
    deletions: int = 2
    impacts: tuple[int, ...] = (1, 2, 3, 6, 12)
    lengths: tuple[int, ...] = (1, 4, 20, LONG, ENDLESS)
    """Of playbooks, in events."""
    control: type[Control] = Control
    loops: Loops = main.loops
    projector: type[Projector] = Projector
    machine: type[Machine] = Machine
    kill: Kill | None = None
    patience: float = 1.0
    """How much of the bound a run may take before it counts as wedged."""


class World:
    """Everything of one run."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.seed = seed
        self.plan = plan
        self.scheduler = Scheduler(seed)
        self.witness = Witness(lambda: self.scheduler.now)
        self.server = Server(self.scheduler, self.witness)
        self.network = Network(self.scheduler, plan.faults, plan.kill)
        self.clients = Clients(self.server, self.network, plan.impacts, plan.lengths)
        self.hub = Hub(self.server, self.network)
        self.controls = [
            plan.control(self.scheduler, self.hub, name, plan.loops)
            for name in ("control-1", "control-2")
        ]
        self._disks = Path(tempfile.mkdtemp(prefix="sim-", dir=MEMORY if MEMORY.exists() else None))
        self.machines = {
            name: plan.machine(self.scheduler, self.hub, self.witness, self._disks / name)
            for name in ("r1", "r2")
        }
        self.database = read_model.Database()
        self.projectors = [
            plan.projector(self.server, self.network, self.database, name)
            for name in ("projector-1", "projector-2")
        ]
        self.hub.said = self._said
        self.hub.heard = self._heard
        self.server.stale = lambda: self.scheduler.random.random() < self.network.faults.stale
        self._handled = dict.fromkeys(HANDLED, 0)
        """How far each loop has come, whatever of it is remembered."""
        self._fresh_at = 0.0
        """When the tables showed everything, last."""
        self.gone = False
        """The second machine never comes back."""

    # -- what is said ------------------------------------------------------------------------

    def _said(self, sender: Process, subject: str, body: bytes) -> None:
        """A loop has handled a message; a runner lets an attempt go and has told all of it."""
        name = subject.removeprefix(f"$KV.{SNAPSHOTS.name}.position-")
        if name in HANDLED:
            self._handled[name] = max(int(body), self._handled[name])
        elif subject.startswith("released."):
            told = msgspec.json.decode(body, type=ClaimRequest)
            self._let_go((told.job, told.attempt))

    def _let_go(self, key: Key) -> None:
        if self.server.states[key[0]].deleted:
            return
        try:
            self.witness.kept(key, self.server.written[key])
        except Violation as error:  # it is not the agent's to catch
            self.scheduler.failure = error

    def _remove(self, path: Path, *, ignore_errors: bool = False) -> None:
        """Remove a directory; an agent may be killed when it has come half way."""
        chance = self.scheduler.random
        machine = next((each for each in self.machines.values() if each.data in path.parents), None)
        if machine is None or chance.random() >= self.network.faults.halved:
            remove_all(path, ignore_errors)
            return
        self.scheduler.tell(f"{machine.agent.name} is killed while it removes {path.name}")
        for each in sorted(path.iterdir()):
            if each.is_file() and chance.random() < 0.5:
                each.unlink()
        machine.agent.crash()
        self.scheduler.after(RESTART_S, lambda: self._revive(machine.agent))

    def _heard(self, receiver: Process, subject: str, body: bytes) -> None:
        """A runner is told to end what it holds."""
        if not subject.endswith(".cancel"):
            return
        told = msgspec.json.decode(body, type=CancelRequest)
        machine = next(each for each in self.machines.values() if each.agent is receiver)
        if machine.agent.holds((told.job, told.attempt)):
            self.witness.told_to_end((told.job, told.attempt), machine.name)

    # -- a run -------------------------------------------------------------------------------

    def run(self) -> None:
        """Run to the end; raises Violation with the seed in its text."""
        with contextlib.ExitStack() as ending:
            ending.enter_context(surrounded(self.scheduler))
            ending.enter_context(mock.patch("shutil.rmtree", self._remove))
            ending.callback(remove_all, self._disks)
            for program in (*self.controls, *(each.agent for each in self.machines.values())):
                ending.callback(program.take_down)
            try:
                self._run()
            except Violation as error:
                raise Violation(f"{self._told()}, {self.scheduler.now:.1f} s: {error}") from error

    def _run(self) -> None:
        self._begin()
        while self.scheduler.now < self.plan.chaos_s:
            self.scheduler.step()
        self._calm()
        self._until_over()
        self._check_end()

    def _told(self) -> str:
        """How to have this run again."""
        kill = self.plan.kill
        if kill is None:
            return f"seed {self.seed} (python -m tests.simulation --seed {self.seed})"
        word = "its receiver dead" if kill.receiver else "lost"
        return f"seed {self.seed}, message {kill.number} {word}"

    def _begin(self) -> None:
        self.server.keep(INVENTORY)
        for process in self._processes():
            process.start()
        self.clients.do(0.0, self.clients.found)
        self._ask()
        self._flush()
        self._look()
        if self.plan.faults.crash_every_s:
            self._trouble()

    def _processes(self) -> list[Process]:
        controls = [*self.controls, *self.projectors]
        return [self.server, self.clients, *controls, *self.machines.values()]

    def _ask(self) -> None:
        chance, clients, until = self.scheduler.random, self.clients, self.plan.chaos_s * 0.9
        for _ in range(self.plan.launches):
            pause = chance.random() * 2
            clients.do(chance.random() * until, partial(clients.launch, pause))
        for _ in range(self.plan.cancels):
            clients.do(chance.random() * until, clients.cancel)
            clients.do(chance.random() * until, clients.relaunch)
            clients.do(chance.random() * until, clients.forget)
        for _ in range(self.plan.deletions):
            kind, numbers = chance.choice((("project", PROJECTS), ("inventory", INVENTORIES)))
            number, pause = chance.choice(numbers), chance.random() * 2
            clients.do(
                chance.random() * until,
                partial(clients.delete, kind, number, pause),
            )

    def _look(self) -> None:
        """The tables show what the log says, soon, while they and their projectors are there."""
        works = any(each.alive for each in self.projectors) and not self.database.away
        if not works or self.network.down or not self._unread():
            self._fresh_at = self.scheduler.now
        if self.scheduler.now - self._fresh_at > FRESH_WITHIN_S:
            raise Violation("the tables lag")
        self.scheduler.after(1.0, self._look)

    def _flush(self) -> None:
        """Bring to the disk what Postgres has committed, as it does from time to time."""
        self.database.flush()
        self.scheduler.after(FLUSH_S, self._flush)

    def postgres(self, away_s: float) -> None:
        """Postgres dies with what is not on its disk, and comes back."""
        self.scheduler.tell("postgres dies")
        self.database.lose()
        self.database.away = True

        def back() -> None:
            self.scheduler.tell("postgres is back")
            self.database.away = False

        self.scheduler.after(away_s, back)

    def _nats(self, away_s: float) -> None:
        """NATS is away for a while; what it has stored it keeps."""
        self.scheduler.tell("nats dies")
        self.network.down = self.server.away = True
        self.server.restart()

        def back() -> None:
            self.scheduler.tell("nats is back")
            self.network.down = self.server.away = False
            for machine in self.machines.values():
                self._reached_again(machine.agent)

        self.scheduler.after(away_s, back)

    def _trouble(self) -> None:
        """Something breaks, and comes back later, much later or never."""
        self.scheduler.after(
            self.scheduler.random.expovariate(1 / self.plan.faults.crash_every_s), self._strike
        )

    def _strike(self) -> None:
        if self.scheduler.now >= self.plan.chaos_s:
            return
        chance = self.scheduler.random
        away_s = chance.choice((0.5, 3.0, 20.0, 100.0))
        machine = chance.choice(list(self.machines.values()))
        strikes: dict[Callable[[], object], int] = {
            lambda: chance.choice(self.controls).stand_still(chance.choice((1.0, 5.0, 20.0))): 15,
            machine.signal_one: 5,
            machine.kill_supervisor: 5,
            machine.agent.drain: 5,
            lambda: self.postgres(away_s): 11,
            lambda: self._nats(away_s): 10,
            self._lose_orders: 4,
            lambda: self._cut(machine.agent, away_s): 12,
            lambda: self._kill(machine, away_s): 33,
        }
        chance.choices(list(strikes), list(strikes.values()))[0]()
        self._trouble()

    def _kill(self, machine: Machine, away_s: float) -> None:
        """A process dies and comes back; the second machine may not."""
        chance = self.scheduler.random
        servers = [*self.controls, *self.projectors]
        victim = chance.choice([*servers, machine.agent, machine.agent, machine])
        victim.crash()
        if victim is self.machines["r2"] and chance.random() < 0.5:
            self.scheduler.tell("r2 is gone for good")
            self.gone = True
        self.scheduler.after(away_s, lambda: self._revive(victim))

    def _lose_orders(self) -> None:
        """WORK is emptied: by hand, or by a restored backup that is older."""
        self.scheduler.tell("the orders are lost")
        self.server.work.orders.clear()

    def _cut(self, agent: Agent, away_s: float) -> None:
        """The network between a runner and the rest is cut for a while; its playbooks go on."""
        self.scheduler.tell(f"{agent.name} is cut off")
        self.network.cut.add(agent.name)

        def mend() -> None:
            self.scheduler.tell(f"{agent.name} is reached again")
            self.network.cut.discard(agent.name)
            self._reached_again(agent)

        self.scheduler.after(away_s, mend)

    def _reached_again(self, agent: Agent) -> None:
        """Its connections stand again, all but those that have given up."""
        self._missed(agent)
        agent.reconnected(lambda: self.scheduler.random.random() < GIVES_UP)

    def _revive(self, victim: Process) -> None:
        machine = next((m for m in self.machines.values() if victim in {m, m.agent}), None)
        lost = machine is not None and (
            (self.gone and machine.name == "r2") or (victim is machine.agent and not machine.alive)
        )
        if self.server.away:  # nobody comes to work before the log can be read
            self.scheduler.after(1.0, lambda: self._revive(victim))
            return
        if not victim.alive and not lost:
            victim.start()
        if machine is not None:
            self._missed(machine.agent)

    def _missed(self, agent: Agent) -> None:
        """A machine was out of reach until now."""
        self.witness.unreached[agent.machine.name] = self.scheduler.now

    def _calm(self) -> None:
        """Faults stop; what is away comes back by itself, if it does."""
        self.scheduler.tell("-- calm --")
        self.network.faults = CALM
        self.clients.do(0.0, self.clients.cancel_endless)

    # -- the end -----------------------------------------------------------------------------

    def bound_s(self) -> float:
        """Return how long the rest may take, by the table of owners and the playbooks' lengths."""
        lengths = sum(
            min(state.launched.timeout_s, LONG) + owners.UNNOTICED_S
            for state in self.server.states.values()
            if state.launched
        )
        return owners.attempt_bound_s() * LOST_ATTEMPTS_MAX + lengths

    def over(self) -> bool:
        """Tell whether every job has ended and nothing of any is left on a machine."""
        states = self.server.states.values()
        return not (
            self.clients.busy
            or any(state.active for state in states)
            or self.witness.playing
            or any(machine.held() for machine in self._machines_to_stay())
            or self._unhandled()
            or self._unread()
        )

    def _unread(self) -> bool:
        """Tell whether the tables do not show yet what the log says."""
        return any(
            read_model.messages(self.server, each, self.database.position(each.name), 1)
            for each in read_model.PROJECTIONS
        )

    def _unhandled(self) -> list[str]:
        """Return the loops that have not come to the end of their streams."""
        left = [
            name
            for name, stream in HANDLED.items()
            if self._handled[name] < self.server.streams[stream].last_sequence
        ]
        boards = [each.keeper for each in self.controls if each.alive]
        lagging = [each for each in boards if each and not self._is_whole(each.board)]
        return [*left, *(["a board"] if lagging else [])]

    def _is_whole(self, board: Board) -> bool:
        recorded = self.server.recorded
        ends = (len(recorded["JOBS"]), len(recorded["CONFIG"]))
        return (board.jobs_position, board.config_position) == ends

    def _machines_to_stay(self) -> list[Machine]:
        return [each for each in self.machines.values() if each.name != "r2" or not self.gone]

    def _until_over(self) -> None:
        deadline = self.scheduler.now + self.bound_s() * self.plan.patience
        while not self.over():
            self.scheduler.step()
            if self.scheduler.now > deadline or self.scheduler.steps > STEPS_MAX:
                raise Violation("wedged: " + "; ".join(self._left()))

    def _left(self) -> list[str]:
        jobs = [
            f"job {job} is {state.status} ({owners.sub_state(state)}) of "
            f"{owners.owner_of(state).loop}, attempt {state.attempt}, runner {state.runner}"
            for job, state in self.server.states.items()
            if state.active
        ]
        held = [f"{name} holds {each.held()}" for name, each in self.machines.items()]
        unread = ["the tables lag"] if self._unread() else []
        return [*jobs, *held, f"playing {self.witness.playing}", *unread, *self._unhandled()]

    def _check_end(self) -> None:
        self._check_records()
        self._check_folds()
        read_model.check_rebuilt(self.server, self.database)

    def _check_records(self) -> None:
        """What the log says of an attempt's output is what is stored, without a hole."""
        for job, state in self.server.states.items():
            if not state.ended_attempt or state.deleted or self.gone:
                continue
            stored = len(self.server.written[job, state.ended_attempt])
            if state.last_counter != stored:
                raise Violation(
                    f"job {job}: last event {state.last_counter}, stored {stored} events"
                )

    def _check_folds(self) -> None:
        """A board from snapshots and tails is the one that the whole log leads to."""
        whole = Board()
        for record in self.server.recorded["JOBS"]:
            whole.apply_job(record)
        for record in self.server.recorded["CONFIG"]:
            whole.apply_config(record)
        for control in self.controls:
            if control.alive and control.keeper and control.keeper.board != whole:
                raise Violation(f"the board of {control.name} is not what the log leads to")


SMALL = Plan(faults=CALM, chaos_s=12.0, launches=3, cancels=0, deletions=0)


def kill_each(
    seed: int,
    plan: Plan = SMALL,
    *,
    receivers: Sequence[bool] = (False, True),
    every: int = 1,
) -> Iterator[World]:
    """Yield the runs in which one message of the fault-free run is lost, or its receiver dies.

    With ``every`` above 1 only each so-manieth message.
    """
    for number in range(1, simulate(seed, plan).network.counted + 1, every):
        for receiver in receivers:
            kill = Kill(number=number, receiver=receiver)
            yield World(seed, msgspec.structs.replace(plan, kill=kill))


def without_postgres_each(
    seed: int, plan: Plan = SMALL, *, first: int = 0, every: int = 1
) -> Iterator[World]:
    """Yield the runs in which Postgres dies once, at each moment of the fault-free run in turn."""
    for moment in range(first, int(simulate(seed, plan).scheduler.now / MOMENT_S), every):
        world = World(seed, plan)
        world.scheduler.after(moment * MOMENT_S, partial(world.postgres, FLUSH_S))
        yield world


def simulate(seed: int, plan: Plan | None = None) -> World:
    """Run one seed to its end and return the finished world; raises Violation."""
    world = World(seed, plan or Plan())
    world.run()
    return world
