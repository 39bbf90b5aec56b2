"""The inventory that a job runs on."""

from __future__ import annotations

from controlplane.domain.inventory_script import GroupRow, HostRow, hostvars, layout

WEB = HostRow(id=1, name="web", enabled=True)
OLD = HostRow(id=2, name="old", enabled=False)
LONE = HostRow(id=3, name="lone", enabled=True)
SITE = GroupRow(id=10, name="site", variables="", children=(11,))
TIER = GroupRow(id=11, name="tier", variables="x: y", hosts=(1, 2))


def test_hosts_stand_in_their_groups_and_the_rest_below_all() -> None:
    """Groups list their enabled hosts and child groups; hosts in no group stand below all."""
    assert layout("top: 1", [WEB, OLD, LONE], [SITE, TIER]) == {
        "all": {"hosts": ["lone"], "children": ["site"], "vars": {"top": 1}},
        "site": {"hosts": [], "children": ["tier"]},
        "tier": {"hosts": ["web"], "vars": {"x": "y"}},
    }


def test_hosts_carry_their_ids_for_the_runner() -> None:
    """With tower variables each host names its id, by which events find it again."""
    assert hostvars(WEB, "port: 80", tower_vars=False) == {"port": 80}
    assert hostvars(WEB, "port: 80", tower_vars=True) == {
        "port": 80,
        "remote_tower_enabled": "true",
        "remote_tower_id": 1,
    }


def test_disabled_hosts_are_left_out() -> None:
    """A disabled host is in no group."""
    assert layout("", [OLD], [TIER]) == {
        "all": {"hosts": [], "children": ["tier"]},
        "tier": {"hosts": [], "vars": {"x": "y"}},
    }


def test_an_empty_group_is_no_host() -> None:
    """A group with nothing in it has an empty list: Ansible reads ``{}`` as a host of its name."""
    empty = GroupRow(id=12, name="empty", variables="")
    found = layout("", [], [empty])
    assert found["empty"] == {"hosts": []}
