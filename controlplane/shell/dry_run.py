"""What a launch would run on: its project's content and its inventory's hosts, as they are now."""

from __future__ import annotations

from typing import Any

import msgspec

from controlplane.domain import host_pattern
from controlplane.domain.host_pattern import Hosts, NotKnown
from controlplane.domain.inventory_script import GroupRow
from controlplane.shell.inventory_content import Members, SmartHosts, read_members
from controlplane.shell.read_model import View
from schemas.events.job import PlaybookLaunch

NAMES_MAX = 1000
"""So many hosts are named; they are counted in any case."""


async def project(view: View, record: PlaybookLaunch) -> dict[str, Any] | None:
    """Return the project of a launch: its revision, and whether the playbook is there."""
    if record.project is None:
        return None
    row = await view.named_row("project_for_dry_run", record.project)
    if row is None:
        return None
    content = bool(row["content"])
    files = msgspec.json.decode(row["playbooks"]) if content else []
    return {
        "id": record.project,
        "name": row["name"],
        "scm_branch": record.scm_branch or row["scm_branch"],
        "scm_revision": row["revision"] or "",
        "has_content": content,
        "updates_on_launch": row["scm_update_on_launch"],
        "playbook_found": record.playbook in files if content and not record.scm_branch else None,
    }


async def inventory(view: View, record: PlaybookLaunch, smart: SmartHosts) -> dict[str, Any] | None:
    """Return the hosts that the limit of a launch leaves, and how slices share them."""
    if record.inventory is None:
        return None
    head = await view.named_row("inventory_for_script", record.inventory)
    members = await read_members(view, record.inventory, smart)
    if head is None or members is None:
        return None
    hosts = _hosts(members)
    told: dict[str, Any] = {
        "id": record.inventory,
        "name": head["name"],
        "kind": head["kind"],
        "enabled_hosts": len(hosts.names),
        "disabled_hosts": len(members.hosts) - len(hosts.names),
    }
    try:
        left = host_pattern.limited(hosts, record.limit)
        told["unmatched"] = host_pattern.unmatched(hosts, record.limit)
    except NotKnown as error:
        return {**told, "hosts": None, "hosts_unknown": str(error), "unmatched": [], "slices": []}
    return {
        **told,
        "hosts": {
            "count": len(left),
            "names": left[:NAMES_MAX],
            "truncated": len(left) > NAMES_MAX,
        },
        "hosts_unknown": "",
        "slices": _slices(hosts, set(left), record.job_slice_count),
    }


def _slices(hosts: Hosts, left: set[str], wanted: int) -> list[dict[str, Any]]:
    """Return how many hosts each slice gets, and how many of these the limit leaves."""
    count = min(wanted, len(hosts.names))
    if count <= 1:
        return []
    slices = [host_pattern.sliced(hosts.names, number, count) for number in range(1, count + 1)]
    return [
        {"slice": number, "hosts": len(names), "within_limit": len(left & set(names))}
        for number, names in enumerate(slices, 1)
    ]


def _hosts(members: Members) -> Hosts:
    """Return enabled hosts by name, each group with those of all groups below it."""
    enabled = {host.id: host.name for host in members.hosts if host.enabled}
    known = {group.id: group for group in members.groups}
    return Hosts(
        names=sorted(enabled.values()),
        groups={group.name: _below(group, known, enabled) for group in members.groups},
    )


def _below(group: GroupRow, known: dict[int, GroupRow], enabled: dict[int, str]) -> tuple[str, ...]:
    found: set[str] = set()
    seen, left = {group.id}, [group]
    while left:
        each = left.pop()
        found |= {enabled[host] for host in each.hosts if host in enabled}
        new = [child for child in each.children if child in known and child not in seen]
        seen |= set(new)
        left += [known[child] for child in new]
    return tuple(sorted(found))
