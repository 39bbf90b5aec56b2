"""A machine with a runner agent: small state machines that do what ``runners/`` does."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from schemas import subjects
from schemas.output import AttemptFinished, AttemptStarted
from schemas.work import (
    CANCEL_SIGNALLED,
    CANCEL_UNKNOWN,
    CancelRequest,
    ClaimRequest,
    Grant,
    ProjectSync,
    WorkOrder,
    work_class,
)
from tests.simulation.invariants import Witness
from tests.simulation.log import Key, Ordered, Server
from tests.simulation.network import Network
from tests.simulation.scheduler import Process, Reply, Steps

HEARTBEAT_S = 5.0
PRESENCE_S = 15.0
ANSWER_S = 5.0
ASK_TIMES = 6
FRAME_S = 0.5
Claims = Callable[[ClaimRequest, "Agent", Reply], None]


class Entry:
    """What stands on disk of an attempt: the order, the supervisor's mark, the journal."""

    def __init__(self, order: WorkOrder) -> None:
        self.order = order
        self.started = False
        self.signalled = False
        self.frames = 0
        self.final = ""
        self.loose = False
        """Its playbook's supervisor was killed with the machine."""


class Machine(Process):
    """Its disk stays; playbooks die with it, not with the agent."""

    def __init__(self, server: Server, network: Network, witness: Witness, name: str) -> None:
        super().__init__(server.scheduler, name)
        self.disk: dict[Key, Entry] = {}
        self.witness = witness
        self.agent = self.agent_of(server, network)

    def agent_of(self, server: Server, network: Network) -> Agent:
        """Make its agent."""
        return Agent(self, server, network)

    def boot(self) -> None:
        """The agent starts with the machine."""
        self.agent.start()

    def crash(self) -> None:
        """Playbooks and agent die."""
        for key in [key for key, where in self.witness.playing.items() if where == self.name]:
            self.witness.ends(key)
        super().crash()
        self.agent.crash()

    def play(self, key: Key, entry: Entry) -> None:
        """Start a playbook: its supervisor marks the directory first."""
        entry.started = True
        self.witness.starts(key, self.name)
        self.scheduler.tell(f"{self.name} plays {key}")
        self.run(self._play(key, entry))

    def _play(self, key: Key, entry: Entry) -> Steps:
        for _ in range(entry.order.timeout_s):
            yield FRAME_S
            if entry.signalled:
                entry.final = "canceled"
                break
            entry.frames += 1
        else:
            fails = 0.05 if isinstance(entry.order.payload, ProjectSync) else 0.2
            entry.final = "failed" if self.scheduler.random.random() < fails else "successful"
        self.witness.ends(key)

    def signal_one(self) -> None:
        """Somebody on the machine ends a supervisor by SIGTERM; the control plane asked nobody."""
        keys = sorted(key for key in self.disk if self.plays(key))
        if keys:
            key = self.scheduler.random.choice(keys)
            self.scheduler.tell(f"{key} gets a stray signal on {self.name}")
            self.disk[key].signalled = True

    def plays(self, key: Key) -> bool:
        """Tell whether the playbook lives."""
        return self.witness.playing.get(key) == self.name


