"""The limit of a job as Ansible is given it: a file that it names must be one of the project.

Who may launch a job need not be who writes its playbook. Ansible reads the file behind an ``@`` and
prints its lines when they name no hosts, so a limit could show any file that the job can read.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from runners.preparation import Unrunnable

_FILE = "@"
_SPLITS = (re.compile(r"[,\n]"), re.compile(r"[,:\s]"))
"""Ansible splits at commas where there is one, else at colons and spaces."""


def option(limit: str) -> list[str]:
    """Return the option, none without a limit. Raises Unrunnable."""
    parts = {part.strip() for split in _SPLITS for part in split.split(limit)}
    for name in sorted(part[1:].strip() for part in parts if part.startswith(_FILE)):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise Unrunnable(f"The limit names a file outside the project: {name!r}")
    return [f"--limit={limit}"] if limit else []
