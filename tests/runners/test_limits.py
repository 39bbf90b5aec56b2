"""Control groups of version 2, on a tree of plain files: ``test_containers`` uses real ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runners.isolation import limits
from runners.isolation.plan import Isolation
from runners.process_tree import mark_of
from schemas.work import Limits


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A unified hierarchy with a service's group in it."""
    base = tmp_path / "cgroup" / "runner.service"
    base.mkdir(parents=True)
    (tmp_path / "cgroup" / "cgroup.controllers").write_text("cpu memory pids")
    (base / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (base / "cgroup.subtree_control").write_text("")
    (tmp_path / "own").write_text("0::/runner.service\n")
    return tmp_path / "cgroup"


def test_a_delegated_group_is_shared_out(root: Path, tmp_path: Path) -> None:
    """The agent moves aside, jobs get groups beside it with their limits."""
    groups = limits.find(root, tmp_path / "own")
    base = root / "runner.service"
    assert (groups.unified, groups.parents["memory"]) == (True, str(base))
    assert (base / "playlog-agent" / "cgroup.procs").read_text() == str(os.getpid())
    assert (base / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    wanted = Limits(memory_bytes=1 << 20, processes=9, cpu_percent=150)
    isolation = Isolation(limits=wanted, groups=groups)
    job_dir = tmp_path / "jobs" / "7-1"
    limits.enter(isolation, job_dir)
    own = base / f"playlog-{mark_of(job_dir)}"
    written = {each.name: each.read_text() for each in own.iterdir()}
    assert written == {
        "memory.max": str(1 << 20),
        "pids.max": "9",
        "cpu.max": "150000 100000",
        "cgroup.procs": str(os.getpid()),
    }
    (own / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    assert limits.memory_was_short(isolation, job_dir)


def test_a_group_with_others_in_it_is_left_alone(root: Path, tmp_path: Path) -> None:
    """A shell's group holds more than the runner: nothing is moved, and it says why."""
    procs = root / "runner.service" / "cgroup.procs"
    procs.write_text(f"{os.getpid()}\n1\n")
    with pytest.raises(OSError, match="processes that are not the runner's"):
        limits.find(root, tmp_path / "own")
    assert not (root / "runner.service" / "playlog-agent").exists()
    assert procs.read_text() == f"{os.getpid()}\n1\n"


def test_without_limits_there_are_no_groups(root: Path, tmp_path: Path) -> None:
    """What is not limited costs nothing."""
    groups = limits.find(root, tmp_path / "own")
    isolation = Isolation(groups=groups)
    job_dir = tmp_path / "jobs" / "7-1"
    limits.enter(isolation, job_dir)
    limits.leave(isolation, job_dir)
    assert not (root / "runner.service" / f"playlog-{mark_of(job_dir)}").exists()
    assert not limits.memory_was_short(isolation, job_dir)
