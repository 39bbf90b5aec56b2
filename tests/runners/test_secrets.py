"""Secrets reach Ansible and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from runners import process_tree
from runners.credentials import Unusable, secrets_of
from runners.journal import Status
from runners.preparation import memory_dir
from runners.spec import FILE_TOKEN, Secrets
from schemas.work import JobSecrets, UsedCredential
from tests.runners.rig import Rig, play

WORD = "correct-horse-17"


def test_no_log_hides_what_upstream_prints(rig: Rig) -> None:
    """A task with no_log leaves no trace of its values, also when it fails, warns or loops."""
    rig.write(
        play(
            "{name: fails, fail: {msg: '{{ word }}'}, no_log: true, ignore_errors: true}",
            "{name: loops, fail: {msg: '{{ item }}'}, loop: ['{{ word }}'], no_log: true, "
            "ignore_errors: true}",
            "{name: wrong, debug: {msg: '{{ word.nothing }}'}, no_log: true, ignore_errors: true}",
            "{name: types, command: {argv: [echo, '{{ word }}']}, no_log: true}",
        ),
        extra_vars={"word": WORD},
        verbosity=1,
    )
    assert rig.run().status == "successful"
    assert WORD.encode() not in rig.raw()
    assert "censored" in rig.seen("runner_on_failed", "fails").stdout
    assert "[ERROR]" not in rig.stdout()


def test_known_secrets_are_masked_everywhere(rig: Rig) -> None:
    """Secret variables and passwords are masked in output, results, names and errors."""
    secrets = Secrets(
        extra_vars={"word": WORD, "nested": [{"pin": 73_194_821}], "text": 'a"b\\c-quoted'},
        become_password="become-me-please",
        env={"INJECTED": "from-the-environment"},
        mask=("from-the-environment",),
    )
    rig.write(
        play(
            "{name: 'says {{ word }}', debug: {msg: '{{ word }} {{ nested }} {{ text }}'}}",
            "{name: env, command: env}",
            "{name: fails, fail: {msg: 'become-me-please {{ word }}'}}",
        )
    )
    final = rig.run(secrets)
    assert (final.status, final.rc) == ("failed", 2)
    raw = rig.raw().decode(errors="replace")
    for secret in (WORD, "73194821", "b\\\\c-quoted", "become-me-please", "from-the-environment"):
        assert secret not in raw
    (env,) = rig.results("runner_on_ok", "env")
    assert "INJECTED=$encrypted$" in env["stdout_lines"]
    assert json.loads(raw[raw.index('{"event":"_final"') :])["status"] == "failed"


def test_no_secret_in_argv_or_job_directory(rig: Rig) -> None:
    """A running job's secrets stand in no command line, environment or file of its directory."""
    secrets = Secrets(
        password="login-with-this",
        extra_vars={"word": WORD},
        vaults={"": "vault-default-9", "prod": "vault-prod-9"},
        ssh_key=new_key(rig.dir.parent, "phrase-of-key"),
        ssh_key_passphrase="phrase-of-key",
        files={"cert": "certificate-body"},
    )
    gate = "{name: gate, wait_for: {path: '{{ playbook_dir }}/../go', sleep: 1, timeout: 60}}"
    rig.write(play(gate))
    rig.start(secrets)
    rig.seen("runner_on_start", "gate")
    assert rig.handle is not None
    shown = [
        Path(f"/proc/{pid}/{name}").read_bytes()
        for pid in (*rig.processes(), rig.handle.pid, os.getpid())
        for name in ("cmdline", "environ")
    ]
    files = [each.read_bytes() for each in rig.dir.rglob("*") if each.is_file()]
    (rig.dir / "go").touch()
    for secret in secrets.known():
        assert all(secret.encode() not in each for each in (*shown, *files))
    assert any(b"ssh-agent" in each or b"ssh-add" in each for each in shown)
    sockets = {
        Path(variable.partition(b"=")[2].decode())
        for each in shown
        for variable in each.split(b"\0")
        if variable.startswith(b"SSH_AUTH_SOCK=")
    }
    assert rig.finish().status == "successful"
    assert not memory_dir(rig.dir).exists()
    assert process_tree.marked(rig.dir) == []
    assert sockets
    assert not any(each.parent.exists() for each in sockets)


def test_secret_variables_win_and_files_have_paths(rig: Rig) -> None:
    """Secret variables override the launch's; an injected file is reached by its token's path."""
    token = FILE_TOKEN % "cert"
    secrets = Secrets(
        extra_vars={"who": "from-secrets"},
        env={"CERT": token},
        files={"cert": "certificate-body"},
    )
    rig.write(
        play(
            '{name: who, debug: {msg: \'{{ who ~ "!" == "from-secrets!" }}\'}}',
            "{name: cert, shell: 'wc -c < $CERT; stat -c %a $CERT'}",
        ),
        extra_vars={"who": "from-launch"},
    )
    assert rig.run(secrets).status == "successful"
    assert rig.results("runner_on_ok", "who")[0]["msg"] is True
    assert rig.results("runner_on_ok", "cert")[0]["stdout_lines"] == ["16", "600"]


