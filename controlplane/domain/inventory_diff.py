"""What an imported inventory changes, as events: nothing for what stays as it is. Pure.

Deciding the same import again on the state that it led to yields no events, so one that was cut off
is simply done again. The rules are AWX's: hosts are known by the id that their source gives them,
then by name; variables are merged unless the source overwrites them; with ``overwrite`` goes what
this source has made and no longer reports.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

import schemas.resources  # noqa: F401 - declares every kind
from controlplane.domain import extra_vars
from controlplane.domain.facts import Find, Object
from controlplane.domain.imported import Group, Host, Imported, Rules
from schemas.events.resource import (
    ResourceCreated,
    ResourceDeleted,
    ResourceLinked,
    ResourceUnlinked,
    ResourceUpdated,
)
from schemas.registry import Event
from schemas.resource import RESOURCES

DESCRIPTION = "imported"


class Place(Struct, frozen=True, kw_only=True):
    """Where an import goes."""

    inventory: int
    source: int


class HostRow(Struct, frozen=True, kw_only=True):
    """A stored host."""

    id: int
    name: str
    variables: str
    enabled: bool
    instance_id: str
    owned: bool = False
    """This source has reported it before."""
    groups: frozenset[int] = frozenset()


class GroupRow(Struct, frozen=True, kw_only=True):
    """A stored group."""

    id: int
    name: str
    variables: str
    owned: bool = False
    children: frozenset[int] = frozenset()


class Standing(Struct, frozen=True, kw_only=True):
    """A stored host as far as matching needs it."""

    id: int
    name: str
    instance_id: str
    owned: bool


class Matching(Struct, frozen=True, kw_only=True):
    """Which imported host is which stored one."""

    known: dict[str, int]
    """Name in the import to the id of the stored host that it is."""
    gone: tuple[int, ...]
    """Hosts that this source reported before and no longer does."""


def match(imported: Imported, standing: Sequence[Standing], rules: Rules) -> Matching:
    """Return who is who, by the id of the machine first, then by name; each host is one only."""
    by_instance = {each.instance_id: each.id for each in standing if each.instance_id}
    by_name = {each.name: each.id for each in standing}
    known: dict[str, int] = {}
    taken: set[int] = set()
    for table, key in ((by_instance, "instance_id"), (by_name, "name")):
        for host in imported.hosts.values():
            found = table.get(getattr(host, key))
            if host.name not in known and found is not None and found not in taken:
                known[host.name] = found
                taken.add(found)
    gone = tuple(each.id for each in standing if each.owned and each.id not in taken)
    return Matching(known=known, gone=gone if rules.overwrite else ())


def host_events(
    place: Place, host: Host, row: HostRow | None, number: int, rules: Rules
) -> list[Event]:
    """Return the events that make a host what the import says; ``number`` is for a new one."""
    events: list[Event] = []
    if row is None:
        values = _defaults("host") | {
            "name": host.name,
            "description": DESCRIPTION,
            "inventory": place.inventory,
            "variables": extra_vars.as_text(host.variables),
            "enabled": host.enabled is not False,
            "instance_id": host.instance_id,
        }
        events.append(ResourceCreated(kind="host", id=number, values=values))
    else:
        number = row.id
        changes: dict[str, Any] = {
            "name": host.name,
            "instance_id": host.instance_id,
            "enabled": row.enabled if host.enabled is None else host.enabled,
            "variables": merged(row.variables, host.variables, overwrite=rules.overwrite_vars),
        }
        events += _updated("host", row, changes)
    if row is None or not row.owned:
        events.append(_made(place, "hosts", number))
    return events


def membership_events(
    row: HostRow, wanted: Collection[int], ours: Collection[int], rules: Rules
) -> list[Event]:
    """Return the links that put a host into the groups that hold it.

    ``ours`` are the groups of this source: overwriting takes the host out of those alone.
    """
    joined = [_link("hosts", group, row.id) for group in sorted(set(wanted) - row.groups)]
    if not rules.overwrite or not row.owned:
        return [*joined]
    left = (row.groups & set(ours)) - set(wanted)
    return [*joined, *(_unlink("hosts", group, row.id) for group in sorted(left))]


def group_events(
    place: Place, group: Group, row: GroupRow | None, number: int, rules: Rules
) -> list[Event]:
    """Return the events that make a group what the import says, without its members."""
    events: list[Event] = []
    if row is None:
        values = _defaults("group") | {
            "name": group.name,
            "description": DESCRIPTION,
            "inventory": place.inventory,
            "variables": extra_vars.as_text(group.variables),
        }
        events.append(ResourceCreated(kind="group", id=number, values=values))
    else:
        number = row.id
        text = merged(row.variables, group.variables, overwrite=rules.overwrite_vars)
        events += _updated("group", row, {"variables": text})
    if row is None or not row.owned:
        events.append(_made(place, "groups", number))
    return events


def children_events(imported: Imported, rows: Mapping[str, GroupRow], rules: Rules) -> list[Event]:
    """Return the links between groups; one that would close a circle is left out.

    A group that somebody deleted meanwhile has none.
    """
    graph = {row.id: set(row.children) for row in rows.values()}
    there = [group for group in imported.groups.values() if group.name in rows]
    ours = {rows[group.name].id for group in there}
    events: list[Event] = []
    if rules.overwrite:
        for group in there:
            row = rows[group.name]
            stay = {rows[child].id for child in group.children if child in rows}
            for child in sorted((row.children & ours) - stay if row.owned else ()):
                events.append(_unlink("children", row.id, child))
                graph[row.id].discard(child)
    for group in there:
        parent = rows[group.name].id
        for child in sorted(rows[name].id for name in group.children if name in rows):
            if child in graph[parent] or _reaches(graph, child, parent):
                continue
            graph[parent].add(child)
            events.append(_link("children", parent, child))
    return events


def gone_groups(imported: Imported, rows: Iterable[GroupRow], rules: Rules) -> tuple[int, ...]:
    """Return the groups that this source reported before and no longer does."""
    if not rules.overwrite:
        return ()
    return tuple(row.id for row in rows if row.owned and row.name not in imported.groups)


def deleted_group(
    number: int, was: dict[str, Any], children: Iterable[int], hosts: Iterable[int]
) -> list[Event]:
    """Return the events that remove a group alone: its members are let go of first."""
    return [
        *(_unlink("children", number, each) for each in sorted(children)),
        *(_unlink("hosts", number, each) for each in sorted(hosts)),
        ResourceDeleted(kind="group", id=number, was=was),
    ]


def inventory_events(place: Place, variables: str, imported: Imported) -> list[Event]:
    """Return the change of the inventory's own variables, which are always merged."""
    text = merged(variables, imported.variables, overwrite=False)
    if text == variables:
        return []
    changes, was = {"variables": text}, {"variables": variables}
    return [ResourceUpdated(kind="inventory", id=place.inventory, changes=changes, was=was)]


