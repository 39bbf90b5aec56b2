"""Bad input to a whole deployment: each gets a status or an error that names its cause."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runners.preparation import memory_dir
from tests.deployment.conftest import Deployment
from tests.deployment.ssh_fleet import PASSPHRASE, Sshd, make_key
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(180)

PASSWORDS = ("machine-pa55", "become-pa55")
LINES = 200_000
HEAD = "- hosts: all\n  gather_facts: false\n  tasks:\n"
PRINT = f"    - command: {sys.executable} -c"
PLAYBOOKS = {
    "reach.yml": HEAD + "    - ping:\n",
    "vanishing.yml": HEAD + "    - ping:\n",
    "long_line.yml": HEAD + "    - debug: {msg: \"{{ 'y' * 1048576 }}\"}\n",
    "latin1.yml": HEAD
    + f"{PRINT} \"import sys; sys.stdout.buffer.write(b'caf' + bytes([233, 255]))\"\n"
    + "      ignore_errors: true\n    - debug: {msg: the end}\n",
    "flood.yml": HEAD + f'    - debug: {{msg: "{{{{ range({LINES}) | list }}}}"}}\n',
    "tells.yml": HEAD
    + '    - debug: {msg: "password {{ ansible_password }}"}\n'
    + '    - command: echo "{{ ansible_password }} {{ ansible_become_password }}"\n'
    + '    - fail: {msg: "x{{ ansible_password }}x"}\n',
}


@pytest.fixture(scope="module")
def bad(deployment: Deployment) -> Deployment:
    """The module's deployment, its project extended by playbooks that go wrong."""
    for name, text in PLAYBOOKS.items():
        (deployment.directory / "repository" / name).write_text(text)
    path = deployment.directory / "repository" / "vaulted.yml"
    path.write_text(f"- hosts: all\n  gather_facts: false\n  vars:\n{_sealed(deployment)}")
    with path.open("a") as file:
        file.write('  tasks:\n    - debug: {msg: "{{ hidden }}"}\n')
    _commit_and_sync(deployment)
    return deployment


