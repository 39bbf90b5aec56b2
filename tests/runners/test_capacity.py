"""Capacity is AWX's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.capacity import capacity

GIB = 1 << 30


@pytest.mark.parametrize(
    ("cpus", "memory", "adjustment", "expected"),
    [
        (4, 16 * GIB, 1.0, (16, 143, 143)),
        (4, 16 * GIB, 0.0, (16, 143, 16)),
        (4, 16 * GIB, 0.5, (16, 143, 79)),
        (64, 4 * GIB, 1.0, (256, 20, 256)),
        (2, 2 * GIB, 0.0, (8, 1, 1)),
        (0.1, 0, 1.0, (1, 1, 1)),
    ],
)
def test_known_machines(
    cpus: float, memory: int, adjustment: float, expected: tuple[int, int, int]
) -> None:
    """Four forks a processor, one for each 100 MiB over 2 GiB, the adjustment between them."""
    found = capacity(cpus, memory, adjustment)
    assert (found.cpu, found.memory, found.total) == expected


@given(st.floats(0, 1000), st.integers(0, 1 << 45), st.floats(0, 1))
def test_capacity_lies_between_its_parts(cpus: float, memory: int, adjustment: float) -> None:
    """No machine has none, and no adjustment leaves the two figures."""
    found = capacity(cpus, memory, adjustment)
    assert 1 <= min(found.cpu, found.memory) <= found.total <= max(found.cpu, found.memory)


def test_adjustment_is_a_share() -> None:
    """An adjustment outside 0..1 is an error of the caller."""
    with pytest.raises(ValueError, match="not between"):
        capacity(1, GIB, 1.1)
