"""A job in a container of its execution environment.

Every file stands there where it stands outside, so nothing else has to know of it. The image
brings Ansible; the callback that writes the journal is the runner's.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from runners.isolation import apart_env, sight
from runners.isolation.plan import Engine, Isolation
from runners.isolation.sight import Mount
from runners.preparation import Preparation
from runners.process_tree import mark_of, place_of

PROBE_WITHIN_S = 30.0
LABEL = "playlog.place"
"""Every container carries it: which data directory it belongs to."""
NOT_STARTED = 125
"""The exit status of an engine that could not run the container."""
NOT_FOUND = 127
_FIRST = """
. "$1"; shift
"$@" <&0 & job=$!
trap "kill -TERM $job" TERM
wait "$job"; code=$?
while kill -0 "$job" 2>/dev/null; do wait "$job"; code=$?; done
exit "$code"
"""
"""The first process: one that has no handler for a signal would not get it. All is quoted: a
credential may set IFS."""
_PASSED = (
    *(f"{each}*" for each in apart_env.OUTSIDE_PREFIXES),
    *(*apart_env.OUTSIDE, "LANG", "LC_ALL"),
)
"""Variables that the engine itself has; all others are set within."""
_NOT_PASSED = frozenset({"PATH", "HOME", "SSH_AUTH_SOCK"})
ENV_FILE = "environment"


def name_of(job_dir: Path) -> str:
    """Return the name of an attempt's container."""
    return f"playlog-{mark_of(job_dir)}"


def arguments(job: Preparation) -> list[str]:
    """Return the engine's command line up to the command; no secret is in it."""
    isolation = job.spec.isolation
    engine = isolation.engine or Engine(program="")
    args = [engine.program, "run", "--rm", "--interactive", "--quiet", "--pull=never"]
    args += ["--name", name_of(job.dir), "--label", f"{LABEL}={place_of(job.dir)}"]
    args += [
        "--user=root",
        "--http-proxy=false",
        "--security-opt=label=disable",
        "--cap-drop=MKNOD",
    ]
    args += ["--workdir", str(job.invocation.project)]
    args += _limits(isolation, engine)
    for mount in (*sight.plugins(), *sight.shown(isolation.mounts), *sight.workspace(job)):
        args += ["--volume", _volume(mount)]
    for name in _PASSED:
        args += ["--env", name]
    args += ["--env", f"HOME={job.dir / 'home'}"]
    return [*args, *isolation.options]


def command(job: Preparation, name: str) -> list[str]:
    """Return what runs inside: the image's program, behind a process that passes signals on."""
    return [job.spec.isolation.image, "sh", "-c", _FIRST, "sh", str(job.memory / ENV_FILE), name]


def environment(within: Mapping[str, str]) -> bytes:
    """Return the content of ``ENV_FILE``: an engine's own such file takes one line for a value."""
    return apart_env.exports({k: v for k, v in within.items() if k not in _NOT_PASSED})


def problem(engine: Engine) -> str:
    """Return why containers do not start here; empty when they do: one is started."""
    with tempfile.TemporaryDirectory(prefix="playlog-") as root:
        for name in ("usr", "proc", "sys", "dev", "tmp", "run", "etc"):
            Path(root, name).mkdir()
        for name in ("bin", "sbin", "lib", "lib64"):
            Path(root, name).symlink_to(f"usr/{name}")
        args = [engine.program, "run", "--rm", "--network=none", *_cgroups(engine)]
        args += ["--volume", "/usr:/usr:ro", "--rootfs", root, "/usr/bin/true"]
        try:
            done = subprocess.run(
                args, env=engine.env, capture_output=True, timeout=PROBE_WITHIN_S, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
    if done.returncode == 0:
        return ""
    return _last_line(done.stderr) or f"exit status {done.returncode}"


def _limits(isolation: Isolation, engine: Engine) -> Sequence[str]:
    if not engine.cgroups:
        return _cgroups(engine)
    limits = isolation.limits
    args = [
        (f"--memory={limits.memory_bytes}b", limits.memory_bytes),
        (f"--pids-limit={limits.processes}", limits.processes),
        (f"--cpus={limits.cpu_percent / 100}", limits.cpu_percent),
    ]
    return [option for option, wanted in args if wanted]


def _cgroups(engine: Engine) -> Sequence[str]:
    return () if engine.cgroups else ("--cgroups=disabled",)


def _volume(mount: Mount) -> str:
    option = mount.option or ("rw" if mount.writable else "ro")
    return f"{mount.source}:{mount.target}:{option}"


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
