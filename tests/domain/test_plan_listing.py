"""Ansible's listing of hosts and tasks, read."""

from __future__ import annotations

from controlplane.domain.plan_listing import output_of, plays_of

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

[WARNING]: Found variable using reserved name 'environment'.
Origin: /project/site.yml:3:5

3     environment: x
      ^ column 5

  play #2 (web:!db): \tTAGS: []
    pattern: ['web', '!db']
    hosts (0):
    tasks:
"""


def test_plays_are_read_with_hosts_and_tasks() -> None:
    """Hosts are sorted, tags too; a play without a name or hosts is one."""
    assert plays_of(output_of(LISTING.splitlines()).listing) == [
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


def test_warnings_are_told_from_errors_and_from_the_listing() -> None:
    """Each line belongs to what began last; what nothing marks is an error."""
    told = output_of(LISTING.splitlines())
    assert told.errors == []
    assert told.warnings == [
        "[WARNING]: something",
        "[WARNING]: Found variable using reserved name 'environment'.",
        "Origin: /project/site.yml:3:5",
        "3     environment: x",
        "      ^ column 5",
    ]
    for mark in ("[ERROR]: ", "ERROR! "):
        lines = ["usage", "[DEPRECATION WARNING]: old", "  and so on", f"{mark}no", "", "Origin: x"]
        told = output_of(lines)
        assert told.errors == ["usage", f"{mark}no", "Origin: x"]
        assert told.warnings == lines[1:3]
