"""One repository's git commands.

No prompt, no hook, no configuration but ours, credentials only by files in memory.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from runners import environment, process_tree, tool
from runners.ending import Ending
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
SHALLOW = "shallow"
"""The file that says where the history of a repository ends."""
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "protocol.ext.allow=never",
    "gc.auto=0",
    "safe.directory=*",
    "advice.detachedHead=false",
)


class Git:
    """Runs git against one bare repository and one remote; ends it when the attempt must end."""

    def __init__(self, job: Preparation, remote: Remote, ending: Ending) -> None:
        """``directory`` is set once the repository's place is known."""
        self.remote = remote
        self.directory = Path()
        self._job = job
        self._ending = ending
        self._env = environment_of(job, remote)

    def run(self, *args: str, at: Path | None = None, accept: tuple[int, ...] = (0,)) -> str:
        """Run a command; return what it printed. Raises ToolFailed, Stopped."""
        return self._run(args, at, accept)[1]

    def check_out(self, tree: Path, commit: str) -> None:
        """Check out a commit of our repository; submodules are the remote's. Raises as ``run``.

        The repository's objects are borrowed, whether it is shallow or whole.
        """
        self.run("init", "--quiet", "--template=", str(tree), at=tree.parent)
        places = tree / ".git"
        (places / "objects" / "info").mkdir(parents=True, exist_ok=True)
        (places / "objects" / "info" / "alternates").write_text(f"{self.directory}/objects\n")
        if (self.directory / SHALLOW).exists():
            shutil.copyfile(self.directory / SHALLOW, places / SHALLOW)
        self.run("remote", "add", "origin", self.remote.url, at=tree)
        self.run("checkout", "--quiet", "--detach", commit, at=tree)

    def succeeds(self, *args: str) -> bool:
        """Tell whether a command ends with 0. Raises Stopped."""
        return self._run(args, None, None)[0] == 0

    def _run(
        self, args: tuple[str, ...], at: Path | None, accept: tuple[int, ...] | None
    ) -> tuple[int, str]:
        settings = [part for each in _SETTINGS for part in ("-c", each)]
        command = ["git", *settings, *args]
        kept = [self.directory] if self.directory.is_absolute() else []
        where = at or self.directory
        done = tool.run(self._job, command, where, self._env, self._ending, kept=kept)
        if accept is not None and done.rc not in accept:
            if tool.grew_too_large(done):
                raise tool.too_large(f"The content of {self.remote.url}")
            explanation = explain(done.err, self.remote.url)
            raise tool.ToolFailed(explanation, done.rc, done.err.strip())
        return done.rc, done.out


def basic_environment(job: Preparation) -> dict[str, str]:
    """Return the environment of an update's programs: its own home, nothing of the agent's."""
    return {
        **environment.scrubbed(),
        **job.spec.env,
        "HOME": str(job.dir / "home"),
        "TMPDIR": str(job.dir / "tmp"),
        process_tree.MARK: process_tree.mark_of(job.dir),
    }


def environment_of(job: Preparation, remote: Remote) -> dict[str, str]:
    """Return git's environment; what answers its prompts is put in place."""
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
        **basic_environment(job),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": _allowed(remote),
        "GIT_ASKPASS": str(askpass),
        "GIT_SSH_COMMAND": " ".join(ssh),
        "SSH_ASKPASS": str(askpass),
        "SSH_ASKPASS_REQUIRE": "force",
    }


def _allowed(remote: Remote) -> str:
    """Submodules may use the network; files of this machine only when the project itself is one."""
    network = "http:https:ssh:git"
    return f"{network}:file" if remote.protocol == "file" else network
