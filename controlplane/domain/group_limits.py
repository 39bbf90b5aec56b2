"""What an instance group takes at a time: so many jobs, so many forks (AWX 4.11). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

KIND = "instance_group"
_FIELDS = {"name": "name", "max_concurrent_jobs": "jobs", "max_forks": "forks"}


class GroupLimit(Struct, frozen=True, kw_only=True):
    """A group's limits; 0 is none."""

    name: str = ""
    jobs: int = 0
    forks: int = 0

    def changed(self, values: Mapping[str, Any]) -> GroupLimit:
        """Return the limits after a change of the group's fields."""
        given = {own: values[name] for name, own in _FIELDS.items() if name in values}
        return msgspec.structs.replace(self, **given)


class GroupUse:
    """What limited groups have taken, while decisions are made."""

    def __init__(self, limits: Iterable[GroupLimit]) -> None:
        """Nothing is taken yet."""
        self._limits = {each.name: each for each in limits if each.jobs or each.forks}
        self._jobs: dict[str, int] = defaultdict(int)
        self._forks: dict[str, int] = defaultdict(int)

    def took(self, group: str, impact: int) -> None:
        """Count a job that a group has."""
        if group in self._limits:
            self._jobs[group] += 1
            self._forks[group] += impact

    def against(self, group: str, impact: int) -> str:
        """Return why a group does not take a job now; empty where it may."""
        limit = self._limits.get(group)
        if limit is None:
            return ""
        if limit.jobs and self._jobs[group] >= limit.jobs:
            return f"{group} runs at most {limit.jobs} jobs at a time."
        if limit.forks and self._forks[group] + impact > limit.forks:
            return (
                f"{group} runs at most {limit.forks} forks at a time and has"
                f" {self._forks[group]}; the job takes {impact}."
            )
        return ""
