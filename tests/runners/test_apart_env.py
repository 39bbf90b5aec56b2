"""What starts a sandbox or container obeys no variable of the job's, which arrive all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runners import tool
from runners.ending import Ending
from runners.frames import Mask
from runners.isolation import apart_env
from runners.isolation.plan import Engine, Isolation, Mode
from runners.preparation import Preparation
from runners.spec import JobSpec, Secrets
from runners.steps import isolation, workspace

PLANTED = {
    "LD_PRELOAD": "/planted.so",
    "BASH_ENV": "/planted.sh",
    "PYTHONPATH": "/planted",
    "CONTAINERS_CONF": "/planted.conf",
    "PATH": "/planted/bin",
    "TOKEN": "planted-secret",
}


def prepared(data: Path, mode: Mode, bwrap: str = "/usr/bin/bwrap") -> Preparation:
    """Return an attempt whose credentials brought what is planted."""
    engine = Engine(program="/usr/bin/podman") if mode == "container" else None
    apart = Isolation(mode=mode, sandbox=bwrap, engine=engine, image="image")
    spec = JobSpec(job=1, attempt=1, org=1, kind="job", playbook="site.yml", isolation=apart)
    directory = data / "jobs" / "1-1"
    directory.mkdir(parents=True)
    job = Preparation(spec=spec, secrets=Secrets(), dir=directory, mask=Mask(()))
    workspace.prepare(job)
    job.invocation.env = {**PLANTED, "ANSIBLE_FORKS": "3"}
    isolation.prepare(job)
    return job


@pytest.mark.parametrize("mode", ["sandbox", "container"])
def test_what_starts_a_job_is_given_nothing_of_its_own(tmp_path: Path, mode: Mode) -> None:
    """Neither in its environment nor on its command line; Ansible's own variables go along."""
    job = prepared(tmp_path, mode)
    try:
        given = job.invocation.env
        assert "planted" not in " ".join(given.values())
        assert given["ANSIBLE_FORKS"] == "3"
        assert "planted" not in (job.dir / "bin" / "ansible-playbook").read_text()
        assert (
            job.invocation.within.items()
            >= {**PLANTED, "PATH": job.invocation.within["PATH"]}.items()
        )
    finally:
        workspace.cleanup(job)


def test_a_shell_takes_over_whatever_a_value_holds() -> None:
    """And leaves out what it could not have, instead of ending."""
    values = {"ONE": "it's\n$(two) `three` \\", "EMPTY": ""}
    lines = apart_env.exports({**values, "UID": "0", "no-name": "x"})
    for shell in ("/bin/sh", "/bin/bash"):
        done = subprocess.run(
            [shell, "-c", ". /dev/stdin; exec env -0"],
            input=lines,
            env={},
            capture_output=True,
            check=True,
        )
        found = dict(each.split("=", 1) for each in done.stdout.decode().split("\0") if each)
        assert found.items() >= values.items()
        assert "no-name" not in found


def test_a_tools_environment_is_not_that_of_its_sandbox(tmp_path: Path) -> None:
    """The sandbox is started with none of it and told by a file without a name."""
    stand_in = tmp_path / "bwrap"
    stand_in.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "told = os.fdopen(int(sys.argv[sys.argv.index('--args') + 1])).read().split('\\0')\n"
        "print(dict(os.environ), sys.argv, file=sys.stderr)\n"
        "print(told)\n"
    )
    stand_in.chmod(0o700)
    job = prepared(tmp_path, "sandbox", str(stand_in))
    env = {**PLANTED, "PATH": os.defpath}
    try:
        done = tool.run(job, ["true"], tmp_path, env, Ending(job.spec, lambda: 0))
    finally:
        workspace.cleanup(job)
    assert "planted" not in done.err
    assert "'--setenv', 'TOKEN', 'planted-secret'" in done.out
