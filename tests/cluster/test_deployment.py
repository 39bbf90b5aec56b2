"""A whole deployment on a cluster: the leaders of its streams die while a job runs."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from ops import connect
from schemas.streams import JOBS, OUTPUT
from tests.cluster.conftest import SERVERS, Cluster, leader
from tests.deployment.conftest import Deployment
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

LINES = 60
EARLY, LATE = 20, 60
PLAY = f"""
- hosts: all
  gather_facts: false
  tasks:
    - command: sleep 0.2
      loop: "{{{{ range({LINES}) | list }}}}"
"""


async def _leader_of(url: str, stream: str) -> str:
    connection = await connect.connect_nats(url, None, "test")
    found = await leader(connection, stream)
    await connect.close_quietly(connection)
    return found


def _lose_leader(servers: Cluster, stream: str) -> None:
    """Kill the server that leads a stream, and start it again once another one does."""

    def led() -> str:
        return asyncio.run(_leader_of(servers.url, stream))

    lost = servers.kill(eventually(led, 60))
    eventually(led, 60)
    servers.start(lost)


def test_a_job_runs_on_while_leaders_die(servers: Cluster) -> None:
    """Every event is there, once and in order; rebuilt tables are those that stand."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    deployment = Deployment(directory)
    deployment.write({"slow.yml": PLAY})
    deployment.start(PLAYLOG_NATS_URL=servers.url, PLAYLOG_NATS_REPLICAS=str(SERVERS))
    try:
        deployment.prepare()
        job = deployment.launch(deployment.template("slow", "slow.yml"))
        events = f"/api/v2/jobs/{job}/job_events/"
        eventually(lambda: deployment.get(events)["count"] > EARLY, 90)
        _lose_leader(servers, OUTPUT.name)
        eventually(lambda: deployment.get(events)["count"] > LATE, 90)
        _lose_leader(servers, JOBS.name)
        ended = deployment.ended(job, within_s=120)
        assert ended["status"] == "successful", ended["job_explanation"] + deployment.logs()
        counters = [each["counter"] for each in _all(deployment, events)]
        assert counters == list(range(1, len(counters) + 1))
        assert len(counters) > 2 * LINES
        assert "all identical" in deployment.playlog("projections", "rebuild", "--verify")
    finally:
        status = deployment.stop()
        deployment.client.close()
        shutil.rmtree(directory, ignore_errors=True)
    assert status == 0


def _all(deployment: Deployment, path: str) -> list[dict[str, int]]:
    """Return every row of a list, page by page."""
    rows: list[dict[str, int]] = []
    while (
        len(rows)
        < (page := deployment.get(path, page_size=200, page=len(rows) // 200 + 1))["count"]
    ):
        rows += page["results"]
    return rows