def _sealed(deployment: Deployment) -> str:
    word = deployment.directory / "vault-word"
    word.write_text("right-word")
    command = [
        str(Path(sys.executable).parent / "ansible-vault"),
        *("encrypt_string", "--vault-password-file", str(word), "--name", "hidden", "treasure"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return "".join(f"    {line}\n" for line in done.stdout.splitlines())


def _commit_and_sync(deployment: Deployment) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
    for command in (["add", "-A"], [*identity, "commit", "-q", "-m", "more"]):
        subprocess.run(["git", *command], cwd=deployment.directory / "repository", check=True)
    path = f"/api/v2/projects/{deployment.project}/update/"
    update = deployment.post(path, status=202)["project_update"]
    assert deployment.ended(update, "project_updates")["status"] == "successful"


def _run(
    deployment: Deployment, name: str, playbook: str, credentials: tuple[int, ...] = (), **told: Any
) -> tuple[dict[str, Any], str]:
    """Launch and wait; returns the job and its text output."""
    template = deployment.template(name, playbook, **told)
    for credential in credentials:
        path = f"/api/v2/job_templates/{template}/credentials/"
        deployment.post(path, {"id": credential}, status=204)
    found = deployment.ended(deployment.launch(template), within_s=150)
    return found, _text(deployment, found["id"])


def _text(deployment: Deployment, job: int, form: str = "txt") -> str:
    return deployment.client.get(f"/api/v2/jobs/{job}/stdout/", params={"format": form}).text


def _inventory(deployment: Deployment, name: str, **hosts: dict[str, Any]) -> int:
    body = {"name": name, "organization": 1}
    made: int = deployment.post("/api/v2/inventories/", body)["id"]
    for host, variables in hosts.items():
        deployment.post(
            f"/api/v2/inventories/{made}/hosts/",
            {"name": host, "variables": json.dumps(variables)},
        )
    return made


def _credential(deployment: Deployment, name: str, kind: int, **inputs: str) -> int:
    body = {"name": name, "organization": 1, "credential_type": kind, "inputs": inputs}
    made: int = deployment.post("/api/v2/credentials/", body)["id"]
    return made


def _refused(deployment: Deployment, path: str, body: Any, field: str, cause: str) -> None:
    answer = deployment.client.post(path, json=body)
    assert answer.status_code == 400, answer.text
    assert cause in json.dumps(answer.json()[field]), answer.text


def test_a_host_that_is_not_reached_is_dark(bad: Deployment) -> None:
    """The job fails, the host counts as dark, and the output says what ssh said."""
    closed = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    inventory = _inventory(bad, "dark", far=closed)
    found, text = _run(bad, "dark", "reach.yml", inventory=inventory)
    assert (found["status"], found["host_status_counts"]) == ("failed", {"dark": 1})
    assert "Connection refused" in text
    summary = bad.get(f"/api/v2/jobs/{found['id']}/job_host_summaries/")["results"][0]
    assert (summary["dark"], summary["failed"]) == (1, True)


@pytest.mark.parametrize(
    ("word", "status", "cause"),
    [
        (None, "failed", "no vault secrets found"),
        ("wrong-word", "failed", "Decryption failed"),
        ("right-word", "successful", "treasure"),
    ],
)
def test_a_vault_opens_with_its_password_alone(
    bad: Deployment, word: str | None, status: str, cause: str
) -> None:
    """Without it or with a wrong one the job fails and says so."""
    given = () if word is None else (_credential(bad, f"vault {word}", 3, vault_password=word),)
    found, text = _run(bad, f"vault {word}", "vaulted.yml", given)
    assert found["status"] == status
    assert cause in text
    assert "-word" not in text


def test_an_inventory_without_hosts_has_nothing_to_do(bad: Deployment) -> None:
    """The play is skipped and the job is successful, as AWX has it."""
    found, text = _run(bad, "empty", "site.yml", inventory=_inventory(bad, "empty"))
    assert found["status"] == "successful", text
    assert "skipping: no hosts matched" in text


def test_a_limit_that_matches_no_host_fails(bad: Deployment) -> None:
    """Ansible's own words stand in the output, the cause in the job."""
    found, text = _run(bad, "limited", "site.yml", limit="nobody")
    assert found["status"] == "failed"
    assert found["job_explanation"] == "The limit 'nobody' matches no host of the inventory"
    assert "no hosts to target" in text


def test_a_playbook_that_vanished_ends_the_job_by_name(bad: Deployment) -> None:
    """A job of a template whose playbook the project no longer has says which is missing."""
    template = bad.template("vanishing", "vanishing.yml")
    (bad.directory / "repository" / "vanishing.yml").unlink()
    _commit_and_sync(bad)
    found = bad.ended(bad.launch(template))
    assert found["status"] in {"failed", "error"}
    assert "vanishing.yml" in found["job_explanation"]
    body = {"name": "late", "project": bad.project, "inventory": bad.inventory}
    path = "/api/v2/job_templates/"
    _refused(bad, path, {**body, "playbook": "vanishing.yml"}, "playbook", "Playbook not found")


def test_what_a_template_needs_is_asked_for_at_launch(bad: Deployment) -> None:
    """Without inventory, or with project or inventory deleted since, the launch names the field."""
    body = {"project": bad.project, "playbook": "site.yml", "name": "no inventory"}
    _refused(bad, "/api/v2/job_templates/", body, "inventory", "set a default value or ask")
    body["ask_inventory_on_launch"] = True
    bare = bad.post("/api/v2/job_templates/", body)["id"]
    path = f"/api/v2/job_templates/{bare}/launch/"
    _refused(bad, path, {}, "inventory", "missing or undefined")
    _refused(bad, path, {"inventory": 9999}, "inventory", "does not exist")
    inventory = _inventory(bad, "passing")
    path = f"/api/v2/job_templates/{bad.template('orphan', 'site.yml', inventory=inventory)}/"
    assert bad.client.delete(f"/api/v2/inventories/{inventory}/").status_code == 202
    _refused(bad, path + "launch/", {}, "inventory", "missing or undefined")
    project = bad.post(
        "/api/v2/projects/",
        {
            "name": "passing",
            "organization": 1,
            "scm_type": "git",
            "scm_url": f"file://{bad.directory}/repository",
        },
    )["id"]
    eventually(lambda: bad.get(f"/api/v2/projects/{project}/")["status"] == "successful", 60)
    path = f"/api/v2/job_templates/{bad.template('bereft', 'site.yml', project=project)}/"
    assert bad.client.delete(f"/api/v2/projects/{project}/").status_code == 204
    _refused(bad, path + "launch/", {}, "project", "A project is required")


def test_credentials_of_the_wrong_kind_are_refused(bad: Deployment) -> None:
    """A template takes one machine credential and no source control one; a project the latter."""
    machine = _credential(bad, "machine", 1, username="u")
    source = _credential(bad, "source", 2, username="u")
    template = bad.template("kinds", "site.yml")
    path = f"/api/v2/job_templates/{template}/credentials/"
    bad.post(path, {"id": machine}, status=204)
    _refused(bad, path, {"id": source}, "error", "scm")
    _refused(bad, path, {"id": _credential(bad, "second", 1, username="v")}, "error", "multiple")
    project = {"name": "p", "organization": 1, "scm_type": "git", "scm_url": "https://x.invalid/"}
    path = "/api/v2/projects/"
    _refused(bad, path, {**project, "credential": machine}, "credential", "must be 'scm'")
    body = {"name": "c", "organization": 1, "credential_type": 1, "inputs": {"nonsense": "x"}}
    _refused(bad, "/api/v2/credentials/", body, "inputs", "nonsense")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]" for old, new in pairwise("abcdefghijk")
)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ("not: [valid", "Cannot parse as JSON"),
        ("just text", "not a dictionary"),
        ("- a\n- b", "not a dictionary"),
        ([1, 2], "not a dictionary"),
        (7, "not a dictionary"),
        (True, "not a dictionary"),
        ("a: !vault x", "!vault"),
        ("a: &x [*x]", "nested deeper"),
        ('{"a": ' + "[" * 50_000 + "]" * 50_000 + "}", "Cannot parse"),
        (BOMB, "too large"),
    ],
    ids=[
        "broken",
        "text",
        "list",
        "json list",
        "number",
        "boolean",
        "tag",
        "cycle",
        "deep",
        "bomb",
    ],
)
def test_extra_vars_of_the_wrong_type_are_refused(bad: Deployment, given: Any, cause: str) -> None:
    """Variables are a JSON or YAML object, at launch as in a template."""
    name = "takes variables"
    known = bad.get("/api/v2/job_templates/", name=name)["results"]
    made = known[0]["id"] if known else bad.template(name, "site.yml", ask_variables_on_launch=True)
    path = f"/api/v2/job_templates/{made}/launch/"
    _refused(bad, path, {"extra_vars": given}, "extra_vars", cause)
    if isinstance(given, str):
        _refused(
            bad,
            f"/api/v2/inventories/{bad.inventory}/hosts/",
            {"name": "bad", "variables": given},
            "variables",
            cause,
        )