class Agent(Process):
    """Takes orders, claims, starts, publishes; adopts what it finds after a restart."""

    def __init__(self, machine: Machine, server: Server, network: Network) -> None:
        super().__init__(server.scheduler, f"agent {machine.name}")
        self.machine = machine
        self._server = server
        self._network = network
        self.capacity = 8
        self.groups: tuple[str, ...] = ("default", "controlplane")
        self.claims: Claims = lambda *_: None

    def boot(self) -> None:
        """Take back what is on disk; the ended attempts are forgotten."""
        self._ended: set[Key] = set()
        self._held: set[Key] = set(self.machine.disk)
        self._cancel: set[Key] = set()
        self.reserved = {key: each.order.impact for key, each in self.machine.disk.items()}
        for key in self.machine.disk:
            self.run(self._resume(key))
        self.run(self._beat())

    def crash(self) -> None:
        """Only the machine's death or restart ends its playbooks."""
        super().crash()

    def _moment(self) -> float:
        return self.scheduler.random.random() * self._network.faults.delay_s[1] / 4

    def _beat(self) -> Steps:
        name = self.machine.name
        while True:
            held = frozenset(self.reserved)

            def put(held: frozenset[Key] = held) -> None:
                self._server.presence[name] = (self.scheduler.now + PRESENCE_S, held)

            self._network.send(self, self._server, f"presence of {name}", put)
            yield HEARTBEAT_S

    # -- orders ------------------------------------------------------------------------------

    def wants(self, ordered: Ordered) -> bool:
        """Tell whether this agent pulls from the order's line now."""
        if not self.alive:
            return False
        if ordered.runner is not None:
            return ordered.runner == self.machine.name and self._fits(1)
        return ordered.group in self.groups and self._fits(
            work_class(ordered.order.impact) // 2 + 1
        )

    def _fits(self, impact: int) -> bool:
        used = sum(self.reserved.values())
        return not self.reserved or impact <= self.capacity - used

    def receive(self, ordered: Ordered) -> None:
        """An order was delivered."""
        key = (ordered.order.job, ordered.order.attempt)
        if key in self.reserved or key in self._ended:
            self._tell("ack", lambda: self._server.settled(ordered))
        elif not self._fits(ordered.order.impact):
            self._tell("nak", lambda: self._server.given_back(ordered, 0.5))
        else:
            self.reserved[key] = ordered.order.impact
            self.run(self._take(key, ordered))

    def _tell(self, word: str, act: Callable[[], None]) -> None:
        self._network.send(self, self._server, f"{word} by {self.name}", act)

    def _take(self, key: Key, ordered: Ordered) -> Steps:
        grant = Grant(granted=False, retry=True)
        for _ in range(ASK_TIMES):
            self._tell("in progress", lambda: self._server.given_back(ordered, 30.0))
            grant = yield from self._ask(key)
            if not grant.retry:
                break
            yield 1.0
        if not grant.granted:
            self.reserved.pop(key, None)
            if grant.retry:
                self._tell("nak", lambda: self._server.given_back(ordered, 5.0))
            else:
                self._tell("term", lambda: self._server.settled(ordered))
            return
        yield self._moment()
        self.machine.disk[key] = Entry(ordered.order)
        self._held.add(key)
        yield self._moment()
        acked = Reply(ANSWER_S)

        def settle() -> None:
            self._server.settled(ordered)
            self._network.send(self._server, self, "ack is known", lambda: acked.give(True))

        self._tell(f"ack of order {key}", settle)
        yield acked
        yield from self._execute(key)

    def _ask(self, key: Key) -> Generator[Any, Any, Grant]:
        reply = Reply(ANSWER_S)
        request = ClaimRequest(runner=self.machine.name, job=key[0], attempt=key[1], sealing_key="")
        self.claims(request, self, reply)
        answer: Grant | None = yield reply
        return answer or Grant(granted=False, retry=True)

    def _resume(self, key: Key) -> Steps:
        entry = self.machine.disk[key]
        if not entry.started:
            grant = Grant(granted=False, retry=True)
            while grant.retry:
                grant = yield from self._ask(key)
                yield 1.0
            if not grant.granted:
                del self.machine.disk[key]
                self._held.discard(key)
                self.reserved.pop(key, None)
                return
        yield from self._execute(key)

    # -- an attempt --------------------------------------------------------------------------

    def cancel(self, request: CancelRequest) -> bytes:
        """Signal the supervisor, or prevent that one is started."""
        key = (request.job, request.attempt)
        if key not in self._held:
            return CANCEL_UNKNOWN
        self.machine.witness.told_to_end(key, self.machine.name)
        self._cancel.add(key)
        entry = self.machine.disk[key]
        entry.signalled = entry.started
        return CANCEL_SIGNALLED

    def _execute(self, key: Key) -> Steps:
        entry = self.machine.disk[key]
        if not entry.started:
            yield self._moment()
            if key in self._cancel:
                entry.final = "canceled"
            else:
                self.machine.play(key, entry)
        entry.signalled = entry.signalled or key in self._cancel
        attempt = subjects.Attempt(entry.order.organization, *key)
        if entry.started:
            begun = AttemptStarted(at=self.scheduler.at, runner=self.machine.name)
            yield from self._insist(
                f"report {key} started", lambda: self._server.file(attempt, "started", begun)
            )
        yield from self.publish(key, entry)
        told = self._ended_report(entry, self._server.output[key])
        yield from self._insist(
            f"report {key} {told.status}", lambda: self._server.file(attempt, "finished", told)
        )
        yield self._moment()
        self.machine.witness.forgets(key, entry.frames, self._server.output[key])
        del self.machine.disk[key]
        self._held.discard(key)
        self.reserved.pop(key, None)
        self._ended.add(key)

    def publish(self, key: Key, entry: Entry) -> Steps:
        """Publish the journal to its end."""
        published = self._server.output[key]
        while True:
            while published < entry.frames:
                counter = published + 1
                yield from self._insist(
                    f"frame {counter} of {key}",
                    partial(self._server.store_frame, key, counter),
                )
                published = counter
            if entry.final and published == entry.frames:
                return
            if not entry.final and not self.machine.plays(key):
                entry.final = "canceled" if key in self._cancel else "error"
            else:
                yield 0.4

    def _insist(self, label: str, act: Callable[[], None]) -> Steps:
        while True:
            reply = Reply(2.0)

            def arrived(reply: Reply = reply) -> None:
                act()
                self._network.send(self._server, self, f"ack of {label}", lambda: reply.give(True))

            self._network.send(self, self._server, label, arrived)
            if (yield reply):
                return
            yield 0.5

    def _ended_report(self, entry: Entry, last: int) -> AttemptFinished:
        at = self.scheduler.at
        synced = isinstance(entry.order.payload, ProjectSync) and entry.final == "successful"
        return AttemptFinished(
            at=at,
            runner=self.machine.name,
            started=at if entry.started else None,
            status=entry.final,
            last_counter=last,
            content="c1" if synced else "",
            revision="r1" if synced else "",
        )
