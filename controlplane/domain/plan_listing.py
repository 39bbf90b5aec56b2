"""What ``ansible-playbook --list-hosts --list-tasks`` prints: plays with hosts and tasks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_PLAY = re.compile(r"^  play #\d+ \((.*)\): (.*?)\tTAGS: \[(.*)\]$")
_HOSTS = re.compile(r"^    hosts \(\d+\):$")
_TASK = re.compile(r"^      (.*)\tTAGS: \[(.*)\]$")
_HOST = re.compile(r"^      (\S.*)$")


def plays_of(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the plays that a listing names; lines that are none of it are passed over."""
    plays: list[dict[str, Any]] = []
    part = ""
    for line in lines:
        if play := _PLAY.match(line):
            names = {"pattern": play[1], "name": play[2], "tags": _tags(play[3])}
            plays.append({**names, "hosts": [], "tasks": []})
            part = ""
        elif not plays:
            continue
        elif _HOSTS.match(line):
            part = "hosts"
        elif line == "    tasks:":
            part = "tasks"
        elif part == "tasks" and (task := _TASK.match(line)):
            plays[-1]["tasks"].append({"name": task[1], "tags": _tags(task[2])})
        elif part == "hosts" and (host := _HOST.match(line)):
            plays[-1]["hosts"].append(host[1])
    for each in plays:
        each["hosts"].sort()
    return plays


def _tags(text: str) -> list[str]:
    return sorted(part for part in (each.strip() for each in text.split(",")) if part)
