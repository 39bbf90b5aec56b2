"""Backup, restore and lost ends of the log, on whole deployments."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.conftest import Deployment

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def saved(deployment: Deployment) -> Path:
    """A backup of a deployment that has run jobs, one with a secret; the deployment is stopped."""
    credential = deployment.post(
        "/api/v2/credentials/",
        {
            "name": "vault",
            "organization": 1,
            "credential_type": _type(deployment, "Vault"),
            "inputs": {"vault_password": "between-us"},
        },
    )
    template = deployment.template("kept", "site.yml")
    deployment.post(f"/api/v2/job_templates/{template}/credentials/", {"id": credential["id"]}, 204)
    for _ in range(2):
        assert deployment.ended(deployment.launch(template))["status"] == "successful"
    directory = deployment.directory / "backup"
    assert "saved to" in deployment.playlog("backup", str(directory), "--with-secrets")
    late = deployment.launch(template)
    assert deployment.ended(late)["status"] == "successful"
    assert deployment.stop() == 0
    return directory


def _type(deployment: Deployment, name: str) -> int:
    found: int = deployment.get("/api/v2/credential_types/", name=name)["results"][0]["id"]
    return found


def test_a_damaged_backup_is_refused_before_anything_is_touched(
    deployment: Deployment, saved: Path
) -> None:
    """One byte that differs, a file that ends early, and a manifest that is not there."""
    for damage in (_flip, _cut, _without_manifest):
        copy = deployment.directory / "damaged"
        shutil.copytree(saved, copy)
        damage(copy)
        done = deployment.run("restore", str(copy), "--replace")
        assert done.returncode == 1, done.stdout
        assert str(copy) in done.stderr
        shutil.rmtree(copy)


def _flip(directory: Path) -> None:
    path = directory / "streams" / "JOBS.snapshot"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut(directory: Path) -> None:
    path = directory / "streams" / "CONFIG.snapshot"
    path.write_bytes(path.read_bytes()[:-10])


def _without_manifest(directory: Path) -> None:
    (directory / "manifest.json").unlink()


def test_a_deployment_that_holds_something_is_not_overwritten(
    deployment: Deployment, saved: Path
) -> None:
    """Without ``--replace`` the streams that are there are named and nothing is done."""
    done = deployment.run("restore", str(saved))
    assert done.returncode == 2
    assert "JOBS" in done.stderr
    assert "--replace" in done.stderr


def test_a_wiped_deployment_comes_back_the_same(deployment: Deployment, saved: Path) -> None:
    """Every table has the backup's hash, secrets open, new ids are higher than any before."""
    for name in ("nats", "postgres", "secrets", "run"):
        shutil.rmtree(deployment.data / name)
    done = deployment.run("restore", str(saved))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none different" in done.stdout
    hashes = {each["table"]: each["sha256"] for each in _manifest(saved)["tables"]}
    told = [line.split() for line in done.stdout.splitlines() if " " in line]
    assert {line[1]: line[3] for line in told if line[1] in hashes} == hashes
    deployment.start()
    jobs = deployment.get("/api/v2/jobs/", order_by="id")["results"]
    assert [job["status"] for job in jobs] == ["successful", "successful"]
    shown = deployment.client.get(f"/api/v2/jobs/{jobs[0]['id']}/stdout/", params={"format": "txt"})
    assert "PLAY RECAP" in shown.text
    again = deployment.launch(_kept(deployment))
    assert again > jobs[-1]["id"] + 1
    assert deployment.ended(again)["status"] == "successful"
    assert "identical" in deployment.playlog("projections", "rebuild", "--verify")
    assert deployment.stop() == 0


def test_a_log_that_lost_its_end_is_noticed_at_start(deployment: Deployment, saved: Path) -> None:
    """Nothing starts on it; accepting the loss mends it, and so does a restore."""
    older = deployment.directory / "older"
    shutil.copytree(deployment.data / "nats", older)
    deployment.start()
    deployment.ended(deployment.launch(_kept(deployment)))
    deployment.stop()
    shutil.rmtree(deployment.data / "nats")
    shutil.copytree(older, deployment.data / "nats")
    done = deployment.run("up", "--port", "0")
    assert done.returncode == 1, done.stdout
    assert "stream JOBS ends at" in done.stderr
    assert "playlog restore" in done.stderr
    deployment.start("--accept-truncated")
    assert deployment.ended(deployment.launch(_kept(deployment)))["status"] == "successful"
    assert "identical" in deployment.playlog("projections", "rebuild", "--verify")
    assert deployment.stop() == 0
    shutil.rmtree(deployment.data / "nats")
    done = deployment.run("up", "--port", "0")
    assert done.returncode == 1, done.stdout
    assert "ends at 0" in done.stderr
    restored = deployment.run("restore", str(saved), "--replace")
    assert "none different" in restored.stdout, restored.stderr
    deployment.start()
    assert deployment.ended(deployment.launch(_kept(deployment)))["status"] == "successful"


def _kept(deployment: Deployment) -> int:
    found: int = deployment.get("/api/v2/job_templates/", name="kept")["results"][0]["id"]
    return found


def _manifest(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    return found
