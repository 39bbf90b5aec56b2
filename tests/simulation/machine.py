"""A machine of runners: the real agent of ``runners/`` on simulated processes, disk and network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from nats.aio.client import Client

from ops.blobs import Blobs
from ops.sealing import SealingKey
from ops.telemetry import Tracer
from runners import agent, record
from runners.content import ContentCache
from runners.gate import StartGate
from runners.held import Held
from runners.record import JOBS_DIR
from runners.site import Site
from runners.spec import JOURNAL_FILE, SUPERVISOR_FILE, Secrets, write_private
from runners.supervisor import SupervisorFile, read_supervisor
from runners.zygote_client import SupervisorLost
from tests.simulation.invariants import Key, Witness
from tests.simulation.loop import Loop, Program
from tests.simulation.playbook import Play
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.wire import Hub, Wire

GROUPS = ("default", "controlplane")
CAPACITY = 8
HEARTBEAT_S = 5.0
PRESENCE_S = 15
SPAWN_S = 0.3
RESTART_S = 1.0
PLACES = 3
JOURNAL_BYTES_MAX = 1 << 20


class Machine(Process):
    """Its disk stays; playbooks die with it, not with the agent."""

    def __init__(self, scheduler: Scheduler, hub: Hub, witness: Witness, data: Path) -> None:
        super().__init__(scheduler, data.name)
        self.data = data
        self.witness = witness
        self.plays: dict[int, Play] = {}
        """By the supervisor's pid."""
        self.watched: dict[int, tuple[Path, Loop, asyncio.Event]] = {}
        self._jobs = data / JOBS_DIR
        self._jobs.mkdir(parents=True)
        self.agent = self.agent_of(hub)

    def agent_of(self, hub: Hub) -> Agent:
        """Make its agent."""
        return Agent(self, hub)

    def boot(self) -> None:
        """The agent starts with the machine."""
        self.agent.start()

    def crash(self) -> None:
        """Playbooks and agent die; a frame may be on the disk in part."""
        for play in self.plays.values():
            if play.playing and self.scheduler.random.random() < 0.3:
                with (play.directory / JOURNAL_FILE).open("ab") as journal:
                    journal.write(b"\xff\x00\x00\x00half a frame")
            play.kill_playbook()
            play.end_supervisor()
        super().crash()
        self.agent.crash()

    def held(self) -> list[str]:
        """What lies on its disk."""
        return sorted(each.name for each in self._jobs.iterdir())

    # -- processes ---------------------------------------------------------------------------

    def processes_of(self, loop: Loop) -> Processes:
        """What one life of the agent sees of them."""
        return Processes(self, loop)

    def begin(self, directory: Path) -> None:
        """A supervisor starts: it takes charge of its directory unless somebody has."""
        if (directory / SUPERVISOR_FILE).exists() or not directory.exists():
            return
        pid = 1000 + len(self.plays)
        mine = SupervisorFile(pid=pid, start_ticks=1)
        write_private(directory / SUPERVISOR_FILE, msgspec.json.encode(mine))
        kept = record.read(directory)
        assert kept is not None
        play = self.plays[pid] = Play(pid, kept, directory, self.witness)
        self.witness.starts(play.key, self.name)
        self.scheduler.tell(f"{self.name} plays {play.key}")
        self.run(self._followed(play))

    def _followed(self, play: Play) -> Any:
        """Play, and tell who watches the directory of each step."""
        for wanted in play.steps(self.scheduler):
            for directory, loop, event in self.watched.values():
                if directory == play.directory:
                    loop.call_soon(event.set)
            yield wanted

    # -- faults ------------------------------------------------------------------------------

    def signal_one(self) -> None:
        """Somebody on the machine ends a supervisor by SIGTERM; the control plane asked nobody."""
        play = self._some()
        if play is not None:
            self.scheduler.tell(f"{play.key} gets a stray signal on {self.name}")
            play.signalled = True

    def kill_supervisor(self) -> None:
        """A supervisor is killed alone: its playbook goes on without it."""
        play = self._some()
        if play is not None:
            self.scheduler.tell(f"the supervisor of {play.key} on {self.name} is killed")
            play.end_supervisor()

    def _some(self) -> Play | None:
        living = [each for each in self.plays.values() if each.playing and each.supervised]
        return self.scheduler.random.choice(living) if living else None


class Supervisor:
    """``runners.held.Supervisor`` of one play."""

    def __init__(self, play: Play, loop: Loop) -> None:
        self._play = play
        self._loop = loop

    def cancel(self) -> None:
        """SIGTERM."""
        if self._play.supervised:
            self._play.signalled = True

    def kill(self) -> None:
        """SIGKILL."""
        if self._play.supervised:
            self._play.end_supervisor()

    async def wait(self) -> None:
        """Return when it has ended."""
        await self._play.supervisor_ended(self._loop)


