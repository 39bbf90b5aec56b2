"""How fast placement decides, and that it does not get slower a job with more jobs."""

from __future__ import annotations

from controlplane.domain.placement import place
from ops import clock
from tests.bench.measures import Measure
from tests.domain.test_placement import runner, waiting
from tests.factories import NOW

RUNNERS = 100
PENDING = 10_000


def _decisions_per_s(pending: int) -> float:
    jobs = [waiting(number, template=number % 500) for number in range(1, pending + 1)]
    runners = [runner(f"r{number}", 50) for number in range(RUNNERS)]
    begun = clock.monotonic()
    decisions = place(jobs, [], runners, NOW)
    return len(decisions) / (clock.monotonic() - begun)


def measure() -> list[Measure]:
    """Measure the pure function; the baseline is a tenth of the jobs."""
    return [
        Measure(
            name="placement_decisions_per_s",
            value=round(_decisions_per_s(PENDING)),
            unit="decisions/s",
            baseline=round(_decisions_per_s(PENDING // 10)),
            goal=20_000,
        ),
        Measure(
            name="placement_first_ms",
            value=round(PENDING / _decisions_per_s(PENDING) * 1000, 1),
            unit="ms to the first of 10,000",
        ),
    ]
