"""Ansible's listing of hosts and tasks, read."""

from __future__ import annotations

from controlplane.domain.plan_listing import plays_of

LISTING = """[WARNING]: something\r

playbook: site.yml

  play #1 (all): first play\tTAGS: [b,a]
    pattern: ['all']
    hosts (2):
      two
      one: odd
    tasks:
      greet\tTAGS: [a, b]
      role : install [x]\tTAGS: []

  play #2 (web:!db): \tTAGS: []
    pattern: ['web', '!db']
    hosts (0):
    tasks:
"""


def test_plays_are_read_with_hosts_and_tasks() -> None:
    """Hosts are sorted, tags too; a play without a name or hosts is one."""
    assert plays_of(LISTING.splitlines()) == [
        {
            "pattern": "all",
            "name": "first play",
            "tags": ["a", "b"],
            "hosts": ["one: odd", "two"],
            "tasks": [
                {"name": "greet", "tags": ["a", "b"]},
                {"name": "role : install [x]", "tags": []},
            ],
        },
        {"pattern": "web:!db", "name": "", "tags": [], "hosts": [], "tasks": []},
    ]


def test_what_is_no_listing_has_no_plays() -> None:
    """An error message is none."""
    assert plays_of(["ERROR! Syntax Error while loading YAML.", "    tasks:", "      x"]) == []