def test_bodies_that_are_no_object_are_refused(bad: Deployment) -> None:
    """Broken JSON, lists, NaN and lone surrogates answer 400; another content type 415."""
    client, path = bad.client, "/api/v2/organizations/"
    kind = {"Content-Type": "application/json"}
    bodies = [b'{"name": ', b"[1]", b"null", b'{"name": NaN}', b'{"name": "\\ud800"}', b"\xff"]
    for body in bodies:
        assert client.post(path, content=body, headers=kind).status_code == 400, body
    text = {"Content-Type": "text/plain"}
    assert client.post(path, content=b"name=x", headers=text).status_code == 415
    answer = bad.post(path, {"name": "with more", "nonsense": 1})
    assert "nonsense" not in answer


@pytest.mark.parametrize(
    "path",
    ["jobs/99999/", "jobs/99999/stdout/", "jobs/abc/", f"jobs/{10**30}/", "hosts/99999/facts/"],
)
def test_ids_that_do_not_exist_answer_404(bad: Deployment, path: str) -> None:
    """Whatever is asked below them."""
    assert bad.client.get(f"/api/v2/{path}").status_code == 404


def test_output_in_another_encoding_does_no_harm(bad: Deployment) -> None:
    """Bytes that are no UTF-8 reach the module's caller; the job goes on to its end."""
    found, text = _run(bad, "latin1", "latin1.yml", limit="one")
    assert found["status"] == "successful", text
    assert "the end" in text


