"""The faults: processes killed or stopped, alone or all at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx

from runners import process_tree
from tests.deployment.conftest import Deployment
from tests.waiting import eventually, lasting

Fault = Callable[[Deployment, float], None]
"""Strikes a deployment; the number is how long a lasting one lasts (seconds)."""


def _kill(role: str) -> Fault:
    def strike(deployment: Deployment, _lasting_s: float) -> None:
        deployment.kill_role(role)

    return strike


def _stop_postgres(deployment: Deployment, lasting_s: float) -> None:
    """End Postgres and keep it from being started again for a while."""
    pid = deployment.living("postgres")
    os.kill(deployment.pid, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGINT)
        lasting(lasting_s)
    finally:
        os.kill(deployment.pid, signal.SIGCONT)
    deployment.living("postgres", other_than=pid)


def _hang(role: str) -> Fault:
    """Stop a server's processes where they stand: connections stay open and nobody answers."""

    def strike(deployment: Deployment, lasting_s: float) -> None:
        first = deployment.living(role)
        stopped = [first, *process_tree.descendants(first)]
        _signal(stopped, signal.SIGSTOP)
        lasting(lasting_s)
        _signal(stopped, signal.SIGCONT)

    return strike


def _supervisor(deployment: Deployment, _lasting_s: float) -> None:
    """Kill ``up`` alone: its roles end, playbooks go on, the next ``up`` takes them back."""
    roles = _role_pids(deployment)
    os.kill(deployment.pid, signal.SIGKILL)
    deployment.reap()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in roles), 60)
    deployment.start()


def _everything(deployment: Deployment, _lasting_s: float) -> None:
    """Kill ``up`` and every role at once, then start again on the same data."""
    _signal([deployment.pid, *_role_pids(deployment)], signal.SIGKILL)
    deployment.reap()
    deployment.start()


def _machine(deployment: Deployment, lasting_s: float) -> None:
    """As if the power went: the playbooks' own processes die too."""
    everything = [deployment.pid, *_role_pids(deployment), *deployment.processes()]
    _signal(everything, signal.SIGKILL)
    deployment.reap()
    _signal(deployment.processes(), signal.SIGKILL)
    lasting(min(lasting_s, 1))
    deployment.start()


FAULTS: dict[str, Fault] = {
    "kill api": _kill("api"),
    "kill projector": _kill("projector"),
    "kill dispatcher": _kill("dispatcher"),
    "kill runner agent": _kill("runner-1"),
    "kill nats": _kill("nats"),
    "kill postgres": _kill("postgres"),
    "stop postgres": _stop_postgres,
    "hang postgres": _hang("postgres"),
    "hang nats": _hang("nats"),
    "hang dispatcher": _hang("dispatcher"),
    "hang runner agent": _hang("runner-1"),
    "kill supervisor": _supervisor,
    "kill everything": _everything,
    "power off": _machine,
}
ENDS_JOBS = {"power off"}
"""Faults after which a job may end otherwise than its playbook: its processes were killed."""


def answers(deployment: Deployment) -> bool:
    """Tell whether the API answers reads."""
    try:
        return deployment.client.get("/api/v2/me/").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def settled(deployment: Deployment) -> None:
    """Wait until the API answers again."""
    eventually(lambda: answers(deployment), 120)


def _role_pids(deployment: Deployment) -> list[int]:
    return [role["pid"] for role in deployment.roles().values() if role["pid"]]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
