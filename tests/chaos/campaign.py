"""Rounds of load, fault and proof, chosen by a seed."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, field

from tests.chaos import faults, kinds, load
from tests.chaos.clients import Clients
from tests.chaos.kinds import Kinds
from tests.chaos.load import CANCELED, Jobs, Running
from tests.chaos.proof import Findings, Proof
from tests.deployment.conftest import Deployment
from tests.deployment.ssh_fleet import Fleet
from tests.tiers import TIERS
from tests.waiting import eventually, lasting

CAPACITY = "200"
BEGUN_EVENTS = 20
BEFORE_EACH_S = 5.0


class Plan(Struct, frozen=True, kw_only=True):
    """One round: what is run, which faults strike one after another."""

    faults: tuple[str, ...]
    jobs: int = 8
    steps: int = 60
    lasting_s: float = 60
    launches_every_s: float = 2
    kinds_every_s: float | None = 5
    """How often each other kind of job is launched; None: none is."""
    before_each_s: float = 0
    """How long the load goes on before each fault: what it strikes is elsewhere each time."""


class Report(Struct, kw_only=True):
    """What a campaign came to."""

    rounds: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    launched: Counter[str] = field(default_factory=Counter)
    """Jobs by kind; what was launched on their behalf (updates first, slices) is not counted."""
    events: int = 0
    acknowledged: int = 0
    refused: int = 0
    findings: Findings = field(default_factory=Findings)

    def add(self, plan: Plan, jobs: list[Running], clients: Clients, found: Findings) -> None:
        """Count one round in."""
        told = clients.told
        self.rounds += 1
        self.injected.update(plan.faults)
        self.launched["long"] += len(jobs)
        self.launched.update({name: len(keys) for name, keys in told.launches.items()})
        self.events += found.events
        self.acknowledged += told.promised()
        self.refused += told.refused
        for name in ("lost", "duplicated", "wedged", "wrong", "left"):
            getattr(self.findings, name).extend(getattr(found, name))

    def lines(self) -> Iterator[str]:
        """Yield the report as a table."""
        for name, count in sorted(self.injected.items()):
            yield f"{name:<28}{count:>8}"
        yield f"{'rounds':<28}{self.rounds:>8}"
        yield f"{'jobs':<28}{self.launched.total():>8}"
        for name, count in sorted(self.launched.items()):
            yield f"  {name:<26}{count:>8}"
        yield f"{'events':<28}{self.events:>8}"
        yield f"{'writes acknowledged':<28}{self.acknowledged:>8}"
        yield f"{'writes refused':<28}{self.refused:>8}"
        for name in ("lost", "duplicated", "wedged", "wrong", "left"):
            yield f"{name:<28}{len(getattr(self.findings, name)):>8}"


class Struck(Struct, frozen=True):
    """A deployment under fault, and its load."""

    deployment: Deployment
    jobs: Jobs
    kinds: Kinds


@contextmanager
def prepared(directory: Path) -> Iterator[Struck]:
    """Yield a running deployment with what its load needs; it is stopped at the end."""
    deployment = Deployment(directory)
    (directory / "tmp").mkdir()
    deployment.environment = {
        "PLAYLOG_RUNNER_CAPACITY": CAPACITY,
        "TMPDIR": str(directory / "tmp"),
    }
    deployment.write({**load.project(), **kinds.project()})
    deployment.start()
    fleet = _fleet()
    try:
        deployment.prepare()
        jobs = Jobs(deployment, fleet)
        yield Struck(deployment, jobs, Kinds(deployment, jobs.witness))
    finally:
        deployment.client.close()
        if fleet is not None:
            fleet.stop()
            shutil.rmtree(fleet.base)
        if deployment.stop() != 0:
            raise AssertionError("`playlog up` did not stop well")


def _fleet() -> Fleet | None:
    """Return hosts to reach over SSH, one by key and one by password, where this machine can."""
    if not TIERS["sshd"].present or os.geteuid() != 0:
        return None
    return Fleet(Path(tempfile.mkdtemp(prefix="pl-")), 2, 1)


def strike(struck: Struck, plan: Plan, report: Report) -> Findings:
    """Run one round and add it to the report."""
    deployment, jobs = struck.deployment, struck.jobs
    running = jobs.launch(plan.jobs, plan.steps)
    if plan.kinds_every_s is not None:
        running += struck.kinds.begin()
    with Clients(deployment) as clients:
        for call in jobs.calls(plan.launches_every_s):
            clients.call(call)
        eventually(lambda: all(_begun(deployment, job) for job in running), 180)
        if plan.kinds_every_s is not None:
            every_s = plan.kinds_every_s
            for call in [*jobs.calls_under_fault(every_s), *struck.kinds.calls(every_s)]:
                clients.call(call)
        early, late = (job.id for job in running if job.expected == CANCELED)
        clients.cancel(early)
        for name in plan.faults:
            lasting(plan.before_each_s)
            faults.FAULTS[name](deployment, plan.lasting_s)
        faults.settled(deployment)
        clients.cancel(late)
    killed = not faults.ENDS_JOBS.isdisjoint(plan.faults)
    proof = Proof(deployment, jobs.witness, killed=killed)
    proof.running(running)
    proof.promises(clients.told)
    if plan.kinds_every_s is not None:
        struck.kinds.prove(proof, clients.told)
    proof.leftovers()
    proof.secrets([*jobs.secrets, *kinds.SECRETS])
    proof.replay()
    report.add(plan, running, clients, proof.found)
    return proof.found


def _begun(deployment: Deployment, job: Running) -> bool:
    few = 4 if job.expected == CANCELED else BEGUN_EVENTS
    count: int = deployment.get(f"/api/v2/jobs/{job.id}/job_events/", page_size=1)["count"]
    return count > few


def run(minutes: float, seed: int, lasting_s: float) -> tuple[Report, Path]:
    """Strike until the time is over or something is found; returns the report and the directory.

    The directory is kept when something was found, else it is removed.
    """
    chosen = random.Random(seed)
    report = Report()
    directory = Path(tempfile.mkdtemp(prefix="playlog-chaos-"))
    end = time.monotonic() + 60 * minutes
    with prepared(directory) as struck:
        while time.monotonic() < end and not report.findings.all():
            names = chosen.sample(sorted(faults.FAULTS), chosen.choice((1, 1, 2, 3)))
            wait_s = chosen.uniform(0, BEFORE_EACH_S)
            plan = Plan(faults=tuple(names), lasting_s=lasting_s, before_each_s=wait_s)
            try:
                found = strike(struck, plan, report)
            except Exception:  # noqa: BLE001 - what broke the round is what it found
                report.findings.wrong.append(f"{', '.join(names)}: {traceback.format_exc()}")
                break
            told = f"round {report.rounds}: {', '.join(names)}: {len(found.all())} findings"
            print(told, flush=True)
    if not report.findings.all():
        shutil.rmtree(directory)
    return report, directory
