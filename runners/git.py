"""One repository's git commands.

No prompt, no hook, no configuration but ours, credentials only by files in memory.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from runners import environment, process_tree
from runners.ansible import POLL_S
from runners.ending import Ending, Stopped
from runners.git_remote import Remote, explain, place
from runners.preparation import Preparation
from runners.spec import write_private

_ASKPASS = """#!/bin/sh
scheme=$(cat "$0.scheme") place=$(cat "$0.place") host=$(cat "$0.host")
case "$1" in
    "Enter passphrase for "*) exec cat "$0.passphrase" ;;
    "Username for '$scheme://$place': ") exec cat "$0.username" ;;
    "Password for '$scheme://$place': ") exec cat "$0.password" ;;
    "Password for '$scheme://"*"@$place': ") exec cat "$0.password" ;;
    *"@$host's password: " | "("*"@$host) "*) exec cat "$0.password" ;;
esac
exit 1
"""
"""Answers for the project's own host only: a submodule may name any other."""
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "protocol.ext.allow=never",
    "gc.auto=0",
    "safe.directory=*",
    "advice.detachedHead=false",
)


class GitFailed(Exception):
    """A command failed; the text explains it, ``stderr`` is git's own."""

    def __init__(self, explanation: str, rc: int, stderr: str) -> None:
        """``stderr`` is shown in the event; the explanation is the job's."""
        super().__init__(explanation)
        self.rc = rc
        self.stderr = stderr


class Git:
    """Runs git against one bare repository and one remote; ends it when the attempt must end."""

    def __init__(self, job: Preparation, remote: Remote, ending: Ending) -> None:
        """``directory`` is set once the repository's place is known."""
        self.remote = remote
        self.directory = Path()
        self._ending = ending
        self._env = _environment(job, remote)

    def run(self, *args: str, at: Path | None = None, accept: tuple[int, ...] = (0,)) -> str:
        """Run a command; return what it printed. Raises GitFailed, Stopped."""
        return self._run(args, at, accept, self._env)[1]

    def check_out(self, tree: Path, commit: str) -> None:
        """Check out a commit of our repository; submodules are the remote's. Raises as ``run``."""
        clone = ("clone", "--quiet", "--no-checkout", "--shared", str(self.directory), str(tree))
        self._run(clone, None, (0,), {**self._env, "GIT_ALLOW_PROTOCOL": "file"})
        self.run("remote", "set-url", "origin", self.remote.url, at=tree)
        self.run("checkout", "--quiet", "--detach", commit, at=tree)

    def succeeds(self, *args: str) -> bool:
        """Tell whether a command ends with 0. Raises Stopped."""
        return self._run(args, None, None, self._env)[0] == 0

    def _run(
        self,
        args: tuple[str, ...],
        at: Path | None,
        accept: tuple[int, ...] | None,
        env: dict[str, str],
    ) -> tuple[int, str]:
        settings = [part for each in _SETTINGS for part in ("-c", each)]
        process = subprocess.Popen(
            ["git", *settings, *args],
            cwd=at or self.directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
        )
        while True:
            try:
                out, err = process.communicate(timeout=POLL_S)
                break
            except subprocess.TimeoutExpired:
                if self._ending.end_if_due():
                    raise Stopped from None
        if self._ending.due():
            raise Stopped
        if accept is not None and process.returncode not in accept:
            raise GitFailed(explain(err, self.remote.url), process.returncode, err.strip())
        return process.returncode, out


def _environment(job: Preparation, remote: Remote) -> dict[str, str]:
    askpass = job.memory / "askpass"
    write_private(askpass, _ASKPASS.encode(), mode=0o700)
    ssh = ["ssh", "-o", "StrictHostKeyChecking=no", "-o", "NumberOfPasswordPrompts=1"]
    ssh += ["-o", f"UserKnownHostsFile={job.dir / 'home' / 'known_hosts'}", "-F", "/dev/null"]
    if job.secrets.scm_key:
        key = job.memory / "scm_key"
        write_private(key, (job.secrets.scm_key.rstrip("\n") + "\n").encode())
        ssh += ["-i", str(key), "-o", "IdentitiesOnly=yes"]
    where = place(remote)
    answers = {
        "scheme": where.scheme,
        "place": where.place,
        "host": where.host,
        "username": remote.username or job.secrets.scm_username,
        "password": remote.password or job.secrets.scm_password,
        "passphrase": job.secrets.scm_key_passphrase,
    }
    for name, answer in answers.items():
        write_private(job.memory / f"askpass.{name}", f"{answer}\n".encode())
    return {
        **environment.scrubbed(),
        **job.spec.env,
        "HOME": str(job.dir / "home"),
        "TMPDIR": str(job.dir / "tmp"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": _allowed(remote),
        "GIT_ASKPASS": str(askpass),
        "GIT_SSH_COMMAND": " ".join(ssh),
        "SSH_ASKPASS": str(askpass),
        "SSH_ASKPASS_REQUIRE": "force",
        process_tree.MARK: process_tree.mark_of(job.dir),
    }


def _allowed(remote: Remote) -> str:
    """Submodules may use the network; files of this machine only when the project itself is one."""
    network = "http:https:ssh:git"
    return f"{network}:file" if remote.protocol == "file" else network
