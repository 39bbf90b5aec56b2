"""Programs of the control plane that die at a named point: what they had begun is done, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ops.ids import new_id
from ops.signals import Point
from tests.deployment.conftest import PASSWORD, PLAYLOG, ROOT, Deployment, deployment
from tests.servers import free_port
from tests.waiting import eventually

__all__ = ["deployment"]
pytestmark = pytest.mark.timeout(180)


@contextmanager
def _armed(
    deployment: Deployment, role: str, point: Point, port: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """A second process of a role that dies when it reaches the point."""
    running = Path(f"/proc/{deployment.roles()[role]['pid']}/environ").read_bytes()
    env = dict(each.split("=", 1) for each in running.decode().split("\0") if "=" in each)
    env |= {"PLAYLOG_KILL_POINT": str(point), "PLAYLOG_PORT": str(port)}
    process = subprocess.Popen(
        [*PLAYLOG, role], env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_an_api_that_dies_before_it_hears_of_its_append_has_stored_it_once(
    deployment: Deployment,
) -> None:
    """The client has no answer; the object is there, and asking again by name says so."""
    port, name = free_port(), f"stored {new_id()}"
    with _armed(deployment, "api", Point.APPEND_BEFORE_ACK, port) as process:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _serves(url), 60)
        with pytest.raises(httpx.HTTPError):
            httpx.post(
                f"{url}/api/v2/organizations/", json={"name": name}, auth=("admin", PASSWORD)
            )
        assert process.wait(30) == -signal.SIGKILL
    found = eventually(lambda: deployment.get("/api/v2/organizations/", name=name)["results"])
    assert [each["name"] for each in found] == [name]
    again = deployment.client.post("/api/v2/organizations/", json={"name": name})
    assert again.status_code == 400


def test_a_dispatcher_that_dies_within_an_import_ends_with_the_whole_of_it_once(
    deployment: Deployment,
) -> None:
    """The next leader imports what is still missing; nothing is there twice."""
    deployment.write({"dies.ini": "[a]\none\ntwo\n[b]\nthree\n[c:children]\na\nb\n"})
    deployment.commit("an inventory")
    inventory = deployment.post("/api/v2/inventories/", {"name": "dies", "organization": 1})["id"]
    body = {"name": "dies", "inventory": inventory, "source": "scm", "source_path": "dies.ini"}
    body |= {"source_project": deployment.project, "overwrite": True}
    source = deployment.post("/api/v2/inventory_sources/", body)["id"]
    first = deployment.roles()["dispatcher"]["pid"]
    os.kill(first, signal.SIGSTOP)
    try:
        with _armed(deployment, "dispatcher", Point.IMPORT_BETWEEN_APPENDS) as process:
            path = f"/api/v2/inventory_sources/{source}/update/"
            update = deployment.post(path, status=202)["inventory_update"]
            assert process.wait(60) == -signal.SIGKILL
    finally:
        os.kill(first, signal.SIGCONT)
    found = deployment.ended(update, "inventory_updates")
    assert (found["status"], found["job_explanation"]) == ("successful", "")
    for kind, names in (("hosts", ["one", "three", "two"]), ("groups", ["a", "b", "c"])):
        rows = deployment.get(f"/api/v2/inventories/{inventory}/{kind}/")["results"]
        assert [row["name"] for row in rows] == names


def _serves(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/ping/").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    "point", [Point.APPEND_BEFORE_ACK, Point.PLACED_BEFORE_ORDER, Point.REPORT_BEFORE_APPEND]
)
def test_a_dispatcher_that_dies_at_a_point_runs_the_job_once(
    deployment: Deployment, point: Point
) -> None:
    """The next leader goes on where it stood."""
    template = deployment.template(f"dies {point}", "site.yml")
    first = deployment.roles()["dispatcher"]["pid"]
    os.kill(first, signal.SIGSTOP)
    try:
        with _armed(deployment, "dispatcher", point) as process:
            job = deployment.launch(template)
            assert process.wait(60) == -signal.SIGKILL
    finally:
        os.kill(first, signal.SIGCONT)
    found = deployment.ended(job)
    assert found["status"] == "successful", found["job_explanation"]
    lines = deployment.playlog("replay", "--job", str(job), "--json").splitlines()[:-1]
    tags = [json.loads(line)["tag"].split(".v")[0] for line in lines]
    assert tags.count("job.claimed") == tags.count("job.started") == 1
    assert tags.count("job.finished") == 1
    events = deployment.get(f"/api/v2/jobs/{job}/job_events/", event="playbook_on_start")
    assert events["count"] == 1
