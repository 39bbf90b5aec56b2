"""``./ops/chaos --minutes N [--seed S]``: the long campaign; exit 1 when anything was found."""

from __future__ import annotations

import argparse
import sys

from tests.chaos import campaign


def main() -> int:
    """Run, print the report."""
    parser = argparse.ArgumentParser(prog="ops/chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1, help="chooses the faults")
    parser.add_argument("--lasting", type=float, default=60, help="seconds of a lasting fault")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    report, directory = campaign.run(arguments.minutes, arguments.seed, arguments.lasting)
    for line in report.lines():
        print(line)
    for finding in report.findings.all():
        print(f"- {finding}")
    if report.findings.all():
        print(f"kept for a look: {directory}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
