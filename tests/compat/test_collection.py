"""Modules of the unmodified awx.awx collection 24.6.1, through a real ansible-playbook."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compat.playing import Collection, Played
from tests.deployment.conftest import Deployment

pytestmark = pytest.mark.timeout(300)

GROUPS = ("access", "credentials", "inventories", "templates")
KINDS = (
    "applications",
    "credential_input_sources",
    "credential_types",
    "credentials",
    "execution_environments",
    "groups",
    "hosts",
    "instance_groups",
    "inventories",
    "job_templates",
    "labels",
    "notification_templates",
    "organizations",
    "projects",
    "schedules",
    "teams",
    "users",
    "workflow_job_templates",
)


@pytest.fixture(scope="module")
def collection(deployment: Deployment) -> Collection:
    """The collection against the module's deployment."""
    return Collection(deployment)


def problems(played: list[Played]) -> dict[str, str]:
    """Return what failed."""
    return {each.task: each.problem for each in played if each.problem}


def changing(played: list[Played]) -> list[str]:
    """Return the tasks that changed something."""
    return [each.task for each in played if each.changed]


def everything(deployment: Deployment) -> dict[str, Any]:
    """Return all rows of all kinds."""
    return {kind: deployment.get(f"/api/v2/{kind}/", page_size=200)["results"] for kind in KINDS}


@pytest.mark.parametrize("group", GROUPS)
def test_a_playbook_changes_once(collection: Collection, group: str) -> None:
    """The first run changes with every task, the second with none; so does taking it away."""
    first = collection.play(group, "--tags", "present")
    assert problems(first) == {}
    assert changing(first) == [each.task for each in first]
    before = everything(collection.deployment)
    again = collection.play(group, "--tags", "present")
    assert (problems(again), changing(again)) == ({}, [])
    checked = collection.play(group, "--tags", "absent", "--check")
    assert problems(checked) == {}
    wanted = [each.task for each in checked if not each.task.startswith("find")]
    assert changing(checked) == wanted
    assert everything(collection.deployment) == before
    removed = collection.play(group, "--tags", "absent")
    assert (problems(removed), changing(removed)) == ({}, wanted)
