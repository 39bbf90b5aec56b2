"""What a deployment is told in confidence stands in no argument, environment, file or message."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.shell.seed import builtin_types
from ops import connect as nats
from ops import pull
from runners.process_tree import MARK, mark_of
from schemas.streams import STREAMS
from tests import vaults
from tests.deployment.conftest import PASSWORD, Deployment
from tests.runners.test_secrets import vault as vault_text
from tests.vaults import VaultServer
from tests.waiting import eventually

pytestmark = [
    pytest.mark.tier_sshd,  # its keys are made and loaded by OpenSSH's programs
    pytest.mark.timeout(180),
]

MACHINE = "machine-w0rd-41"
BECOME = "become-w0rd-42"
PASSPHRASE = "phrase-w0rd-43"
VAULT = "vault-w0rd-44"
ASKED = "asked-w0rd-48"
GIT = "git-w0rd-45"
ODD = "\"\\&\u00e9'"
"""Follows the words that may hold anything: what masks them knows every way to write it."""
OTHERS_OF_A_JOB = frozenset({"cloud", "net", "kubernetes"})
"""Kinds of credentials that a job may have beside machine and vault."""
PLAYBOOK = """
- hosts: all
  gather_facts: false
  vars:
    vaulted: VAULTED
    words:
      - "{{ vaulted }}"
      - "{{ ansible_password }}"
      - "{{ answer }}"
      - "{{ usual }}"
      - "{{ told.deep[0] }}"
  tasks:
    - debug: {msg: "word {{ words }}"}
    - fail: {msg: "{{ words }}"}
      no_log: true
      ignore_errors: true
    - command: sleep 4
    - command: env
    - shell: >-
        cat $OWN_FILE $OVIRT_INI_PATH $GCP_SERVICE_ACCOUNT_FILE $OS_CLIENT_CONFIG_FILE
        $TF_BACKEND_CONFIG_FILE $GOOGLE_BACKEND_CREDENTIALS $K8S_AUTH_SSL_CA_CERT
        $ANSIBLE_NET_SSH_KEYFILE
    - set_stats: {data: {seen: "{{ words }}"}}
    - command: cat nothing-there {{ ansible_password }}
