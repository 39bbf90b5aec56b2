"""Limits, as Ansible reads them."""

from __future__ import annotations

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from controlplane.domain.host_pattern import Hosts, NotKnown, limited, sliced, unmatched

HOSTS = Hosts(
    names=("db1", "db2", "web1", "web2", "web3.example.org"),
    groups={
        "db": ("db1", "db2"),
        "web": ("web1", "web2", "web3.example.org"),
        "east": ("db1", "web1"),
        "empty": (),
    },
)
LIMITS = [
    *("", "all", "*", "web", "db1", "web1,db", "web:db", "web:!web1", "!web", "web:&east"),
    *("all:!db:!web2", "web*", "*.example.org", "we?1", "web[0]", "web[1:2]", "web[-1]", "web[1:]"),
    *("[wd]*1", "nothing", "empty", "db,!db2", "&east", "web, db1", "db[0]:web[0]", "d*"),
    *("web[0:1]:!web1", "east:web:&db", "web3.example.org", "all[0:1]", "web[7:9]"),
]


@pytest.fixture(scope="module")
def manager() -> InventoryManager:
    """Ansible's own inventory of the same hosts."""
    made = InventoryManager(loader=DataLoader(), sources=None, parse=False)
    for name in HOSTS.names:
        made._inventory.add_host(name)
    for group, members in HOSTS.groups.items():
        made._inventory.add_group(group)
        for name in members:
            made._inventory.add_child(group, name)
    made._inventory.reconcile_inventory()
    return made


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_leaves_the_hosts_that_ansible_runs_on(
    manager: InventoryManager, limit: str
) -> None:
    """Compared with Ansible itself, pattern by pattern."""
    manager.clear_caches()
    expected = {host.name for host in manager.get_hosts(limit or "all")}
    found = limited(HOSTS, limit)
    assert set(found) == expected
    assert found == [name for name in HOSTS.names if name in expected]


@pytest.mark.parametrize("limit", ["~web.*", "@failed.retry", "web:~(a+)+$", "{{ target }}"])
def test_what_only_ansible_knows_is_said_so(limit: str) -> None:
    """Regular expressions are not run here: they may take for ever."""
    with pytest.raises(NotKnown):
        limited(HOSTS, limit)


def test_parts_that_match_nothing_are_named() -> None:
    """A mistyped name shows."""
    assert unmatched(HOSTS, "web1,wbe2,!nobody,&east,~x") == ["wbe2", "!nobody"]


def test_slices_share_the_hosts() -> None:
    """Each host is in one slice."""
    assert sliced(("c", "a", "b"), 1, 2) == ["a", "c"]
    assert sliced(("c", "a", "b"), 2, 2) == ["b"]
