"""What a measure says, and what it costs the machine."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Protocol

from msgspec import Struct

from ops import clock, ids

_TICKS_S = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Measure(Struct, frozen=True, kw_only=True):
    """One figure: ``baseline`` is what it is compared with, ``goal`` what it is meant to reach."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    goal: float | None = None


class Sizes(Struct, frozen=True, kw_only=True):
    """How much the measures work on."""

    ingested: int = 180_000
    writes: int = 400
    batch_of_jobs: int = 40
    listed_jobs: int = 10_000
    listed_events: int = 100_000
    users: int = 50


FULL = Sizes(
    ingested=1_000_000, writes=1600, listed_jobs=100_000, listed_events=1_000_000, users=500
)


def p50_ms(seconds: Iterable[float]) -> float:
    """Return the median in milliseconds."""
    return round(median(seconds) * 1000, 2)


def p99_ms(seconds: Iterable[float]) -> float:
    """Return the 99th percentile in milliseconds."""
    return round(quantiles(seconds, n=100, method="inclusive")[98] * 1000, 2)


def tree(pid: int) -> set[int]:
    """Return a process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, waiting = {pid}, [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Return the processor seconds of processes, and of the children that they have waited for."""
    total = 0.0
    for pid in pids:
        try:
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15])) * _TICKS_S
    return total


class Meter(Protocol):
    """Adds up what a tree of processes uses from now on, those that end included."""

    def look(self) -> None:
        """Note what each process has used by now, where that is how it is known."""

    def used_s(self) -> float:
        """Return the processor seconds used since the meter was made."""

    def close(self) -> None:
        """Give back what it measures with, once its processes have ended or live elsewhere."""


def meter(pids: Iterable[int]) -> Meter:
    """Return a meter of processes: a control group's account where one can be made."""
    chosen = list(pids)
    try:
        return _Account(chosen)
    except OSError:
        return _Looks(chosen)


class _Account:
    """A control group: the kernel counts, whoever ends when."""

    def __init__(self, pids: Iterable[int]) -> None:
        """Raises OSError where none can be made."""
        old = Path("/sys/fs/cgroup/cpuacct")
        root = old if old.is_dir() else Path("/sys/fs/cgroup")
        self._group = root / f"playlog-bench-{ids.new_id()[:8]}"
        self._group.mkdir()
        self._root = root
        if not (self._group / "cgroup.procs").exists():
            self._group.rmdir()
            raise OSError(f"{root} holds no control groups")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (self._group / "cgroup.procs").write_text(str(pid))
        self._before = self._usage_s()

    def look(self) -> None:
        """Nothing: the kernel counts."""

    def used_s(self) -> float:
        """Return the processor seconds used since the meter was made."""
        return self._usage_s() - self._before

    def close(self) -> None:
        """Remove the group; what still lives in it goes back to where it came from."""
        for pid in (self._group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (self._root / "cgroup.procs").write_text(pid)
        self._group.rmdir()

    def _usage_s(self) -> float:
        old = self._group / "cpuacct.usage"
        if old.exists():
            return int(old.read_text()) / 1e9
        fields = (self._group / "cpu.stat").read_text().split()
        return int(fields[1]) / 1e6


class _Looks:
    """Looks at the processes again and again: what one uses after its last look is missing."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._roots = set(pids)
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._before = self._living()
        self.look()

    def _living(self) -> set[int]:
        return set().union(*(tree(pid) for pid in self._roots))

    def look(self) -> None:
        """Note what each process has used by now."""
        for pid in self._living() | set(self._last):
            used = _own_s(pid)
            if used is not None:
                self._first.setdefault(pid, used if pid in self._before else 0.0)
                self._last[pid] = used

    def used_s(self) -> float:
        """Return the processor seconds used since the meter was made."""
        self.look()
        return sum(used - self._first[pid] for pid, used in self._last.items())

    def close(self) -> None:
        """Nothing to give back."""


def _own_s(pid: int) -> float | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return sum(map(int, fields[11:13])) * _TICKS_S


def run_metered(
    command: Sequence[str], env: Mapping[str, str] | None = None
) -> tuple[float, float]:
    """Run a command; returns its wall and processor seconds, children included."""
    begun, before = clock.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    more = None if env is None else {**os.environ, **env}
    subprocess.run(command, check=True, capture_output=True, env=more)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return clock.monotonic() - begun, used


def memory_mb(pids: Iterable[int]) -> float:
    """Return the memory of processes (proportional set size)."""
    total = 0
    for pid in pids:
        try:
            text = (_PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return round(total / 1024, 1)


def machine() -> dict[str, object]:
    """Return what the figures were taken on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpus": os.cpu_count(),
        "model": names[0] if names else "",
        "kernel": os.uname().release,
        "load": [round(each, 2) for each in os.getloadavg()],
    }
