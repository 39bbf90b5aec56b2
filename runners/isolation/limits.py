"""Control groups of jobs: how much memory, how many processes, how much of the processors.

Version 2 where the agent's own group was handed to it, version 1 where its directories may be
written. The supervisor enters the job's group, so all that it starts is in it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from runners.isolation.plan import Groups, Isolation
from runners.process_tree import descendants, mark_of, place_of
from schemas.work import Limits

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids", "cpu")
_PREFIX = "playlog-"
_HOME = "playlog-agent"
_PERIOD_US = 100_000
_PROCESSES = "cgroup.procs"


def find(root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> Groups:
    """Return where groups can be made. Raises OSError saying why they cannot."""
    if (root / "cgroup.controllers").exists():
        return _unified(root, own)
    parents = {}
    for line in own.read_text().splitlines():
        _, names, path = line.split(":", 2)
        for each in names.split(","):
            if each in CONTROLLERS:
                parents[each] = f"{root / each}{path.rstrip('/')}"
    if len(parents) < len(CONTROLLERS):
        raise OSError("this machine's control groups lack controllers")
    for parent in parents.values():
        _try(Path(parent))
    return Groups(unified=False, parents=parents)


def enter(isolation: Isolation, job_dir: Path) -> None:
    """Put this process, and so all that it will start, into the job's own groups."""
    for controller, directory in _directories(isolation, job_dir).items():
        directory.mkdir(exist_ok=True)
        for name, value in _values(controller, isolation).items():
            (directory / name).write_text(value)
        (directory / _PROCESSES).write_text(str(os.getpid()))


def memory_was_short(isolation: Isolation, job_dir: Path) -> bool:
    """Tell whether the kernel has ended a process of a job for want of memory."""
    directory = _directories(isolation, job_dir).get("memory")
    if directory is None or isolation.groups is None:
        return False
    events = "memory.events" if isolation.groups.unified else "memory.oom_control"
    try:
        lines = (directory / events).read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)


def leave(isolation: Isolation, job_dir: Path) -> None:
    """Leave the job's groups, which are empty then, and remove them."""
    groups = isolation.groups
    if groups is None:
        return
    for controller in _directories(isolation, job_dir):
        home = groups.home or groups.parents[controller]
        with contextlib.suppress(OSError):
            Path(home, _PROCESSES).write_text(str(os.getpid()))
    remove(isolation, job_dir)


def remove(isolation: Isolation, job_dir: Path) -> None:
    """Remove the groups of a job that has ended; those that are not empty stay."""
    for directory in _directories(isolation, job_dir).values():
        with contextlib.suppress(OSError):
            directory.rmdir()


def sweep(groups: Groups, jobs: Path) -> None:
    """Remove the groups that jobs of a deployment left that are no more."""
    for parent in set(groups.parents.values()):
        for directory in Path(parent).glob(f"{_PREFIX}{place_of(jobs / '_')}-*"):
            ident = directory.name.rpartition(f"{place_of(jobs / '_')}-")[2]
            if not (jobs / ident).exists():
                with contextlib.suppress(OSError):
                    directory.rmdir()


def _unified(root: Path, own: Path) -> Groups:
    line = next(line for line in own.read_text().splitlines() if line.startswith("0::"))
    base = root / line[3:].strip("/")
    if base.name == _HOME:
        base = base.parent
    wanted = " ".join(f"+{each}" for each in CONTROLLERS)
    home = base / _HOME
    home.mkdir(exist_ok=True)
    try:
        _move(base, home)
        (base / "cgroup.subtree_control").write_text(wanted)
    except OSError:
        with contextlib.suppress(OSError):
            home.rmdir()
        raise
    return Groups(unified=True, parents=dict.fromkeys(CONTROLLERS, str(base)), home=str(home))


def _move(base: Path, home: Path) -> None:
    """Move our own processes out of a group that is to have groups below it."""
    found = [int(each) for each in (base / _PROCESSES).read_text().split()]
    ours = {os.getpid(), *descendants(os.getpid())}
    if not ours.issuperset(found):
        raise OSError(f"{base} holds processes that are not the runner's")
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            (home / _PROCESSES).write_text(str(pid))


def _try(parent: Path) -> None:
    directory = parent / f"{_PREFIX}{os.getpid()}"
    directory.mkdir()
    directory.rmdir()


def _directories(isolation: Isolation, job_dir: Path) -> dict[str, Path]:
    """Return the job's group of each controller that a limit needs; unified, it is one."""
    groups = isolation.groups
    if groups is None:
        return {}
    name = f"{_PREFIX}{mark_of(job_dir)}"
    needed = [each for each in CONTROLLERS if _amount(each, isolation.limits)]
    return {each: Path(groups.parents[each], name) for each in needed}


def _amount(controller: str, limits: Limits) -> int:
    amounts = {
        "memory": limits.memory_bytes,
        "pids": limits.processes,
        "cpu": limits.cpu_percent,
    }
    return amounts[controller]


def _values(controller: str, isolation: Isolation) -> dict[str, str]:
    unified = isolation.groups is not None and isolation.groups.unified
    amount = _amount(controller, isolation.limits)
    if controller == "pids":
        return {"pids.max": str(amount)}
    if controller == "memory":
        return {"memory.max" if unified else "memory.limit_in_bytes": str(amount)}
    quota = amount * _PERIOD_US // 100
    if unified:
        return {"cpu.max": f"{quota} {_PERIOD_US}"}
    return {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota)}