def test_only_a_templates_own_variables_are_templates(rig: Rig) -> None:
    """What came with a launch or as a secret is taken as text, however deep it stands."""
    jinja = "{{ 20 + 22 }}"
    rig.write(
        play(
            '{name: own, debug: {msg: "{{ own }}"}}',
            '{name: nested, debug: {msg: "{{ given.list[0] ~ given.number }}"}}',
            '{name: secret, debug: {msg: "{{ secret | length }}"}}',
        ),
        extra_vars={"own": jinja, "given": {"list": [jinja], "number": 3}, "secret": "$encrypted$"},
        jinja_vars=("own", "secret"),
    )
    assert rig.run(Secrets(extra_vars={"secret": "{{ hidden }}"})).status == "successful"
    assert str(rig.results("runner_on_ok", "own")[0]["msg"]) == "42"
    assert rig.results("runner_on_ok", "nested")[0]["msg"] == f"{jinja}3"
    assert str(rig.results("runner_on_ok", "secret")[0]["msg"]) == "12"


def test_vault_passwords_by_id(rig: Rig) -> None:
    """Every vault id gets its own password; a wrong one fails the job and is not shown."""
    encrypted = vault("prod", "vault-prod-9", "the-content")
    files = play("{name: vaulted, debug: {msg: '{{ vaulted | length }}'}}")
    rig.write({**files, "group_vars/all.yml": f"vaulted: {encrypted}"})
    secrets = Secrets(vaults={"": "vault-default-9", "prod": "vault-prod-9"})
    assert rig.run(secrets).status == "successful"
    assert rig.results("runner_on_ok", "vaulted")[0]["msg"] == 11
    prompts = [each.stdout for each in rig.events("verbose")]
    assert any("Vault password" in each for each in prompts)
    assert b"vault-prod-9" not in rig.raw()


def test_a_wrong_vault_password_fails_the_job(rig: Rig) -> None:
    """A password that opens nothing ends the job as failed, saying so."""
    files = play("{name: vaulted, debug: {msg: '{{ vaulted }}'}}")
    encrypted = vault("prod", "vault-prod-9", "the-content")
    rig.write({**files, "group_vars/all.yml": f"vaulted: {encrypted}"})
    final = rig.run(Secrets(vaults={"prod": "wrong-password"}))
    assert final.status == "failed"
    assert final.explanation == (
        "Ansible could not decrypt a vault: no password of its vault credentials fits (vault ids:"
        " 'prod')"
    )
    assert "ecrypt" in rig.stdout()
    assert b"wrong-password" not in rig.raw()


def test_a_wrong_passphrase_fails_the_job(rig: Rig) -> None:
    """A key that does not open ends the job before its play, saying so."""
    rig.write(play("{debug: {msg: never}}"))
    key = new_key(rig.dir.parent, "phrase-of-key")
    final = rig.run(Secrets(ssh_key=key, ssh_key_passphrase="wrong-phrase"))
    assert (final.status, final.rc) == ("failed", 1)
    assert final.explanation == "The passphrase of the machine credential's private key is wrong"
    assert b"wrong-phrase" not in rig.raw()
    assert rig.events("playbook_on_start") == []


def test_a_key_is_shown_with_its_certificate(rig: Rig) -> None:
    """What signs the key is loaded with it; so are variables that credentials inject, as text."""
    key = new_key(rig.dir.parent, "")
    certificate = signed(key)
    rig.write(
        play(
            "{name: agent, command: ssh-add -L}",
            '{name: injected, debug: {msg: "{{ mine ~ own ~ path }}"}}',
            '{name: env, command: "printenv AUTH CERT"}',
        ),
        extra_vars={"own": "launch"},
    )
    token = FILE_TOKEN % "9.template"
    secrets = Secrets(
        ssh_key=key,
        ssh_certificate=certificate,
        injected_vars={"mine": "{{ own }}", "own": "credential", "path": token},
        env={"AUTH": "Bearer t0ken-w0rd-97", "CERT": token},
        shown_env={"AUTH": "Bearer **********", "CERT": token},
        files={"9.template": "content-w0rd-98"},
        mask=("t0ken-w0rd-97", "content-w0rd-98"),
    )
    assert rig.run(secrets).status == "successful"
    loaded = rig.results("runner_on_ok", "agent")[0]["stdout_lines"]
    assert {line.split()[0] for line in loaded} == {
        "ssh-ed25519",
        "ssh-ed25519-cert-v01@openssh.com",
    }
    path = str(memory_dir(rig.dir) / "file.9.template")
    assert rig.results("runner_on_ok", "injected")[0]["msg"] == f"{{{{ own }}}}launch{path}"
    shown = rig.results("runner_on_ok", "env")[0]["stdout_lines"]
    assert shown == ["Bearer $encrypted$", path]
    running = [each for each in rig.reader.all() if isinstance(each, Status)][-1]
    assert (running.job_env["AUTH"], running.job_env["CERT"]) == ("Bearer **********", path)


