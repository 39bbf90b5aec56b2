"""``python -m runners``: the runner agent, told by the environment."""

from __future__ import annotations

import sys

from ops import settings
from runners.main import run_runner

if __name__ == "__main__":
    sys.exit(run_runner(settings.read()))
