"""``python -m tests.simulation [--seeds N] [--seconds S] [--first F] | --seed S``."""

from __future__ import annotations

import argparse
import sys

from ops import clock
from tests.simulation.invariants import Violation
from tests.simulation.world import Plan, World, kill_each

SECONDS = 35.0
TRACE_LINES = 30
"""So many last steps of a failing run are shown at once."""


def main() -> int:
    """Run seeds until the first violation, or one seed with its trace."""
    parser = argparse.ArgumentParser(prog="sim", description="The deterministic simulation.")
    parser.add_argument("--seed", type=int, help="run this one and print its trace")
    parser.add_argument("--seeds", type=int, default=0, help="how many; 0: as many as time allows")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="bound without --seeds")
    told = parser.parse_args()
    if told.seed is not None:
        return _one(told.seed)
    return _many(told.first, told.seeds, told.seconds) or _each(told.first)


def _one(seed: int) -> int:
    world, failure = World(seed, Plan()), ""
    try:
        world.run()
    except Violation as error:
        failure = str(error)
    for line in world.scheduler.trace:
        print(line)
    print(failure or f"seed {seed}: {_summary(world)}")
    return 1 if failure else 0


def _many(first: int, seeds: int, seconds: float) -> int:
    began, seed, jobs, steps = clock.monotonic(), first, 0, 0
    while seed - first < seeds if seeds else clock.monotonic() - began < seconds:
        world = World(seed, Plan())
        try:
            world.run()
        except Violation as error:
            print(*world.scheduler.trace[-TRACE_LINES:], error, sep="\n", file=sys.stderr)
            return 1
        jobs += len(world.server.states)
        steps += world.scheduler.steps
        seed += 1
    took = clock.monotonic() - began
    told = f"{seed - first} seeds, {jobs} jobs, {steps} steps, no violation"
    print(f"{told} ({took:.0f} s, {steps / max(took, 1e-9):.0f} steps/s)")
    return 0


def _each(seed: int) -> int:
    """Kill every message of a small run once."""
    runs = 0
    for world in kill_each(seed):
        try:
            world.run()
        except Violation as error:
            print(error, file=sys.stderr)
            return 1
        runs += 1
    print(f"every message of a small run lost once, and its receiver dead of it once: {runs} runs")
    return 0


def _summary(world: World) -> str:
    ends = [str(state.status) for state in world.server.states.values()]
    counts = ", ".join(f"{ends.count(word)} {word}" for word in sorted(set(ends)))
    return f"{counts}; {world.network.sent} messages, {world.scheduler.steps} steps"


if __name__ == "__main__":
    sys.exit(main())
