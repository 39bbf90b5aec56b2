"""Disks in memory that fill up soon."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def mount(place: Path, size: str) -> None:
    """Put a disk of a size, as ``mount`` takes it, at a directory; skips where nobody may."""
    options = f"size={size},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"NOT RUN: small disks (mount: {done.stderr.strip()})")
