"""Environments of the processes of a job: what they get, and what may be shown of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HIDDEN = "**********"
_SECRET_NAME = re.compile("API|TOKEN|KEY|SECRET|PASS", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<before>://[^/\s:@]*:)[^/\s@]+(?=@)")


def scrubbed() -> dict[str, str]:
    """Return the whole environment of zygote and supervisors: nothing of the agent's is in it."""
    binaries = Path(sys.executable).parent
    path = f"{binaries}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def shown(env: dict[str, str]) -> dict[str, str]:
    """Return an environment as a job's detail may show it, secrets hidden by AWX's rule."""
    return {name: _shown(name, value) for name, value in env.items()}


def _shown(name: str, value: str) -> str:
    ansible = name.startswith("ANSIBLE_") and not name.startswith(
        ("ANSIBLE_NET", "ANSIBLE_GALAXY_SERVER")
    )
    if _SECRET_NAME.search(name) and not ansible:
        return HIDDEN
    return _URL_PASSWORD.sub(rf"\g<before>{HIDDEN}", value)
