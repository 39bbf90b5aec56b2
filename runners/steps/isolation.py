"""Puts the commands of a job behind a container or a sandbox.

A command is found by its name on the job's PATH: what stands there is a script that starts it
kept apart, so whoever runs the command need not know.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from runners.environment import scrubbed
from runners.isolation import container, limits, sandbox
from runners.preparation import Preparation
from runners.spec import write_private

COMMANDS = ("ansible-playbook", "ansible", "ansible-inventory")
INSIDE = "inside"
"""The directory of what a sandbox finds in place of the scripts."""
_SCRIPT = """#!/bin/sh
more=
{before}case ${{SSH_AUTH_SOCK:-}} in
/tmp/ssh-*) [ ! -S "$SSH_AUTH_SOCK" ] || more="$more "{agent} ;;
esac
exec {first} $more {last} "$@"
"""
"""ssh-agent, which holds the job's key, runs outside; its socket is handed in."""


def prepare(job: Preparation) -> None:
    """Write the scripts; the last step, so that it knows the whole environment."""
    mode = job.spec.isolation.mode
    job.invocation.env["PLAYLOG_JOB_ISOLATION"] = mode
    if mode == "none":
        return
    own = job.dir / "bin"
    for name in COMMANDS:
        script = _contained(job, name) if mode == "container" else _sandboxed(job, name)
        write_private(own / name, script.encode(), 0o700)
    path = job.invocation.env.get("PATH", scrubbed()["PATH"])
    if not path.startswith(f"{own}:"):
        job.invocation.env["PATH"] = f"{own}:{path}"


def cleanup(job: Preparation) -> None:
    """Leave the job's control groups; everything else in them has ended."""
    limits.leave(job.spec.isolation, job.dir)


def _contained(job: Preparation, name: str) -> str:
    engine = job.spec.isolation.engine
    env = engine.env if engine else {}
    before = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in env.items())
    before += "[ ! -t 0 ] || more=--tty\n"
    agent = '"--volume=$SSH_AUTH_SOCK:$SSH_AUTH_SOCK --env=SSH_AUTH_SOCK"'
    return _script(job, container.arguments(job), container.command(job, name), agent, before)


def _sandboxed(job: Preparation, name: str) -> str:
    inside = job.dir / INSIDE
    inside.mkdir(mode=0o700, exist_ok=True)
    launcher = job.dir / "bin" / name
    if launcher.exists():
        launcher.rename(inside / name)
    path = f"{inside}:{_without(job.invocation.env.get('PATH', scrubbed()['PATH']), launcher)}"
    agent = '"--bind $SSH_AUTH_SOCK $SSH_AUTH_SOCK"'
    first = [*sandbox.arguments(job), "--setenv", "PATH", path]
    return _script(job, first, ["--", "env", name], agent, "")


def _without(path: str, launcher: Path) -> str:
    return ":".join(each for each in path.split(":") if each != str(launcher.parent))


def _script(
    job: Preparation, first: Sequence[str], last: Sequence[str], agent: str, before: str
) -> str:
    # Where upstream's callback, if ours does not load, may write without harm.
    before += f"export AWX_ISOLATED_DATA_DIR={shlex.quote(str(job.memory))}\n"
    return _SCRIPT.format(
        first=shlex.join(first), last=shlex.join(last), agent=agent, before=before
    )
