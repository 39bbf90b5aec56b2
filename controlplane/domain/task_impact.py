"""Task impact: how many capacity units (forks) a job takes (AWX 4.11)."""

from __future__ import annotations

DEFAULT_FORKS = 5
PROJECT_UPDATE = 1
PROJECT_SYNC = 0
INVENTORY_UPDATE = 1


def playbook_impact(forks: int, hosts: int) -> int:
    """Return min(forks or 5, hosts) + 1; an empty inventory counts as one host."""
    return min(forks or DEFAULT_FORKS, max(hosts, 1)) + 1