def merged(text: str, variables: dict[str, Any], *, overwrite: bool) -> str:
    """Return the text of variables after an import: as it stands when they are the same."""
    before = extra_vars.parse(text)
    after = variables if overwrite else {**before, **variables}
    return text if after == before else extra_vars.as_text(after)


def written(place: Place, events: Iterable[Event]) -> frozenset[str]:
    """Return the keys that events write: the objects, both ends of links, and names taken."""
    keys: set[str] = set()
    for event in events:
        match event:
            case ResourceLinked() | ResourceUnlinked():
                related = next(
                    each for each in RESOURCES[event.kind].related if each.name == event.relation
                )
                if related.made:
                    continue
                keys.add(Object(event.kind, event.id).key)
                keys.add(Object(related.kind, event.target).key)
            case ResourceCreated(values=values) | ResourceUpdated(changes=values):
                keys.add(Object(event.kind, event.id).key)
                if "name" in values:
                    named = (values["name"], place.inventory)
                    keys.add(Find(event.kind, ("name", "inventory"), named).key)
            case ResourceDeleted():
                keys.add(Object(event.kind, event.id).key)
            case _:
                continue
    return frozenset(keys)


def _updated(kind: str, row: HostRow | GroupRow, wanted: dict[str, Any]) -> list[Event]:
    was = {name: getattr(row, name) for name in wanted if getattr(row, name) != wanted[name]}
    if not was:
        return []
    changes = {name: wanted[name] for name in was}
    return [ResourceUpdated(kind=kind, id=row.id, changes=changes, was=was)]


def _defaults(kind: str) -> dict[str, Any]:
    return {name: field.default for name, field in RESOURCES[kind].fields.items()}


def _made(place: Place, relation: str, target: int) -> Event:
    return ResourceLinked(
        kind="inventory_source", id=place.source, relation=relation, target=target
    )


def _link(relation: str, group: int, target: int) -> Event:
    return ResourceLinked(kind="group", id=group, relation=relation, target=target)


def _unlink(relation: str, group: int, target: int) -> Event:
    return ResourceUnlinked(kind="group", id=group, relation=relation, target=target)


def _reaches(graph: Mapping[int, set[int]], start: int, goal: int) -> bool:
    seen, frontier = {start}, [start]
    while frontier:
        each = frontier.pop()
        if each == goal:
            return True
        new = graph.get(each, set()) - seen
        seen |= new
        frontier += new
    return False
