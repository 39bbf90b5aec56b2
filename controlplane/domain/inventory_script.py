"""From rows of hosts and groups to Ansible's dynamic-inventory JSON.

As AWX's ``script`` endpoint gives it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from controlplane.domain import extra_vars


class HostRow(NamedTuple):
    """One managed host of the inventory: a bare tuple, since there are tens of thousands."""

    id: int
    name: str
    enabled: bool


class GroupRow(Struct, frozen=True, kw_only=True):
    """One group: its hosts and child groups by id."""

    id: int
    name: str
    variables: str
    hosts: tuple[int, ...] = ()
    children: tuple[int, ...] = ()


def layout(variables: str, hosts: Iterable[HostRow], groups: Iterable[GroupRow]) -> dict[str, Any]:
    """Return the inventory without its hosts' variables: groups with hosts, children and vars.

    Disabled hosts are left out. A group always has its list of hosts: Ansible takes an entry with
    nothing in it for a host of the group's name.
    """
    enabled = {host.id: host for host in hosts if host.enabled}
    known = {group.id: group for group in groups}
    members = _members(known, enabled)
    child_ids = {child for group in known.values() for child in group.children}
    data: dict[str, Any] = {"all": _root(variables, known, child_ids, enabled, members)}
    for group in known.values():
        entry: dict[str, Any] = {"hosts": members[group.id]}
        children = [known[child].name for child in group.children if child in known]
        if children:
            entry["children"] = sorted(children)
        values = extra_vars.parse(group.variables)
        if values:
            entry["vars"] = values
        data[group.name] = entry
    return data


def hostvars(host: HostRow, variables: str, *, tower_vars: bool) -> dict[str, Any]:
    """Return the variables of a host, given as JSON or YAML text.

    ``tower_vars`` adds ``remote_tower_id`` and ``remote_tower_enabled``.
    """
    values = extra_vars.parse(variables)
    if tower_vars:
        values["remote_tower_enabled"] = "true"
        values["remote_tower_id"] = host.id
    return values


def _members(
    groups: Mapping[int, GroupRow], enabled: Mapping[int, HostRow]
) -> dict[int, list[str]]:
    return defaultdict(
        list,
        {
            group.id: sorted(enabled[host].name for host in group.hosts if host in enabled)
            for group in groups.values()
        },
    )


def _root(
    variables: str,
    groups: Mapping[int, GroupRow],
    child_ids: set[int],
    enabled: Mapping[int, HostRow],
    members: Mapping[int, list[str]],
) -> dict[str, Any]:
    grouped = {name for names in members.values() for name in names}
    root: dict[str, Any] = {
        "hosts": sorted(host.name for host in enabled.values() if host.name not in grouped),
        "children": sorted(group.name for group in groups.values() if group.id not in child_ids),
    }
    values = extra_vars.parse(variables)
    if values:
        root["vars"] = values
    return {key: value for key, value in root.items() if value or key == "hosts"}