def test_an_expired_certificate_ends_the_attempt(tmp_path: Path) -> None:
    """Before anything is started, naming the credential and the time."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    inputs = {"ssh_public_key_data": signed(new_key(tmp_path, ""), until=at)}
    told = UsedCredential(id=1, name="web", namespace="ssh", inputs=inputs)
    with pytest.raises(Unusable) as raised:
        secrets_of(JobSecrets(credentials=(told,)))
    assert str(raised.value) == (
        "The SSH certificate of credential 'web' expired at 2026-01-02T03:04:05+00:00"
    )


def test_nested_playbooks_do_not_write_to_the_journal(rig: Rig) -> None:
    """A playbook that a task starts is that task's output, not events of the job."""
    inner = "- hosts: localhost\n  gather_facts: false\n  tasks: [{debug: {msg: inner}}]\n"
    outer = play("{name: outer, command: 'ansible-playbook -i localhost, -c local inner.yml'}")
    rig.write({**outer, "inner.yml": inner})
    assert rig.run().status == "successful"
    assert len(rig.events("playbook_on_stats")) == 1
    assert "PLAY RECAP" in rig.results("runner_on_ok", "outer")[0]["stdout"]


def test_the_agents_environment_does_not_reach_jobs(rig: Rig) -> None:
    """A job sees what its specification names and nothing that the agent was started with."""
    rig.write(
        play("{name: env, command: env}"), env={"HTTP_PROXY": "http://u:pw@proxy:1"}, inventory=5
    )
    rig.run()
    lines = rig.results("runner_on_ok", "env")[0]["stdout_lines"]
    seen = dict(line.split("=", 1) for line in lines)
    assert "PYTHONDONTWRITEBYTECODE" not in seen
    assert not [name for name in seen if name.startswith("PYTEST")]
    assert not {"PLAYLOG_JOURNAL", "PLAYLOG_MASK"} & seen.keys()
    assert (seen["JOB_ID"], seen["INVENTORY_ID"]) == (str(rig.job), "5")
    assert seen["HOME"].startswith(str(rig.dir))
    running = [each for each in rig.reader.all() if isinstance(each, Status)][-1]
    assert running.job_env["HTTP_PROXY"] == "http://u:**********@proxy:1"
    assert running.job_args[0] == "ansible-playbook"


def test_odd_output_survives(rig: Rig) -> None:
    """Lone surrogates, NUL and megabytes in one event reach the journal as strict JSON."""
    rig.write(
        play(
            r"{name: bytes, raw: 'printf a\\377b'}",
            '{name: nul, debug: {msg: "a\\0b"}}',
            "{name: big, debug: {msg: '{{ \"x\" * 3000000 }}'}}",
        )
    )
    assert rig.run().status == "successful"
    assert rig.results("runner_on_ok", "bytes")[0]["stdout"] == "a\ufffdb"
    assert rig.results("runner_on_ok", "nul")[0]["msg"] == "a\ufffdb"
    big = rig.seen("runner_on_ok", "big")
    assert len(big.stdout) > 3_000_000
    assert msgspec.json.decode(big.event_data)["res"] == {}, "results have upstream's limit"


def test_syntax_error_is_told_line_by_line(rig: Rig) -> None:
    """What Ansible prints before any callback loads is there, as verbose events."""
    rig.write({"site.yml": "- hosts: all\n  tasks: [{nonsense: {}}]\n"})
    final = rig.run()
    assert (final.status, final.rc) == ("failed", 4)
    assert {each.event for each in rig.events()} == {"verbose"}
    assert "nonsense" in rig.stdout()


def test_unrunnable_jobs_end_as_errors_that_say_why(rig: Rig) -> None:
    """A playbook that is not there is an error naming it."""
    rig.write(play("{debug: {msg: a}}"), playbook="missing.yml", project_revision="abc")
    final = rig.run()
    assert final.status == "error"
    assert (
        final.explanation == "Playbook 'missing.yml' was not found in the project at revision abc"
    )


def new_key(directory: Path, passphrase: str) -> str:
    """Return a new private key locked with a passphrase."""
    path = directory / "key"
    directory.mkdir(parents=True, exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True)
    text = path.read_text()
    path.unlink()
    return text


def signed(key: str, until: datetime = datetime(2100, 1, 1, tzinfo=UTC)) -> str:
    """Return a certificate for a key, good until then."""
    private = serialization.load_ssh_private_key(key.encode(), None)
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    made = (
        serialization.SSHCertificateBuilder()
        .public_key(private.public_key())
        .type(serialization.SSHCertificateType.USER)
        .valid_principals([b"root"])
        .key_id(b"of a test")
        .valid_after(1)
        .valid_before(int(until.timestamp()))
        .sign(ed25519.Ed25519PrivateKey.generate())
    )
    return made.public_bytes().decode()


def vault(vault_id: str, password: str, text: str, indent: int = 2) -> str:
    """Return text as a vault value of YAML."""
    from ansible.parsing.vault import VaultLib, VaultSecret

    secret = VaultSecret(password.encode())
    sealed = VaultLib([(vault_id, secret)]).encrypt(text, secret, vault_id).decode()
    return "!vault |\n" + "".join(f"{' ' * indent}{line}\n" for line in sealed.splitlines())