class Processes:
    """``runners.site.Processes`` of a simulated machine."""

    def __init__(self, machine: Machine, loop: Loop) -> None:
        self._machine = machine
        self._loop = loop

    async def spawn(self, job_dir: Path, secrets: Secrets) -> Supervisor:
        """Have a supervisor started, and wait until it has taken charge."""
        machine, chance = self._machine, self._machine.scheduler.random
        if chance.random() < 0.01:
            raise SupervisorLost("no supervisor took charge")
        begun = asyncio.Event()

        def begin() -> None:
            machine.begin(job_dir)
            self._loop.call_soon(begun.set)

        machine.after(chance.random() * SPAWN_S, begin)
        await begun.wait()
        started = self.supervisor(job_dir)
        if started is None:
            raise SupervisorLost("no supervisor took charge")
        return started

    def supervisor(self, job_dir: Path) -> Supervisor | None:
        """Who took charge, dead or alive."""
        found = read_supervisor(job_dir)
        return None if found is None else Supervisor(self._machine.plays[found.pid], self._loop)

    def marked(self, job_dir: Path) -> list[int]:
        """The playbook, while it lives."""
        return [
            play.pid
            for play in self._machine.plays.values()
            if play.directory == job_dir and play.playing
        ]

    def sweep(self, job_dir: Path) -> int:
        """Kill the playbook."""
        found = self.marked(job_dir)
        for pid in found:
            self._machine.plays[pid].kill_playbook()
        return len(found)


class Watch:
    """``runners.site.Watch`` of a simulated machine."""

    def __init__(self, machine: Machine, loop: Loop) -> None:
        self._machine = machine
        self._loop = loop
        self._number = 0

    def add(self, directory: Path, wake: asyncio.Event) -> int:
        """Wake at every write."""
        watched = self._machine.watched
        self._number += 1
        watched[self._number] = (directory, self._loop, wake)
        return self._number

    def remove(self, number: int) -> None:
        """Wake no more."""
        self._machine.watched.pop(number, None)


class Agent(Program):
    """The program of ``runners.main``: its lives follow one another on one machine."""

    def __init__(self, machine: Machine, hub: Hub) -> None:
        super().__init__(machine.scheduler, f"agent {machine.name}")
        self.machine = machine
        self._hub = hub
        self._wires: list[Wire] = []
        self.wire = Wire
        self.program: agent.Agent | None = None
        self.site: Site | None = None

    def boot(self) -> None:
        """Run the program."""
        loop = self.new_loop()
        self._wires = []
        self._reached = asyncio.Event()
        self.machine.watched.clear()
        wire = self._connect(loop)
        self.site = self._site(loop, wire)
        pace = agent.Pace(groups=GROUPS, heartbeat_s=HEARTBEAT_S, presence_ttl_s=PRESENCE_S)
        self.program = agent.Agent(self.site, pace, wire.closed)
        loop.call_soon(lambda: loop.create_task(self._main(self.program), name="main"))

    def holds(self, key: Key) -> bool:
        """Tell whether it would end an attempt if it were told to."""
        return self.site is not None and key in self.site.held.attempts

    def reconnected(self, lost: Callable[[], bool]) -> None:
        """Its connections stand again, those that ``lost`` picks excepted."""
        if not self.alive or self.program is None:
            return
        for wire in self._wires:
            if lost():
                wire.end()
        self._reached.set()
        self.program.reconnected()

    def drain(self) -> None:
        """SIGTERM."""
        if self.alive and self.program is not None:
            self.scheduler.tell(f"{self.name} is told to stop")
            self.program.stop.set()

    async def _main(self, program: agent.Agent | None) -> None:
        assert program is not None
        try:
            await program.run()
        except ConnectionError:
            self.scheduler.tell(f"{self.name} has lost its connection for good")
        self.scheduler.after(0.0, self.crash)
        self.scheduler.after(RESTART_S, self._again)

    def _again(self) -> None:
        if not self.alive and self.machine.alive:
            self.start()

    def _connect(self, loop: Loop) -> Wire:
        wire = self.wire(loop, self, self._hub, len(self._wires))
        self._wires.append(wire)
        return wire

    def _site(self, loop: Loop, wire: Wire) -> Site:
        data, client = self.machine.data, cast("Client", wire)

        async def connect_as(creds: bytes, ident: str, closed: asyncio.Event) -> Client:
            assert msgspec.json.decode(creds) == f"user of {ident}"
            while self._hub.away(self):
                self._reached.clear()
                await self._reached.wait()
            attempt = self._connect(loop)
            attempt.closed = closed
            return cast("Client", attempt)

        blobs = Blobs(client)
        return Site(
            name=self.machine.name,
            data=data,
            nats=client,
            connect_as=connect_as,
            processes=self.machine.processes_of(loop),
            watch=Watch(self.machine, loop),
            content=ContentCache(data, blobs.get_file),
            blobs=blobs,
            key=SealingKey(self.machine.name.encode().ljust(32)),
            gate=StartGate(PLACES),
            held=Held(CAPACITY),
            tracer=Tracer("runner", ""),
            journal_bytes_max=JOURNAL_BYTES_MAX,
        )
