"""The unmodified awx command through every resource: create, get, list, modify, delete."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.compat.kit import Kit
from tests.deployment.conftest import Deployment

WEBHOOK = json.dumps({"url": "https://hooks.example.com/", "headers": {}})
TYPE = json.dumps({"fields": [{"id": "key", "label": "Key", "secret": True}]})
VAULT = json.dumps({"url": "https://vault.example.com", "api_version": "v2"})
DAILY = "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1"
ORGANIZATION = ("--organization", "Default")
RESOURCES: dict[str, tuple[str, ...]] = {
    "organizations": (),
    "teams": ORGANIZATION,
    "users": ("--password", "long enough"),
    "credential_types": ("--kind", "cloud", "--inputs", TYPE),
    "credentials": (*ORGANIZATION, "--credential_type", "Machine", "--inputs", "username: me"),
    "execution_environments": ("--image", "quay.io/ansible/awx-ee:latest"),
    "instance_groups": ("--max_forks", "3"),
    "inventory": (*ORGANIZATION, "--variables", '{"a": 1}'),
    "hosts": ("--inventory", "fleet", "--enabled", "false", "--variables", "a: 1"),
    "groups": ("--inventory", "fleet"),
    "projects": (*ORGANIZATION, "--allow_override", "true"),
    "job_templates": (
        *("--project", "playbooks", "--inventory", "fleet", "--playbook", "site.yml"),
        *("--extra_vars", "x: 1", "--ask_limit_on_launch", "true"),
    ),
    "labels": ORGANIZATION,
    "notification_templates": (
        *(*ORGANIZATION, "--notification_type", "webhook"),
        *("--notification_configuration", WEBHOOK),
    ),
}
"""Names of the command's resources with what creating one takes beside its name."""


@pytest.fixture(scope="module")
def kit(deployment: Deployment) -> Iterator[Kit]:
    """The command on the module's deployment."""
    made = Kit(deployment.url)
    yield made
    made.close()


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_a_resource_lives_and_dies(kit: Kit, resource: str) -> None:
    """What is created is found by its name, changed, listed with a filter and deleted."""
    named = "username" if resource == "users" else "name"
    name = f"kit-{resource}"
    made = kit.run(resource, "create", f"--{named}", name, *RESOURCES[resource])
    assert made[named] == name
    assert kit.run(resource, "get", name)["id"] == made["id"]
    field = {"users": "first_name", "instance_groups": "max_forks", "labels": "name"}.get(resource)
    value = {"max_forks": "7", "name": f"{name}-2"}.get(field or "", "changed")
    changed = kit.run(resource, "modify", name, f"--{field or 'description'}", value)
    assert str(changed[field or "description"]) == value
    name = changed[named]
    listed = kit.run(resource, "list", f"--{named}", name)
    assert [row["id"] for row in listed["results"]] == [made["id"]]
    if resource != "labels":
        kit.run(resource, "delete", name)
        assert kit.run(resource, "list", f"--{named}", name)["count"] == 0
        assert kit.ended(resource, "get", name)[0] != 0
