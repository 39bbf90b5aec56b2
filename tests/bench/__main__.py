"""``python -m tests.bench [--full] [--only NAME]``: prints a table and writes build/bench.json."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import msgspec

from tests.bench import deployed, ingest, measures, placing, projects
from tests.bench.measures import Measure, Sizes

RESULTS = Path(__file__).parent.parent.parent / "build" / "bench.json"
GROUPS = ("ingest", *deployed.PARTS, "placement", "projects")


async def _collect(sizes: Sizes, only: str | None) -> list[Measure]:
    found: list[Measure] = []
    if only in (None, "ingest"):
        found += await ingest.measure(sizes)
    if only is None or only in deployed.PARTS:
        found += await deployed.measure(sizes, only)
    if only in (None, "placement"):
        found += placing.measure()
    if only in (None, "projects"):
        found += await asyncio.to_thread(projects.measure)
    return found


def _print(found: list[Measure]) -> None:
    print(f"{'measure':<28}{'value':>12} {'unit':<14}{'baseline':>10}{'goal':>10}")
    for each in found:
        baseline = "" if each.baseline is None else f"{each.baseline:g}"
        goal = "" if each.goal is None else f"{each.goal:g}"
        print(f"{each.name:<28}{each.value:>12g} {each.unit:<14}{baseline:>10}{goal:>10}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="ops/bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="100,000 jobs and 1,000,000 events")
    parser.add_argument("--only", choices=GROUPS, help="one group of measures")
    arguments = parser.parse_args()
    told = measures.machine()
    sizes = measures.FULL if arguments.full else Sizes()
    found = asyncio.run(_collect(sizes, arguments.only))
    _print(found)
    RESULTS.parent.mkdir(exist_ok=True)
    results = {"machine": told, "results": [msgspec.to_builtins(each) for each in found]}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
