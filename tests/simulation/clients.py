"""API clients of the simulation: they make, launch, cancel, relaunch and delete, at random."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from controlplane.domain.errors import Rejected
from controlplane.domain.job import JOB, Delete, JobCommand, JobState, Launch, RequestCancel
from controlplane.shell.transact import Transacted, transact
from schemas import subjects
from schemas.envelope import Context
from schemas.events.job import JobLaunched, PlaybookLaunch
from schemas.events.resource import ResourceCreated, ResourceDeleted
from schemas.registry import Event
from tests.factories import launched
from tests.simulation.invariants import Violation
from tests.simulation.log import Store, at_once, context
from tests.simulation.network import Network
from tests.simulation.scheduler import Process, Steps
from tests.simulation.server import Server

PROJECTS = (1, 2, 3)
INVENTORIES = (11, 12)
LONG = 60
ENDLESS = 100_000
"""Frames of a playbook that only a cancel ends."""
INVENTORY = b'{"all": {"hosts": ["h"]}, "_meta": {"hostvars": {"h": {"remote_tower_id": 1}}}}'
"""What every job runs on."""


class Clients(Process):
    """Everybody who uses the API, and the API process that serves them."""

    def __init__(
        self, server: Server, network: Network, impacts: Sequence[int], lengths: Sequence[int]
    ) -> None:
        super().__init__(server.scheduler, "api")
        self._impacts = impacts
        self._lengths = lengths
        self._network = network
        self._server = server
        self._number = 0
        self._store = Store(server)
        self.busy = 0

    def do(self, delay_s: float, act: Callable[[], Steps]) -> None:
        """Plan what somebody will ask for."""
        self.busy += 1

        def steps() -> Steps:
            yield delay_s
            yield from act()
            self.busy -= 1

        self.run(steps())

    # -- resources ---------------------------------------------------------------------------

    def found(self) -> Steps:
        """Make the projects and inventories."""
        for number in PROJECTS:
            values = {"name": f"p{number}", "scm_type": "git", "scm_url": "file:///r"}
            while self._server.away:
                yield 0.5
            self._config(ResourceCreated(kind="project", id=number, values=values))
            yield 0.1
        while self._server.away:
            yield 0.5
        for number in INVENTORIES:
            self._config(ResourceCreated(kind="inventory", id=number, values={"name": "i"}))

    def delete(self, kind: str, number: int, pause_s: float) -> Steps:
        """Delete a resource unless an active job depends on it, as far as JOBS says now."""
        name = f"{kind}:{number}"
        active = [
            job
            for job, state in self._server.states.items()
            if state.active and state.launched is not None and name in state.launched.depends
        ]
        yield pause_s
        if not active and not self._gone(name) and not self._server.away:
            self.scheduler.tell(f"{name} is deleted")
            self._config(ResourceDeleted(kind=kind, id=number))

    def _gone(self, name: str) -> bool:
        return any(
            isinstance(event, ResourceDeleted) and f"{event.kind}:{event.id}" == name
            for record in self._server.recorded["CONFIG"]
            for event in record.events
        )

    def _config(self, event: Event) -> None:
        number = event.id  # type: ignore[attr-defined]  # a resource's event
        kind = event.kind  # type: ignore[attr-defined]  # as above
        made = context(self.scheduler, self._new_id())
        at_once(self._store.append(subjects.config(kind, number), made, (event,)))

    # -- jobs --------------------------------------------------------------------------------

    def launch(self, pause_s: float, **changes: object) -> Steps:
        """Resolve a launch on the resources of now, and append it a little later."""
        chance = self.scheduler.random
        project, inventory = chance.choice(PROJECTS), chance.choice(INVENTORIES)
        depends = (f"project:{project}", f"inventory:{inventory}")
        if any(self._gone(name) for name in depends):
            return
        template = project * 10
        record = PlaybookLaunch(
            job_template=template,
            inventory=inventory,
            project=project,
            playbook="site.yml",
            inventory_content=hashlib.sha256(INVENTORY).hexdigest(),
            allow_simultaneous=chance.random() < 0.3,
        )
        values: dict[str, object] = {
            "template": template,
            "record": record,
            "depends": depends,
            "created": self.scheduler.at,
            "impact": chance.choice(self._impacts),
            "timeout_s": chance.choice(self._lengths),
            "lost_policy": chance.choice(("error", "retry")),
        }
        yield pause_s
        self._command(self._store.next_job(), lambda job: launched(job, **{**values, **changes}))

    def relaunch(self) -> Steps:
        """Launch an ended job again from its own record."""
        ended = [
            state.launched
            for state in self._server.states.values()
            if not state.active and state.launched is not None and state.launched.lost_policy
        ]
        yield 0.0
        if ended:
            old = self.scheduler.random.choice(ended)
            if isinstance(old.record, PlaybookLaunch):
                again = {"depends": old.depends, "record": old.record, "template": old.template}
                self._command(
                    self._store.next_job(),
                    lambda job: launched(job, timeout_s=2, impact=1, **again),
                )

    def cancel(self) -> Steps:
        """Cancel some job, wherever it stands."""
        yield 0.0
        self._on_some(RequestCancel(requested_by="ann", at=self.scheduler.at))

    def cancel_endless(self) -> Steps:
        """Cancel what would never end, once everybody else has said all."""
        while self.busy > 1 or self._server.away:
            yield 1.0
        for job, state in sorted(self._server.states.items()):
            if state.active and state.launched and state.launched.timeout_s == ENDLESS:
                self._transact(job, RequestCancel(requested_by="ann", at=self.scheduler.at))

    def forget(self) -> Steps:
        """Delete some job."""
        yield 0.0
        self._on_some(Delete(requested_by="ann"))

    def _on_some(self, command: JobCommand) -> None:
        jobs = sorted(self._server.states)
        if jobs:
            self._transact(self.scheduler.random.choice(jobs), command)

    def _command(self, job: int, record: Callable[[int], JobLaunched]) -> None:
        self._transact(job, Launch(launched=record(job)))

    def _transact(self, job: int, command: JobCommand) -> None:
        made = context(self.scheduler, self._new_id())
        try:
            done = self._asked(subjects.job(job), command, made)
        except Rejected:
            return
        for event in done.events:
            self.scheduler.tell(f"api job {job} {type(event).__name__}")

    def _asked(self, subject: str, command: JobCommand, made: Context) -> Transacted[JobState]:
        """Append what a command leads to; who hears no answer asks again, with the same id."""
        done = at_once(transact(self._store, subject, JOB, command, made))
        if self.scheduler.random.random() < self._network.faults.unheard:
            stored = len(self._store.history(subject))
            at_once(transact(self._store, subject, JOB, command, made))
            if len(self._store.history(subject)) != stored:
                raise Violation(f"{subject}: a request was stored twice")
        return done

    def _new_id(self) -> str:
        self._number += 1
        return f"api-{self._number}"
