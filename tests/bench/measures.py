"""What a measure says, and what it costs the machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from msgspec import Struct

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
    writes: int = 100
    batch_of_jobs: int = 40
    listed_jobs: int = 2_000
    listed_events: int = 20_000


FULL = Sizes(ingested=1_000_000, writes=400, listed_jobs=100_000, listed_events=1_000_000)


def p50_ms(seconds: Iterable[float]) -> float:
    """Return the median in milliseconds."""
    return round(median(seconds) * 1000, 2)


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


class Meter:
    """Adds up what a tree of processes uses, those that end included: look often.

    A process is seen until its last look, so what it used after that is missing.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._before = tree(pid)
        self.look()

    def look(self) -> None:
        """Note what each process has used by now."""
        for pid in tree(self._pid) | set(self._last):
            used = _own_s(pid)
            if used is not None:
                self._first.setdefault(pid, used if pid in self._before else 0.0)
                self._last[pid] = used

    def used_s(self) -> float:
        """Return the processor seconds used since the meter was made."""
        self.look()
        return sum(used - self._first[pid] for pid, used in self._last.items())


def _own_s(pid: int) -> float | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return sum(map(int, fields[11:13])) * _TICKS_S


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
