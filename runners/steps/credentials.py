"""Secrets on their way into Ansible.

Answers to prompts, a key for ssh-agent, files in memory; never argv.
"""

from __future__ import annotations

import json
import re

import msgspec

from runners import redact
from runners.preparation import Preparation, Unrunnable
from runners.spec import FILE_TOKEN, Secrets, write_private

UNSAFE = "__ansible_unsafe"
"""How Ansible's JSON marks a text in which no template is looked for."""
_BECOME_METHODS = (
    "sudo",
    "su",
    "pbrun",
    "pfexec",
    "dzdo",
    "pmrun",
    "runas",
    "enable",
    "doas",
    "ksu",
    "machinectl",
    "sesu",
)
_JINJA = re.compile(r"\{\{|\{%")
_CERTIFICATE_FILE = "ssh_key_data-cert.pub"
"""Beside the key that upstream writes as ``ssh_key_data``: there ssh-add looks for it."""


def prepare(job: Preparation) -> None:
    """Add what the credentials bring to the invocation."""
    files = _write_files(job)
    call = job.invocation
    call.args += arguments(job.secrets, become=job.spec.become_enabled)
    call.passwords = prompts(job.secrets)
    call.ssh_key = job.secrets.ssh_key
    if job.secrets.ssh_certificate:
        _write_certificate(job)
    for given, target in ((job.secrets.env, call.env), (job.secrets.shown_env, call.shown_env)):
        target |= {name: _with_paths(value, files) for name, value in given.items()}
    call.args += _extra_vars(job, files)
    mask = json.dumps(_told_to_mask(job)).encode()
    write_private(job.memory / "mask.json", mask)
    call.env["PLAYLOG_MASK"] = str(job.memory / "mask.json")


def _told_to_mask(job: Preparation) -> tuple[str, ...]:
    """Return what the job itself masks, who can read it: not the login of its image's registry."""
    login = job.secrets.registry
    if login is None:
        return job.mask.variants
    rest = list(job.secrets.mask)
    if login.password in rest:
        rest.remove(login.password)
    told = msgspec.structs.replace(job.secrets, registry=None, mask=tuple(rest))
    return redact.variants(told.known())


def cleanup(_job: Preparation) -> None:
    """Leave the files to the removal of the memory directory."""


def arguments(secrets: Secrets, *, become: bool) -> list[str]:
    """Return the options that tell Ansible who logs in and what it has to ask for.

    No secret is in them. Raises Unrunnable.
    """
    for name in (secrets.username, secrets.become_method, secrets.become_username):
        if _JINJA.search(name):
            raise Unrunnable("Inline Jinja variables are not allowed in user and become names.")
    args = [f"--user={secrets.username or 'root'}"]
    if secrets.password:
        args.append("--ask-pass")
    if become:
        args.append("--become")
    if secrets.become_method:
        args.append(f"--become-method={secrets.become_method}")
    if secrets.become_username:
        args.append(f"--become-user={secrets.become_username}")
    if secrets.become_password:
        args.append("--ask-become-pass")
    for vault in secrets.vaults:
        args += ["--ask-vault-pass"] if not vault else ["--vault-id", f"{vault}@prompt"]
    return args


def prompts(secrets: Secrets) -> dict[str, str]:
    """Return prompt patterns and their answers.

    Every prompt that may appear has one, or the job would hang.
    """
    answers = {
        # "Enter passphrase for <path>:" and "Bad passphrase, try again for <path>:": upstream looks
        # at the last hundred characters, and the path takes most of them.
        r"phrase for .*:\s*?$": secrets.ssh_key_passphrase,
        r"again for .*:\s*?$": "",
        r"SSH password:\s*?$": secrets.password,
        r"Password:\s*?$": secrets.password,
        r"Vault password:\s*?$": secrets.vaults.get("", ""),
    }
    become = secrets.become_password or secrets.password
    answers[r"BECOME password.*:\s*?$"] = become
    for method in _BECOME_METHODS:
        answers[rf"{method} password.*:\s*?$"] = become
        answers[rf"{method.upper()} password.*:\s*?$"] = become
    for vault, password in secrets.vaults.items():
        if vault:
            answers[rf"Vault password \({re.escape(vault)}\):\s*?$"] = password
    return answers


def _extra_vars(job: Preparation, files: dict[str, str]) -> list[str]:
    secret = job.secrets.extra_vars
    merged = {**job.spec.extra_vars, **secret}
    allowed = job.spec.jinja_vars
    if allowed is not None:
        plain = merged.keys() - (set(allowed) - secret.keys())
        merged |= {name: _as_text(merged[name]) for name in plain}
    injected = _as_text(_in_value(job.secrets.injected_vars, files))
    if isinstance(injected, dict):
        merged = {**injected, **merged}
    if not merged:
        return []
    path = job.memory / "extravars.json"
    write_private(path, json.dumps(merged).encode())
    return ["-e", f"@{path}"]


def _as_text(value: object) -> object:
    """Return a value whose texts Ansible takes as they are, whatever templates stand in them."""
    if isinstance(value, str):
        return {UNSAFE: value}
    if isinstance(value, dict):
        return {key: _as_text(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_text(each) for each in value]
    return value


def _write_files(job: Preparation) -> dict[str, str]:
    """Write the injected files; return their paths by name. Raises Unrunnable."""
    paths = {}
    for name, content in job.secrets.files.items():
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            raise Unrunnable(f"A credential injects a file with an unusable name: {name!r}")
        path = job.memory / f"file.{name}"
        write_private(path, content.encode())
        paths[name] = str(path)
    return paths


def _write_certificate(job: Preparation) -> None:
    """Put the signed public key where ssh-add takes it up with the key."""
    directory = job.invocation.artifacts / job.spec.ident
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(directory / _CERTIFICATE_FILE, job.secrets.ssh_certificate.encode())


def _with_paths(text: str, files: dict[str, str]) -> str:
    for name, path in files.items():
        text = text.replace(FILE_TOKEN % name, path)
    return text


def _in_value(value: object, files: dict[str, str]) -> object:
    if isinstance(value, str):
        return _with_paths(value, files)
    if isinstance(value, dict):
        return {key: _in_value(each, files) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_value(each, files) for each in value]
    return value
