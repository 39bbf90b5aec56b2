"""How many forks a machine takes, by AWX's formula (pure)."""

from __future__ import annotations

from msgspec import Struct

FORKS_PER_CPU = 4
MEMORY_PER_FORK_MIB = 100
MEMORY_RESERVED_MIB = 2048
_MIB = 1 << 20


class Capacity(Struct, frozen=True, kw_only=True):
    """Forks by processor, by memory, and what AWX's ``capacity_adjustment`` makes of both."""

    cpu: int
    memory: int
    total: int


def capacity(cpus: float, memory_bytes: int, adjustment: float = 1.0) -> Capacity:
    """Return a machine's capacity; ``adjustment`` 0 takes the smaller figure, 1 the larger.

    Raises ValueError for an adjustment outside 0..1.
    """
    if not 0 <= adjustment <= 1:
        raise ValueError(f"adjustment {adjustment} is not between 0 and 1")
    by_cpu = max(1, int(cpus * FORKS_PER_CPU))
    free_mib = memory_bytes // _MIB - MEMORY_RESERVED_MIB
    by_memory = max(1, free_mib // MEMORY_PER_FORK_MIB)
    low, high = sorted((by_cpu, by_memory))
    return Capacity(cpu=by_cpu, memory=by_memory, total=low + int((high - low) * adjustment))
