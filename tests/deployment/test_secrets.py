"""What a deployment is told in confidence stands in no argument, environment, file or message."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ops import connect as nats
from ops import pull
from schemas.streams import STREAMS
from tests.deployment.conftest import PASSWORD, Deployment
from tests.waiting import eventually

pytestmark = [
    pytest.mark.tier_sshd,  # its keys are made and loaded by OpenSSH's programs
    pytest.mark.xdist_group("deployment"),
    pytest.mark.timeout(180),
]

MACHINE = "machine-w0rd-41"
BECOME = "become-w0rd-42"
PASSPHRASE = "phrase-w0rd-43"
VAULT = "vault-w0rd-44"
GIT = "git-w0rd-45"
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - debug: {msg: "word {{ ansible_password }}"}
    - command: sleep 4
    - command: env
    - command: cat nothing-there {{ ansible_password }}
"""


class Told:
    """Everything secret that the deployment was told or gave out, and the job that used it."""

    def __init__(self, deployment: Deployment) -> None:
        """Make credentials, a token and a session, and launch the job."""
        self.key = _key(deployment.directory)
        repository = deployment.directory / "repository"
        (repository / "tells.yml").write_text(PLAYBOOK)
        identity = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
        for command in (["add", "-A"], [*identity, "commit", "-q", "-m", "more"]):
            subprocess.run(["git", *command], cwd=repository, check=True)
        given = [
            self._credential(
                deployment,
                1,
                username="u",
                password=MACHINE,
                become_password=BECOME,
                ssh_key_data=self.key,
                ssh_key_unlock=PASSPHRASE,
            ),
            self._credential(deployment, 3, vault_password=VAULT),
        ]
        scm = self._credential(deployment, 2, username="g", password=GIT)
        path = f"/api/v2/projects/{deployment.project}/"
        assert deployment.client.patch(path, json={"credential": scm}).status_code == 200
        update = deployment.post(f"{path}update/", status=202)["project_update"]
        deployment.ended(update, "project_updates")
        self.token: str = deployment.post("/api/v2/tokens/", {"scope": "write"})["token"]
        self.session = _session(deployment)
        template = deployment.template("tells", "tells.yml", limit="one")
        for credential in given:
            path = f"/api/v2/job_templates/{template}/credentials/"
            deployment.post(path, {"id": credential}, status=204)
        self.job = deployment.launch(template)

    @property
    def secrets(self) -> tuple[str, ...]:
        """All of them; of a key one line of its body."""
        body = self.key.splitlines()[2]
        words = (MACHINE, BECOME, PASSPHRASE, VAULT, GIT, body)
        return (*words, self.token, self.session, PASSWORD)

    @staticmethod
    def _credential(deployment: Deployment, kind: int, **inputs: str) -> int:
        body = {"name": f"of {kind}", "organization": 1, "credential_type": kind, "inputs": inputs}
        made: int = deployment.post("/api/v2/credentials/", body)["id"]
        return made


def _key(directory: Path) -> str:
    path = directory / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", PASSPHRASE, "-f", str(path)]
    subprocess.run(command, check=True)
    return path.read_text()


def _session(deployment: Deployment) -> str:
    with httpx.Client(base_url=deployment.url, timeout=30) as own:
        own.get("/api/login/")
        token = own.cookies["csrftoken"]
        form = {"username": "admin", "password": PASSWORD, "next": "/api/"}
        headers = {"X-CSRFToken": token, "Referer": deployment.url}
        own.post("/api/login/", data=form, headers=headers)
        cookies = dict(own.cookies)
    return next(value for name, value in cookies.items() if "session" in name)


@pytest.fixture(scope="module")
def told(deployment: Deployment) -> Told:
    """The module's deployment with its secrets and a job that runs."""
    return Told(deployment)


def test_no_process_is_told_a_secret_in_the_open(deployment: Deployment, told: Told) -> None:
    """Neither arguments nor environments hold any while the job runs, children included."""
    mark = f"{deployment.data}/runner-1/jobs/{told.job}-".encode()
    seen: dict[str, bytes] = {}

    def runs() -> bool:
        seen.update(_processes(deployment))
        return any(mark in what and b"sleep\x004\0" in what for what in seen.values())

    eventually(runs, 60)
    assert len(seen) > 8
    for who, what in seen.items():
        for secret in told.secrets:
            assert secret.encode() not in what, who