def test_a_line_of_a_megabyte_is_kept_whole(bad: Deployment) -> None:
    """The event's stdout is cut as AWX's, the download has every character."""
    found, _ = _run(bad, "long line", "long_line.yml", limit="one")
    assert found["status"] == "successful"
    assert "y" * 1048576 in _text(bad, found["id"], "txt_download")


def test_two_hundred_thousand_lines_are_read_by_page(bad: Deployment) -> None:
    """The download is complete, more than may be displayed is refused, memory stays bounded."""
    found, _ = _run(bad, "flood", "flood.yml", limit="one")
    job = found["id"]
    assert (found["status"], found["event_processing_finished"]) == ("successful", True)
    text = _text(bad, job, "txt_download")
    assert text.count("\n") > LINES
    assert f"{LINES - 1}\n" in text.replace("\r", "")
    lines = {"format": "json", "start_line": 190_000, "end_line": 190_010}
    refused = bad.get(f"/api/v2/jobs/{job}/stdout/", **lines)
    assert refused["range"] == {"start": 0, "end": 1, "absolute_end": 1}
    assert "too large to display" in refused["content"]
    settings = "/api/v2/settings/jobs/"
    assert bad.client.patch(settings, json={"STDOUT_MAX_BYTES_DISPLAY": 1 << 26}).status_code == 200
    page = bad.get(f"/api/v2/jobs/{job}/stdout/", **lines)
    assert bad.client.patch(settings, json={"STDOUT_MAX_BYTES_DISPLAY": 1 << 20}).status_code == 200
    assert page["range"]["end"] - page["range"]["start"] == 10
    assert page["content"].count("\n") == 10
    for role, state in bad.roles().items():
        status = Path(f"/proc/{state['pid']}/status").read_text()
        resident_kb = int(status.split("VmRSS:")[1].split()[0])
        assert resident_kb < 400_000, role