"""
OWN_TYPE = {
    "name": "Own",
    "kind": "cloud",
    "inputs": {
        "fields": [
            {"id": "looked", "label": "Looked up", "secret": True},
            {"id": "given", "label": "Given", "secret": True},
        ]
    },
    "injectors": {
        "file": {"template": "[own]\nlooked={{ looked }}\ngiven={{ given }}"},
        "env": {"OWN_FILE": "{{ tower.filename }}", "OWN_LOGIN": "Bearer {{ looked }}"},
        "extra_vars": {"told": {"deep": ["{{ given }}"]}, "ansible_password": "{{ looked }}"},
    },
}
SURVEY = {
    "name": "",
    "description": "",
    "spec": [
        {
            "question_name": name,
            "variable": name,
            "type": "password",
            "required": not default,
            "default": default,
            "min": 0,
            "max": 99,
        }
        for name, default in (("answer", ""), ("usual", f"usual-w0rd-46{ODD}"))
    ],
}


class Told:
    """Everything secret that the deployment was told or gave out, and the job that used it."""

    def __init__(self, deployment: Deployment, vault: VaultServer) -> None:
        """Make credentials, a token and a session, and launch the job."""
        self._deployment = deployment
        self.key = _key(deployment.directory)
        self.planted = ["answer-w0rd-47", "usual-w0rd-46", str(vaults.SECRETS["password"])]
        inside = vault_text("two", ASKED, "vaulted-text", 6)
        deployment.write({"tells.yml": PLAYBOOK.replace("VAULTED", inside)})
        self._tell_project()
        self.token: str = deployment.post("/api/v2/tokens/", {"scope": "write"})["token"]
        self.session = _session(deployment)
        template = deployment.template("tells", "tells.yml", limit="one", survey_enabled=True)
        deployment.post(f"/api/v2/job_templates/{template}/survey_spec/", SURVEY, status=200)
        for credential in [*self._of_jobs(), self._own(vault)]:
            path = f"/api/v2/job_templates/{template}/credentials/"
            deployment.post(path, {"id": credential}, status=204)
        self.job = deployment.launch(
            template,
            extra_vars={"answer": f"answer-w0rd-47{ODD}"},
            credential_passwords={"become_password": BECOME, "vault_password.two": ASKED},
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """All of them; of a key one line of its body."""
        body = self.key.splitlines()[2]
        words = (MACHINE, BECOME, PASSPHRASE, VAULT, ASKED, GIT, body)
        return (*words, *self.planted, self.token, self.session, PASSWORD)

    def _tell_project(self) -> None:
        """Let the project log in, and its organization's server of collections know us."""
        deployment = self._deployment
        scm = self._credential("scm", username="g", password=GIT)
        galaxy = self._credential(
            "galaxy_api_token", url="http://127.0.0.1:1/", token=self._plant("galaxy")
        )
        path = "/api/v2/organizations/1/galaxy_credentials/"
        deployment.post(path, {"id": galaxy}, status=204)
        path = f"/api/v2/projects/{deployment.project}/"
        assert deployment.client.patch(path, json={"credential": scm}).status_code == 200
        deployment.commit("more")

    def _of_jobs(self) -> Iterator[int]:
        """Make a credential of every type, its secret fields filled; yield those of a job."""
        yield self._credential(
            "ssh",
            username="u",
            password=MACHINE,
            become_password="ASK",
            ssh_key_data=self.key,
            ssh_key_unlock=PASSPHRASE,
        )
        yield self._credential("vault", vault_password=VAULT)
        yield self._credential("vault", vault_password="ASK", vault_id="two")
        done = {"ssh", "vault", "scm", "galaxy_api_token"}
        for kind in builtin_types():
            if kind["namespace"] not in done:
                fields = kind["inputs"]["fields"]
                filled = {field["id"]: self._filled(kind, field) for field in fields}
                made = self._credential(kind["namespace"], **filled)
                if kind["kind"] in OTHERS_OF_A_JOB:
                    yield made

    def _filled(self, kind: dict[str, Any], field: dict[str, Any]) -> Any:
        if field.get("type") == "boolean":
            return True
        if field.get("format") == "ssh_private_key":
            return self.key
        if field["id"] == "ssh_key_unlock":
            return PASSPHRASE
        if field.get("secret"):
            return self._plant(f"{kind['namespace']}.{field['id']}")
        choices = field.get("choices")
        return choices[0] if choices else "https://plain.invalid"

    def _own(self, vault: VaultServer) -> int:
        """Make a credential of a type of its own, one field of which is looked up."""
        deployment = self._deployment
        kind = deployment.post("/api/v2/credential_types/", OWN_TYPE)["id"]
        made = self._made(kind, {"given": self._plant("own")})
        login = vaults.LOGINS["approle"]
        self.planted.append(login["secret_id"])
        source = self._credential("hashivault_kv", **vault.inputs(**login))
        body = {
            "target_credential": made,
            "source_credential": source,
            "input_field_name": "looked",
            "metadata": {"secret_path": "kv/app", "secret_key": "password"},
        }
        deployment.post("/api/v2/credential_input_sources/", body)
        test = f"/api/v2/credentials/{source}/test/"
        deployment.post(test, {"metadata": body["metadata"]}, status=202)
        return made

    def _plant(self, name: str, odd: str = ODD) -> str:
        """Return a new secret word."""
        word = f"w0rd-{len(self.planted)}.{name}"
        self.planted.append(word)
        return f"{word}{odd}"

    def _credential(self, namespace: str, /, **inputs: Any) -> int:
        found = self._deployment.get("/api/v2/credential_types/", namespace=namespace)
        return self._made(found["results"][0]["id"], inputs)

    def _made(self, kind: int, inputs: dict[str, Any]) -> int:
        name = f"{kind} with {len(inputs)} inputs"
        body = {"name": name, "organization": 1, "credential_type": kind, "inputs": inputs}
        made: int = self._deployment.post("/api/v2/credentials/", body)["id"]
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
def told(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The module's deployment with its secrets and a job that runs."""
    with vaults.running(tmp_path_factory.mktemp("vault")) as vault:
        yield Told(deployment, vault)


def test_no_process_is_told_a_secret_in_the_open(deployment: Deployment, told: Told) -> None:
    """No arguments hold any while the job runs; variables only what the job is to find there."""
    mark = f"{deployment.data}/runner-1/jobs/{told.job}-".encode()
    own = mark_of(deployment.data / "runner-1" / "jobs" / f"{told.job}-1")
    of_job = f"\0{MARK}={own}\0".encode()
    injected = [each for each in told.planted if "vault" not in each]
    seen: dict[str, tuple[bytes, bytes]] = {}

    def runs() -> bool:
        seen.update(_processes(deployment))
        return any(mark in both[1] and b"sleep\x004\0" in both[0] for both in seen.values())

    eventually(runs, 60)
    assert len(seen) > 8
    for who, (arguments, variables) in seen.items():
        hidden = set(told.secrets) - (set(injected) if of_job in b"\0" + variables else set())
        assert [each for each in told.secrets if each.encode() in arguments] == [], who
        assert [each for each in hidden if each.encode() in variables] == [], who


def test_output_and_answers_hide_what_the_job_was_given(deployment: Deployment, told: Told) -> None:
    """A play that prints its passwords prints ``$encrypted$``; the API tells none of them."""
    found = deployment.ended(told.job)
    assert (found["status"], found["job_explanation"]) == ("failed", "")
    assert found["job_env"]["OWN_LOGIN"] == "Bearer **********"
    assert "seen" in found["artifacts"]
    failed = deployment.get(f"/api/v2/jobs/{told.job}/job_events/", event="runner_on_failed")
    tasks = [each["task"] for each in failed["results"]]
    assert tasks == ["fail", "command"], "every file of the credentials could be read"
    paths = ["", "stdout/?format=txt", "job_events/?page_size=200", "job_host_summaries/"]
    text = "".join(deployment.client.get(f"/api/v2/jobs/{told.job}/{path}").text for path in paths)
    text += deployment.client.get("/api/v2/credentials/").text
    text += deployment.client.get("/api/v2/tokens/").text
    assert "vaulted-text" in text
    assert "$encrypted$" in text
    for secret in told.secrets:
        assert secret not in text


def test_no_file_holds_a_secret(deployment: Deployment, told: Told) -> None:
    """Logs, journals, databases and the log's own store hold none; memory files are gone."""
    deployment.ended(told.job)
    eventually(lambda: not list((deployment.data / "runner-1" / "jobs").iterdir()), 30)
    found = ((str(path), path.read_bytes()) for path in _files(deployment.data))
    assert [leak for each in found for leak in _leaks(told, *each)] == []
    left = [path.name for path in Path("/dev/shm").glob(f"playlog-*/*-{told.job}")]
    assert left == []


def test_no_message_holds_a_secret(deployment: Deployment, told: Told) -> None:
    """Every message of every stream, as its readers get it."""
    deployment.ended(told.job)
    bodies = asyncio.run(_messages(deployment))
    assert len(bodies) > 30
    assert [leak for each in bodies for leak in _leaks(told, *each)] == []


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


def _processes(deployment: Deployment) -> dict[str, tuple[bytes, bytes]]:
    """Arguments and environments of the deployment's processes but ``up``, told by the test."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            arguments, variables = ((entry / each).read_bytes() for each in ("cmdline", "environ"))
        except OSError:
            continue
        ours = str(deployment.data).encode() in arguments + variables
        if ours and b"\0up\0" not in arguments:
            found[f"{entry.name} {arguments!r}"] = (arguments, variables)
    return found


def _leaks(told: Told, where: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield every secret that stands in a content, with what is around it."""
    for secret in told.secrets:
        at = content.find(secret.encode())
        if at >= 0:
            yield where, content[max(0, at - 60) : at + 60]


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
