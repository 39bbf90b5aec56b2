"""Servers and the supervisor itself are killed mid-job: its record is whole all the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.deployment.conftest import Deployment
from tests.waiting import eventually

pytestmark = [pytest.mark.xdist_group("deployment"), pytest.mark.timeout(240)]

ITEMS = 25


def _running(deployment: Deployment, name: str) -> int:
    """Launch a job on one host and return its id once it has begun to tell."""
    job = deployment.launch(deployment.template(name, "steps.yml", limit="one"))
    path = f"/api/v2/jobs/{job}/job_events/"
    eventually(lambda: deployment.get(path)["count"] > 5, 60)
    return job


def _answers(deployment: Deployment, job: int) -> bool:
    try:
        return deployment.client.get(f"/api/v2/jobs/{job}/").status_code == 200
    except httpx.HTTPError:
        return False


def _is_whole(deployment: Deployment, job: int) -> None:
    """The job ended well, each event is there once and in order, and the tables rebuild."""
    eventually(lambda: _answers(deployment, job), 60)
    found = deployment.ended(job, within_s=120)
    assert found["status"] == "successful", found["job_explanation"]
    path = f"/api/v2/jobs/{job}/job_events/"
    events = deployment.get(path, page_size=200, order_by="counter")["results"]
    assert [event["counter"] for event in events] == list(range(1, len(events) + 1))
    assert sum(event["event"] == "runner_item_on_ok" for event in events) == ITEMS
    assert "all identical" in deployment.playlog("projections", "rebuild", "--verify")


@pytest.mark.parametrize("server", ["nats", "postgres"])
def test_a_killed_server_loses_nothing(deployment: Deployment, server: str) -> None:
    """Kill -9 of a server mid-job: it is started again and everybody finds it."""
    job = _running(deployment, f"survives {server}")
    deployment.kill_role(server)
    _is_whole(deployment, job)


def test_a_killed_supervisor_leaves_the_job_running(deployment: Deployment) -> None:
    """Kill -9 of ``up``: the roles end, the playbook goes on, the next ``up`` takes it back."""
    job = _running(deployment, "survives up")
    roles = [role["pid"] for role in deployment.roles().values()]
    os.kill(deployment.pid, signal.SIGKILL)
    deployment.reap()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in roles), 60)
    deployment.start()
    _is_whole(deployment, job)
