"""What an imported inventory changes: AWX's rules, and nothing when it is the same again."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from controlplane.domain import imported
from controlplane.domain import inventory_diff as diff
from controlplane.domain.imported import Imported, Rules, Unusable
from controlplane.domain.inventory_diff import GroupRow, HostRow, Place, Standing
from schemas.events.resource import (
    ResourceCreated,
    ResourceDeleted,
    ResourceLinked,
    ResourceUnlinked,
    ResourceUpdated,
)

PLACE = Place(inventory=1, source=9)
MERGE = Rules()
OVERWRITE = Rules(overwrite=True, overwrite_vars=True)


class Store:
    """An inventory that events are applied to, as the tables are."""

    def __init__(self) -> None:
        self.variables = ""
        self.hosts: dict[int, dict[str, Any]] = {}
        self.groups: dict[int, dict[str, Any]] = {}
        self.owned: dict[str, set[int]] = {"hosts": set(), "groups": set()}
        self.links: dict[str, set[tuple[int, int]]] = {"hosts": set(), "children": set()}
        self.numbers = 100

    def run(self, found: Imported, rules: Rules) -> list[Any]:
        """Import as the shell does; returns the events."""
        told: list[Any] = []
        standing = [
            Standing(
                id=number,
                name=row["name"],
                instance_id=row["instance_id"],
                owned=number in self.owned["hosts"],
            )
            for number, row in self.hosts.items()
        ]
        matching = diff.match(found, standing, rules)
        told += self.apply([ResourceDeleted(kind="host", id=number) for number in matching.gone])
        for number in diff.gone_groups(found, self._groups().values(), rules):
            inside = {
                kind: [t for g, t in links if g == number] for kind, links in self.links.items()
            }
            told += self.apply(diff.deleted_group(number, {}, inside["children"], inside["hosts"]))
        told += self.apply(diff.inventory_events(PLACE, self.variables, found))
        for name in sorted(found.groups):
            row = self._groups().get(name)
            told += self.apply(
                diff.group_events(PLACE, found.groups[name], row, self._next(), rules)
            )
        told += self.apply(diff.children_events(found, self._groups(), rules))
        for name in sorted(found.hosts):
            known = matching.known.get(name)
            host = None if known is None else self._host(known)
            number = self._next() if host is None else host.id
            told += self.apply(diff.host_events(PLACE, found.hosts[name], host, number, rules))
            groups = self._groups()
            ours = [each.id for each in groups.values() if each.owned]
            wanted = [groups[each.name].id for each in found.groups.values() if name in each.hosts]
            told += self.apply(
                diff.membership_events(host or self._host(number), wanted, ours, rules)
            )
        return told

    def _next(self) -> int:
        self.numbers += 1
        return self.numbers

    def _host(self, number: int) -> HostRow:
        row = self.hosts[number]
        names = ("name", "variables", "enabled", "instance_id")
        return HostRow(
            id=number,
            **{name: row[name] for name in names},
            owned=number in self.owned["hosts"],
            groups=frozenset(g for g, target in self.links["hosts"] if target == number),
        )

    def _groups(self) -> dict[str, GroupRow]:
        return {
            row["name"]: GroupRow(
                id=number,
                name=row["name"],
                variables=row["variables"],
                owned=number in self.owned["groups"],
                children=frozenset(t for g, t in self.links["children"] if g == number),
            )
            for number, row in self.groups.items()
        }

    def apply(self, events: list[Any]) -> list[Any]:
        """Take events in; returns them."""
        for event in events:
            table = self.hosts if event.kind == "host" else self.groups
            match event:
                case ResourceCreated():
                    assert event.id not in table
                    table[event.id] = dict(event.values)
                case ResourceUpdated(kind="inventory"):
                    self.variables = event.changes["variables"]
                case ResourceUpdated():
                    assert event.changes
                    table[event.id] |= event.changes
                case ResourceDeleted():
                    self._delete(table, event.id)
                case ResourceLinked(kind="inventory_source"):
                    self.owned[event.relation].add(event.target)
                case ResourceLinked():
                    assert (event.id, event.target) not in self.links[event.relation]
                    self.links[event.relation].add((event.id, event.target))
                case ResourceUnlinked():
                    self.links[event.relation].remove((event.id, event.target))
        return events

    def _delete(self, table: dict[int, Any], number: int) -> None:
        del table[number]
        for kind, links in self.links.items():
            self.links[kind] = {link for link in links if number not in link}
        for owned in self.owned.values():
            owned.discard(number)

    def shown(self) -> dict[str, Any]:
        """Return the inventory by names."""
        names = {number: row["name"] for number, row in (self.hosts | self.groups).items()}
        return {
            "hosts": {
                row["name"]: json.loads(row["variables"] or "{}") for row in self.hosts.values()
            },
            "groups": {
                row["name"]: json.loads(row["variables"] or "{}") for row in self.groups.values()
            },
            "links": {
                kind: sorted((names[group], names[target]) for group, target in links)
                for kind, links in self.links.items()
            },
        }


def read(data: dict[str, Any], rules: Rules = MERGE) -> Imported:
    """Read a result."""
    return imported.read(json.dumps(data).encode(), rules)


def drawn(dice: random.Random) -> dict[str, Any]:
    """Return a result with some of six hosts in some of five groups."""
    hosts = [f"h{n}" for n in range(6) if dice.random() < 0.7]
    groups = [f"g{n}" for n in range(5) if dice.random() < 0.7]
    data: dict[str, Any] = {
        "_meta": {"hostvars": {name: {"v": dice.randrange(2)} for name in hosts}},
        "all": {"children": ["ungrouped", *groups], "vars": {"a": dice.randrange(2)}},
        "ungrouped": {"hosts": hosts},
    }
    for place, name in enumerate(groups):
        data[name] = {
            "hosts": [each for each in hosts if dice.random() < 0.4],
            "children": [each for each in groups[place + 1 :] if dice.random() < 0.4],
            "vars": {"w": dice.randrange(2)},
        }
    return data


@pytest.mark.parametrize("seed", range(40))
def test_the_same_again_changes_nothing_and_overwriting_leaves_what_is_reported(seed: int) -> None:
    """After any history an import is there whole, and once more makes no event."""
    dice = random.Random(seed)
    store = Store()
    for _ in range(4):
        found = read(drawn(dice))
        store.run(found, OVERWRITE)
        assert store.run(found, OVERWRITE) == []
        assert store.run(found, MERGE) == []
        shown = store.shown()
        assert shown["hosts"] == {name: host.variables for name, host in found.hosts.items()}
        assert shown["groups"] == {name: each.variables for name, each in found.groups.items()}
        groups = found.groups.values()
        assert shown["links"] == {
            "hosts": sorted((each.name, name) for each in groups for name in each.hosts),
            "children": sorted((each.name, name) for each in groups for name in each.children),
        }


@pytest.mark.parametrize("seed", range(20))
def test_an_import_that_is_cut_off_is_completed_by_the_next(seed: int) -> None:
    """Whatever events of it stand already, doing it again comes to the same rows."""
    dice = random.Random(seed)
    before, after = read(drawn(dice)), read(drawn(dice))
    whole, cut = Store(), Store()
    for store in (whole, cut):
        store.run(before, OVERWRITE)
    events = whole.run(after, OVERWRITE)
    cut.apply(events[: dice.randrange(len(events) + 1)])
    cut.numbers = 1000  # what was taken is not given again
    cut.run(after, OVERWRITE)
    assert cut.shown() == whole.shown()


def test_merging_keeps_what_others_put_there() -> None:
    """Without overwriting, hosts, groups, memberships and variables that are not reported stay."""
    store = Store()
    store.run(read({"g": {"hosts": ["a", "b"], "vars": {"x": 1}}}), MERGE)
    store.run(read({"g": {"hosts": {"a": {"y": 2}}, "vars": {"z": 3}}}), MERGE)
    shown = store.shown()
    assert shown["hosts"] == {"a": {"y": 2}, "b": {}}
    assert shown["groups"] == {"g": {"x": 1, "z": 3}}
    assert shown["links"]["hosts"] == [("g", "a"), ("g", "b")]


def test_overwriting_leaves_hosts_of_others_and_their_memberships() -> None:
    """What this source never reported is none of its business."""
    store = Store()
    store.run(read({"g": {"hosts": ["mine"]}}), OVERWRITE)
    (group,) = store.groups
    store.hosts[1] = {"name": "hand", "variables": "", "enabled": True, "instance_id": ""}
    store.links["hosts"].add((group, 1))
    store.run(read({"g": {"hosts": ["other"]}}), OVERWRITE)
    assert sorted(store.shown()["hosts"]) == ["hand", "other"]
    assert store.shown()["links"]["hosts"] == [("g", "hand"), ("g", "other")]


def test_a_deleted_group_leaves_its_members() -> None:
    """The members of a group that is gone are let go of before it is deleted."""
    store = Store()
    store.run(read({"g": {"hosts": ["a"], "children": ["c"]}, "c": {}}), OVERWRITE)
    store.run(read({"all": {"hosts": ["a"]}, "c": {}}), OVERWRITE)
    assert store.shown() == {
        "hosts": {"a": {}},
        "groups": {"c": {}},
        "links": {"hosts": [], "children": []},
    }


def test_a_host_that_is_renamed_stays_the_same_host() -> None:
    """It is known by what instance_id_var says, dotted paths too; hosts may even swap names."""
    rules = Rules(overwrite=True, instance_id_vars=("config.uuid",))

    def listing(**uuids: str) -> Imported:
        return read(
            {
                "all": {"hosts": list(uuids)},
                "_meta": {"hostvars": {n: {"config": {"uuid": u}} for n, u in uuids.items()}},
            },
            rules,
        )

    store = Store()
    store.run(listing(a="1", b="2"), rules)
    before = {row["instance_id"]: number for number, row in store.hosts.items()}
    store.run(listing(a="2", c="1"), rules)
    assert {row["instance_id"]: number for number, row in store.hosts.items()} == before
    assert {row["instance_id"]: row["name"] for row in store.hosts.values()} == {"1": "c", "2": "a"}


def test_a_variable_tells_whether_a_host_is_enabled() -> None:
    """enabled_value is compared as text, whatever its case; without it, truth counts."""

    def enabled(value: Any, wanted: str | None) -> bool | None:
        rules = Rules(enabled_vars=("power.state",), enabled_value=wanted)
        hostvars = {"h": {"power": {"state": value}} if value is not None else {}}
        data = {"all": {"hosts": ["h"]}, "_meta": {"hostvars": hostvars}}
        return read(data, rules).hosts["h"].enabled

    assert enabled("Running", "running") is True
    assert enabled("stopped", "running") is False
    assert enabled(True, "true") is True
    assert enabled("", None) is False
    assert enabled(None, "running") is None


def test_filters_ports_and_ansibles_own_groups() -> None:
    """Hosts that are not wanted are left out; ``all`` and ``ungrouped`` are no groups."""
    data = {
        "all": {"hosts": ["web1:2222", "db1"], "vars": {"a": 1}, "children": ["ungrouped", "g"]},
        "g": {"hosts": ["web1:2222", "fe80::1"], "children": ["ungrouped", "g"]},
    }
    names = imported.host_names(json.dumps(data).encode())
    assert names == {"web1", "db1", "fe80::1"}
    found = read(data, Rules(wanted=names - {"db1"}))
    assert {name: host.variables for name, host in found.hosts.items()} == {
        "web1": {"ansible_port": 2222},
        "fe80::1": {},
    }
    assert found.variables == {"a": 1}
    (group,) = found.groups.values()
    assert (group.hosts, group.children) == ({"web1", "fe80::1"}, set())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not json", "no JSON"),
        (b"[1]", "it is a list"),
        (b'{"all": {"hosts": ["a\\u0000b"]}}', "cannot be stored"),
        (b'{"all": {"hosts": ["{{ lookup }}"]}}', "holds a template"),
        (b'{"all": {"hosts": {"h": {"v": "\\u0000"}}}}', "host 'h' hold a NUL"),
        (b'{"g": {"vars": {"v": "\\u0000"}}}', "group 'g' hold a NUL"),
        (b'{"all": {"hosts": ["' + b"x" * 513 + b'"]}}', "cannot be stored"),
        (b'{"all": {"hosts": {"h": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}}}", "host 'h'"),
    ],
)
def test_what_cannot_be_stored_names_its_place(content: bytes, said: str) -> None:
    """Nothing of it is imported, and the reason says where it stands."""
    with pytest.raises(Unusable, match=said.replace("(", r"\(")):
        imported.read(content, MERGE)


def test_a_circle_of_groups_is_not_closed() -> None:
    """A child that leads back, by what stands there already, is left out."""
    store = Store()
    store.run(read({"a": {"children": ["b"]}, "b": {"children": ["c"]}, "c": {}}), MERGE)
    told = store.run(read({"c": {"children": ["a"]}}), MERGE)
    assert told == []


def test_a_group_that_was_deleted_meanwhile_has_no_links() -> None:
    """Somebody deleted it while the import was under way: the others are linked all the same."""
    found = read({"a": {"children": ["b", "c"]}, "b": {"children": ["c"]}, "c": {}})
    rows = {
        name: GroupRow(id=number, name=name, variables="", owned=True)
        for number, name in enumerate("ac", 1)
    }
    for rules in (MERGE, Rules(overwrite=True)):
        (link,) = diff.children_events(found, rows, rules)
        assert link == ResourceLinked(kind="group", id=1, relation="children", target=2)
