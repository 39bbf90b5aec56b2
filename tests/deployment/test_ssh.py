"""Jobs over real SSH: fifty sshd, a key with a passphrase, a password, and another user by su."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runners.preparation import memory_dir
from runners.zygote_client import SupervisorHandle
from tests.deployment.conftest import Deployment
from tests.deployment.ssh_fleet import PASSPHRASE, PASSWORD, ROOT_PASSWORD, Enrolled, Fleet
from tests.waiting import eventually

pytestmark = [
    pytest.mark.tier_sshd,
    pytest.mark.timeout(300),
]
HOSTS = 50
BY_PASSWORD = 3
FEW = "h1,h2,h50"
SECRETS = (PASSPHRASE, PASSWORD, ROOT_PASSWORD)
PAUSES = 6
HEAD = "- hosts: all\n  gather_facts: false\n  tasks:\n"
PLAYBOOKS = {
    "who.yml": HEAD
    + """
    - name: user
      raw: id -un
      register: told
      failed_when: "'deploy' not in told.stdout"
    - name: root
      raw: id -un
      become: true
      register: told
      failed_when: "'root' not in told.stdout"
""",
    "slow.yml": HEAD
    + f"""
    - name: slow
      raw: sleep 1; id -un
      become: true
      loop: "{{{{ range({PAUSES}) | list }}}}"
""",
}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Fifty hosts."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    made = Fleet(directory, HOSTS, BY_PASSWORD)
    yield made
    made.stop()
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def reaching(deployment: Deployment, fleet: Fleet) -> Enrolled:
    """What a template needs to reach the fleet, and its credential."""
    deployment.write(PLAYBOOKS)
    deployment.commit("over ssh")
    return fleet.enroll(deployment)


def _template(deployment: Deployment, reaching: Enrolled, playbook: str, **fields: Any) -> int:
    given = {"inventory": reaching.inventory, "forks": 25, **fields}
    template = deployment.template(f"{playbook} {len(fields)}", playbook, **given)
    path = f"/api/v2/job_templates/{template}/credentials/"
    deployment.post(path, {"id": reaching.credential}, status=204)
    return template


def _text(deployment: Deployment, job: int) -> str:
    shown = deployment.client.get(f"/api/v2/jobs/{job}/stdout/", params={"format": "txt"})
    return shown.text


def _summaries(deployment: Deployment, job: int) -> list[dict[str, Any]]:
    path = f"/api/v2/jobs/{job}/job_host_summaries/"
    found: list[dict[str, Any]] = deployment.get(path, page_size=200)["results"]
    return found


def _leaves_nothing(deployment: Deployment, job: int) -> None:
    """No process, no directory, no secret in memory."""
    directory = deployment.data / "runner-1" / "jobs" / f"{job}-1"
    eventually(lambda: not deployment.processes(job), 60)
    eventually(lambda: not directory.exists() and not memory_dir(directory).exists(), 60)


def test_fifty_hosts_are_reached_by_key_password_and_su(
    deployment: Deployment, fleet: Fleet, reaching: Enrolled
) -> None:
    """Every host has its summary and both events; no file of the deployment holds a secret."""
    job = deployment.launch(_template(deployment, reaching, "who.yml"))
    found = deployment.ended(job, within_s=180)
    assert found["status"] == "successful", _text(deployment, job)
    assert found["host_status_counts"] == {"changed": HOSTS}
    summaries = _summaries(deployment, job)
    assert {each["host_name"]: each["ok"] for each in summaries} == dict.fromkeys(fleet.names, 2)
    events = f"/api/v2/jobs/{job}/job_events/"
    query = {"event": "runner_on_ok", "page_size": 200}
    told = deployment.get(events, **query)["results"]
    assert sorted((each["host_name"], each["task"]) for each in told) == sorted(
        (name, task) for name in fleet.names for task in ("user", "root")
    )
    counted = deployment.get(events, page_size=1, order_by="-counter")
    assert counted["results"][0]["counter"] == counted["count"]
    key = fleet.key.read_text().splitlines()[2]
    for path in deployment.data.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert not [each for each in (key, *SECRETS) if each.encode() in content], path
    _leaves_nothing(deployment, job)


def test_a_job_over_ssh_outlives_its_agent_and_supervisor(
    deployment: Deployment, reaching: Enrolled
) -> None:
    """Both die while it has its credentials; it goes on, all is told once and nothing is left."""
    job = deployment.launch(_template(deployment, reaching, "slow.yml", limit=FEW))
    events = f"/api/v2/jobs/{job}/job_events/"
    eventually(lambda: deployment.get(events, event="runner_item_on_ok")["count"] > 2, 90)
    supervisor = SupervisorHandle.of(deployment.data / "runner-1" / "jobs" / f"{job}-1")
    assert supervisor is not None
    supervisor.kill()
    deployment.kill_role("runner-1")
    found = deployment.ended(job, within_s=120)
    assert found["status"] == "successful", found["job_explanation"] + _text(deployment, job)
    assert deployment.get(events, event="runner_item_on_ok")["count"] == PAUSES * 3
    counted = deployment.get(events, page_size=1, order_by="-counter")
    assert counted["results"][0]["counter"] == counted["count"]
    assert not [each for each in SECRETS if each in _text(deployment, job)]
    _leaves_nothing(deployment, job)


def test_a_host_that_dies_is_dark_and_relaunched_alone(
    deployment: Deployment, fleet: Fleet, reaching: Enrolled
) -> None:
    """The others go on; the job's failed hosts are the one, and it succeeds once it is back."""
    template = _template(deployment, reaching, "slow.yml", limit=FEW, verbosity=1)
    job = deployment.launch(template)
    events = f"/api/v2/jobs/{job}/job_events/"
    eventually(lambda: deployment.get(events, event="runner_item_on_ok")["count"] > 2, 90)
    fleet.kill("h2")
    found = deployment.ended(job, within_s=120)
    assert found["status"] == "failed"
    assert found["host_status_counts"] == {"changed": 2, "dark": 1}
    dark = {each["host_name"]: each["dark"] for each in _summaries(deployment, job)}
    assert dark == {"h1": 0, "h2": 1, "h50": 0}
    fleet.start("h2")
    again = deployment.post(f"/api/v2/jobs/{job}/relaunch/", {"hosts": "failed"})
    assert again["limit"] == "h2"
    second = deployment.ended(again["id"], within_s=120)
    assert second["status"] == "successful", _text(deployment, again["id"])
    assert [each["host_name"] for each in _summaries(deployment, again["id"])] == ["h2"]
    for number in (job, again["id"]):
        _leaves_nothing(deployment, number)