def test_output_and_answers_hide_what_the_job_was_given(deployment: Deployment, told: Told) -> None:
    """A play that prints its passwords prints ``$encrypted$``; the API tells none of them."""
    found = deployment.ended(told.job)
    assert found["status"] == "failed"
    paths = ["", "stdout/?format=txt", "job_events/?page_size=200", "job_host_summaries/"]
    text = "".join(deployment.client.get(f"/api/v2/jobs/{told.job}/{path}").text for path in paths)
    text += deployment.client.get("/api/v2/credentials/").text
    text += deployment.client.get("/api/v2/tokens/").text
    assert "word $encrypted$" in text
    for secret in told.secrets:
        assert secret not in text


def test_no_file_holds_a_secret(deployment: Deployment, told: Told) -> None:
    """Logs, journals, databases and the log's own store hold none; memory files are gone."""
    deployment.ended(told.job)
    eventually(lambda: not list((deployment.data / "runner-1" / "jobs").iterdir()), 30)
    for path in _files(deployment.data):
        content = path.read_bytes()
        for secret in told.secrets:
            assert secret.encode() not in content, path
    left = [path.name for path in Path("/dev/shm").glob(f"playlog-*/*-{told.job}")]
    assert left == []


def test_no_message_holds_a_secret(deployment: Deployment, told: Told) -> None:
    """Every message of every stream, as its readers get it."""
    deployment.ended(told.job)
    bodies = asyncio.run(_messages(deployment))
    assert len(bodies) > 30
    for name, body in bodies:
        for secret in told.secrets:
            assert secret.encode() not in body, name


def test_files_are_private(deployment: Deployment) -> None:
    """Directories are 0700; what names keys, tells state or logs is 0600."""
    data = deployment.data
    for directory in (data, *(path for path in data.iterdir() if path.is_dir())):
        assert directory.stat().st_mode & 0o077 == 0, directory
    places = [data / name for name in ("run", "secrets", "log")]
    files = [path for place in places for path in place.iterdir()]
    files += [*data.glob("nats/*.json"), *data.glob("nats/*.conf"), data / "postgres" / "password"]
    assert len(files) > 10
    for path in files:
        assert path.stat().st_mode & 0o077 == 0, path


def test_logs_are_json_and_name_their_jobs(deployment: Deployment, told: Told) -> None:
    """Every line of our roles is one JSON object; a job's lines carry its id."""
    deployment.ended(told.job)
    lines = [
        (path.name, json.loads(line))
        for role in ("api", "dispatcher", "projector", "runner-1")
        for path in [deployment.data / "log" / f"{role}.log"]
        for line in path.read_text().splitlines()
    ]
    for name, line in lines:
        assert {"event", "level", "timestamp", "role"} <= set(line), (name, line)
    mine = [line for _, line in lines if str(line.get("attempt", "")).startswith(f"{told.job}-")]
    assert mine


def _processes(deployment: Deployment) -> dict[str, bytes]:
    """Arguments and environments of the deployment's processes but ``up``, told by the test."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            arguments = (entry / "cmdline").read_bytes()
            whole = arguments + b"\0" + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(deployment.data).encode() in whole and b"\0up\0" not in arguments:
            found[f"{entry.name} {arguments!r}"] = whole
    return found


def _files(place: Path) -> Iterator[Path]:
    for path in place.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


async def _messages(deployment: Deployment) -> list[tuple[str, bytes]]:
    status = json.loads(deployment.playlog("status", "--json"))
    creds = Path(status["nats_creds_file"])
    connection = await nats.connect_nats(status["nats_url"], creds, "test", patient=False)
    found = []
    for spec in STREAMS:
        async for messages in pull.read(connection, spec.name, 1, 10**9):
            found += [(message.subject, message.data) for message in messages]
    await nats.close_quietly(connection)
    return found
