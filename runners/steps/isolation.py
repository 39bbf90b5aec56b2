"""Puts the commands of a job behind a container or a sandbox.

A command is found by its name on the job's PATH: what stands there is a script that starts it
kept apart, so whoever runs the command need not know.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from runners.environment import scrubbed
from runners.isolation import apart_env, container, limits, sandbox
from runners.preparation import Preparation
from runners.spec import write_private

COMMANDS = ("ansible-playbook", "ansible", "ansible-inventory")
INSIDE = "inside"
"""The directory of what a sandbox finds in place of the scripts."""
_OPTIONS_FILE = "environment"
"""Where the job does not see it: bubblewrap does outside what stands there."""
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
    call = job.invocation
    call.env["PLAYLOG_JOB_ISOLATION"] = mode
    if mode == "none":
        return
    apart_env.check(call.env)
    own = job.dir / "bin"
    outside, call.within = apart_env.split(call.env)
    if call.ssh_key:
        call.within.pop("SSH_AUTH_SOCK", None)  # the job's ssh-agent's, which is set outside
    if mode == "container":
        write_private(job.memory / container.ENV_FILE, container.environment(call.within))
    else:
        path = call.within.get("PATH", scrubbed()["PATH"])
        call.within["PATH"] = f"{job.dir / INSIDE}:{_without(path, own)}"
        write_private(call.artifacts / _OPTIONS_FILE, apart_env.options(call.within))
    for name in COMMANDS:
        script = _contained(job, name) if mode == "container" else _sandboxed(job, name)
        write_private(own / name, script.encode(), 0o700)
    call.env = {
        **outside,
        "PATH": f"{own}:{scrubbed()['PATH']}",
        "HOME": str(job.dir / "home"),
        "TMPDIR": str(job.socket_dir("tmp")),
    }


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
    agent = '"--bind $SSH_AUTH_SOCK $SSH_AUTH_SOCK"'
    before = f"exec 3<{shlex.quote(str(job.invocation.artifacts / _OPTIONS_FILE))}\n"
    first = [*sandbox.arguments(job), "--args", "3"]
    return _script(job, first, ["--", "env", name], agent, before)


def _without(path: str, directory: Path) -> str:
    return ":".join(each for each in path.split(":") if each != str(directory))


def _script(
    job: Preparation, first: Sequence[str], last: Sequence[str], agent: str, before: str
) -> str:
    # Where upstream's callback, if ours does not load, may write without harm.
    before += f"export AWX_ISOLATED_DATA_DIR={shlex.quote(str(job.memory))}\n"
    return _SCRIPT.format(
        first=shlex.join(first), last=shlex.join(last), agent=agent, before=before
    )
