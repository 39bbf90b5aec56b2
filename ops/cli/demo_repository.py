"""The git repository that ships with Playlog: the demo project's playbooks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PLAYBOOKS = Path(__file__).parent.parent / "demo_project"
_IDENTITY = ("-c", "user.name=Playlog", "-c", "user.email=demo@playlog.invalid")


def make(directory: Path) -> str:
    """Make a git repository of the demo project, or find the one made before.

    Returns its ``file://`` address. Raises OSError and CalledProcessError where git does not work.
    """
    if not (directory / ".git" / "refs" / "heads" / "main").exists():
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(PLAYBOOKS, directory)
        for command in (
            ("init", "-q", "-b", "main"),
            ("add", "."),
            (*_IDENTITY, "commit", "-q", "-m", "The demo project"),
        ):
            subprocess.run(("git", *command), cwd=directory, check=True)
    return f"file://{directory}"
