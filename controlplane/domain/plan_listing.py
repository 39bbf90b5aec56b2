"""What ``ansible-playbook --list-hosts --list-tasks`` prints: plays with hosts and tasks. Pure.

Warnings stand before, between and behind the plays, each with the lines of its source, if any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

_LISTED = re.compile(r"^(playbook: |  play #\d+ \()")
_WARNED = re.compile(r"^\[(DEPRECATION )?WARNING\]: ")
_FAILED = re.compile(r"^(\[ERROR\]: |ERROR! )")
_PLAY = re.compile(r"^  play #\d+ \((.*)\): (.*?)\tTAGS: \[(.*)\]$")
_HOSTS = re.compile(r"^    hosts \(\d+\):$")
_TASK = re.compile(r"^      (.*)\tTAGS: \[(.*)\]$")
_HOST = re.compile(r"^      (\S.*)$")


class Output(Struct, frozen=True, kw_only=True):
    """The lines that were printed, by what they are; empty ones stand in the listing alone."""

    listing: list[str]
    warnings: list[str]
    errors: list[str]
    """What is no warning and stands before the listing, or is marked as an error."""


def output_of(lines: Iterable[str]) -> Output:
    """Tell what was printed apart: a line belongs to the last one that says what begins."""
    found = Output(listing=[], warnings=[], errors=[])
    part = found.errors
    for line in lines:
        if _LISTED.match(line):
            part = found.listing
        elif _WARNED.match(line):
            part = found.warnings
        elif _FAILED.match(line):
            part = found.errors
        if line.strip() or part is found.listing:
            part.append(line)
    return found


def plays_of(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the plays that a listing without warnings names; other lines are passed over."""
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
