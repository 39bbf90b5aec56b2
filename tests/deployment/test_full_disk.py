"""Disks that fill up, under the log, the read model and a runner: nothing lost, room heals."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import small_disks
from tests.bench import capture
from tests.deployment.conftest import Deployment
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(240)

SIZES = {"nats": "48m", "postgres": "220m", "runner-1": "32m"}
LEFT = 300_000
LINES = 3000
PATIENCE_S = 12
"""A client's: a write whose acknowledgement is missing is answered once the log has spoken."""
WIDE = capture.LOOKUP.replace(
    '"line %d of a job that prints" % number', '"%d" % number + "x" * 1500'
)


@pytest.fixture(scope="module")
def small() -> Iterator[Deployment]:
    """A deployment whose parts lie on small disks of their own."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    made = Deployment(directory)
    made.data.mkdir(mode=0o700)
    mounted: list[Path] = []
    try:
        for name, size in SIZES.items():
            place = made.data / name
            place.mkdir(mode=0o700)
            small_disks.mount(place, size)
            mounted.append(place)
        made.write(capture.project(WIDE, LINES))
        made.start()
        made.prepare()
        yield made
        assert made.stop() == 0
    finally:
        made.client.close()
        for place in mounted:
            subprocess.run(["umount", "-l", place], check=False)
        shutil.rmtree(directory, ignore_errors=True)


def _fill(deployment: Deployment, part: str, left: int) -> Path:
    """Leave ``left`` bytes on a part's disk; returns the file that takes the rest."""
    found = os.statvfs(deployment.data / part)
    filler = deployment.data / part / "filler"
    filler.write_bytes(b"x" * max(0, found.f_bavail * found.f_frsize - left))
    return filler


def _create(deployment: Deployment, name: str) -> tuple[int, int]:
    """Return the status of a creation and the object's id; 0 without an answer."""
    body = {"name": name, "description": "d" * 900}
    try:
        answer = deployment.client.post("/api/v2/organizations/", json=body, timeout=PATIENCE_S)
    except httpx.TimeoutException:
        return 0, 0
    return answer.status_code, answer.json().get("id", 0)


@pytest.mark.parametrize("part", ["nats", "postgres"])
def test_a_full_disk_refuses_writes_until_there_is_room(small: Deployment, part: str) -> None:
    """503, an alarm that names the disk, nothing acknowledged is lost, and no restart by hand.

    Postgres gives back what an aborted transaction had taken, so a write may pass between two
    refusals; it counts as acknowledged like any other.
    """
    filler = _fill(small, part, LEFT)
    acknowledged: list[int] = []
    refusals: list[int] = []
    for number in range(1000):
        status, made = _create(small, f"{part} {number}")
        (acknowledged if status == 201 else refusals).append(made if status == 201 else status)
        if len(refusals) == 2:
            break
    assert len(refusals) == 2
    assert set(refusals) <= {0, 503}
    assert f"free below {small.data / part}" in small.playlog("doctor", check=False)
    filler.unlink()
    eventually(lambda: _create(small, f"{part} {os.urandom(4).hex()}")[0] == 201, 90)
    for made in acknowledged:
        assert small.client.get(f"/api/v2/organizations/{made}/").status_code == 200
    assert "all identical" in small.playlog("projections", "rebuild", "--verify")


def test_a_play_stands_still_while_its_runner_has_no_room(small: Deployment) -> None:
    """Its events wait for room, and all of them come."""
    template = small.template("lines", "lines.yml", limit="one,localhost")
    filler = _fill(small, "runner-1", 2_000_000)
    job = small.launch(template)
    disk = small.data / "runner-1"
    eventually(lambda: os.statvfs(disk).f_bavail == 0, 60)
    assert small.job(job)["status"] in ("waiting", "running")
    filler.unlink()
    found = small.ended(job)
    assert found["status"] == "successful", found["job_explanation"]
    query = {"event": "verbose", "page_size": 1}
    assert small.get(f"/api/v2/jobs/{job}/job_events/", **query)["count"] >= LINES
