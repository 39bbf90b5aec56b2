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

from tests.chaos import faults, load, proof
from tests.chaos.load import CANCELED, Clients, Jobs, Running
from tests.chaos.proof import Findings
from tests.deployment.conftest import Deployment
from tests.deployment.ssh_fleet import Fleet
from tests.tiers import TIERS
from tests.waiting import eventually

CAPACITY = "200"
BEGUN_EVENTS = 20


class Plan(Struct, frozen=True, kw_only=True):
    """One round: what is run, which faults strike one after another."""

    faults: tuple[str, ...]
    jobs: int = 8
    steps: int = 60
    lasting_s: float = 60
    launches_every_s: float = 2


class Report(Struct, kw_only=True):
    """What a campaign came to."""

    rounds: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    events: int = 0
    acknowledged: int = 0
    refused: int = 0
    findings: Findings = field(default_factory=Findings)

    def add(self, plan: Plan, jobs: list[Running], clients: Clients, found: Findings) -> None:
        """Count one round in."""
        told = clients.told
        self.rounds += 1
        self.injected.update(plan.faults)
        self.jobs += len(jobs) + len(told.launches)
        self.events += found.events
        self.acknowledged += len(told.organizations) + len(told.launches) + len(told.updates)
        self.refused += told.refused
        for name in ("lost", "duplicated", "wedged", "wrong", "left"):
            getattr(self.findings, name).extend(getattr(found, name))

    def lines(self) -> Iterator[str]:
        """Yield the report as a table."""
        for name, count in sorted(self.injected.items()):
            yield f"{name:<28}{count:>8}"
        yield f"{'rounds':<28}{self.rounds:>8}"
        yield f"{'jobs':<28}{self.jobs:>8}"
        yield f"{'events':<28}{self.events:>8}"
        yield f"{'writes acknowledged':<28}{self.acknowledged:>8}"
        yield f"{'writes refused':<28}{self.refused:>8}"
        for name in ("lost", "duplicated", "wedged", "wrong", "left"):
            yield f"{name:<28}{len(getattr(self.findings, name)):>8}"


@contextmanager
def prepared(directory: Path) -> Iterator[tuple[Deployment, Jobs]]:
    """Yield a running deployment with the playbooks of the load; it is stopped at the end."""
    deployment = Deployment(directory)
    (directory / "tmp").mkdir()
    deployment.environment = {
        "PLAYLOG_RUNNER_CAPACITY": CAPACITY,
        "TMPDIR": str(directory / "tmp"),
    }
    deployment.write(load.project())
    deployment.start()
    fleet = _fleet()
    try:
        deployment.prepare()
        yield deployment, Jobs(deployment, fleet)
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


def strike(deployment: Deployment, jobs: Jobs, plan: Plan, report: Report) -> Findings:
    """Run one round and add it to the report."""
    running = jobs.launch(plan.jobs, plan.steps)
    with Clients(deployment, jobs.small, plan.launches_every_s) as clients:
        eventually(lambda: all(_begun(deployment, job) for job in running), 180)
        early, late = (job for job in running if job.expected == CANCELED)
        clients.cancel(early)
        for name in plan.faults:
            faults.FAULTS[name](deployment, plan.lasting_s)
        faults.settled(deployment)
        clients.cancel(late)
    killed = not faults.ENDS_JOBS.isdisjoint(plan.faults)
    found = proof.prove(deployment, running, clients.told, jobs.witness, killed=killed)
    report.add(plan, running, clients, found)
    return found


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
    with prepared(directory) as (deployment, jobs):
        while time.monotonic() < end and not report.findings.all():
            names = chosen.sample(sorted(faults.FAULTS), chosen.choice((1, 1, 2, 3)))
            plan = Plan(faults=tuple(names), lasting_s=lasting_s)
            try:
                found = strike(deployment, jobs, plan, report)
            except Exception:  # noqa: BLE001 - what broke the round is what it found
                report.findings.wrong.append(f"{', '.join(names)}: {traceback.format_exc()}")
                break
            print(f"round {report.rounds}: {', '.join(names)}: {len(found.all())} findings")
    if not report.findings.all():
        shutil.rmtree(directory)
    return report, directory