def test_a_play_that_prints_its_secrets_does_not_tell_them(bad: Deployment) -> None:
    """What the job was given as secret reads ``$encrypted$`` in output and events."""
    machine, become = PASSWORDS
    given = _credential(bad, "told", 1, username="u", password=machine, become_password=become)
    found, text = _run(bad, "tells", "tells.yml", (given,), limit="one")
    assert found["status"] == "failed"
    assert "password $encrypted$" in text
    events = bad.client.get(f"/api/v2/jobs/{found['id']}/job_events/?page_size=200").text
    detail = bad.client.get(f"/api/v2/jobs/{found['id']}/").text
    for secret in PASSWORDS:
        assert secret not in text + events + detail


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    """An sshd that lets one key in."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    server = Sshd(directory)
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.mark.tier_sshd
@pytest.mark.parametrize(
    ("fault", "status", "cause"),
    [
        ("passphrase", "failed", "Bad passphrase"),
        ("stranger", "failed", "Permission denied"),
        ("expired", "error", "certificate of credential 'key expired' expired at 2020-01-02"),
        ("broken", "failed", "private key cannot be used"),
    ],
)
def test_a_key_that_opens_nothing_ends_the_job(
    bad: Deployment, sshd: Sshd, fault: str, status: str, cause: str
) -> None:
    """A wrong passphrase, a key nobody knows, one out of date, a broken one: nothing is left."""
    key, inputs = sshd.key, {"username": "root", "ssh_key_unlock": PASSPHRASE}
    if fault == "broken":
        key = sshd.key.with_name("broken")
        key.write_text(
            "-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n-----END OPENSSH PRIVATE KEY-----\n"
        )
        del inputs["ssh_key_unlock"]
    elif fault == "passphrase":
        inputs["ssh_key_unlock"] = "not-the-phrase"
    elif fault == "stranger":
        key = sshd.key.with_name("stranger")
        make_key(key, PASSPHRASE)
    else:
        key = sshd.expired_key()
        inputs["ssh_public_key_data"] = key.with_name(f"{key.name}-cert.pub").read_text()
    given = _credential(bad, f"key {fault}", 1, ssh_key_data=key.read_text(), **inputs)
    inventory = _inventory(bad, f"key {fault}", target=sshd.variables)
    found, text = _run(bad, f"key {fault}", "reach.yml", (given,), inventory=inventory)
    assert found["status"] == status, text + found["job_explanation"]
    assert cause in text + found["job_explanation"] + found["result_traceback"], text
    assert PASSPHRASE not in text
    assert "not-the-phrase" not in text
    _leaves_nothing(bad, found["id"])


def _leaves_nothing(deployment: Deployment, job: int) -> None:
    """No process, no directory, no secret in memory."""
    directory = deployment.data / "runner-1" / "jobs" / f"{job}-1"
    eventually(lambda: not deployment.processes(job), 60)
    eventually(lambda: not directory.exists() and not memory_dir(directory).exists(), 60)


@pytest.mark.tier_sshd
def test_a_key_that_is_none_is_refused(bad: Deployment, sshd: Sshd) -> None:
    """So is a locked key without what unlocks it: a job would wait for an answer."""
    body = {"name": "no key", "organization": 1, "credential_type": 1}
    path = "/api/v2/credentials/"
    refused = {"ssh_key_data": "no key at all"}
    _refused(bad, path, {**body, "inputs": refused}, "inputs", "Invalid certificate or key")
    refused = {"ssh_key_data": sshd.key.read_text()}
    _refused(bad, path, {**body, "inputs": refused}, "inputs", "must be set when SSH key is enc")


def test_a_playbook_outside_its_project_is_refused(bad: Deployment) -> None:
    """By name, and by a symbolic link: it is listed nowhere, and a job of it ends by its name."""
    body = {"name": "out", "project": bad.project, "inventory": bad.inventory}
    for name in ("../site.yml", "/etc/passwd", "a/../../site.yml"):
        _refused(bad, "/api/v2/job_templates/", {**body, "playbook": name}, "playbook", "not found")
    outside = bad.directory / "outside.yml"
    outside.write_text(HEAD + "    - debug: {msg: outsider}\n")
    (bad.directory / "repository" / "link.yml").symlink_to(outside)
    (bad.directory / "repository" / "linked").symlink_to(bad.directory)
    _commit_and_sync(bad)
    listed = bad.client.get(f"/api/v2/projects/{bad.project}/playbooks/").json()
    assert "site.yml" in listed
    assert not [each for each in listed if "link" in each]
    _refused(
        bad, "/api/v2/job_templates/", {**body, "playbook": "link.yml"}, "playbook", "not found"
    )


def test_the_deployment_goes_on(bad: Deployment) -> None:
    """After all of it a plain job still runs, and nothing was set aside or stopped."""
    found, _ = _run(bad, "plain", "site.yml")
    assert found["status"] == "successful"
    status = json.loads(bad.playlog("status", "--json"))
    assert {each["state"] for each in status["projections"]} == {"running"}
    assert {role["restarts"] for role in status["roles"]} == {0}
    assert "identical" in bad.playlog("projections", "rebuild", "--verify")
