"""Modules of the unmodified awx.awx collection 24.6.1, through a real ansible-playbook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.edge import VERSION
from tests.compat.playing import Collection, Played
from tests.deployment.conftest import PASSWORD, Deployment

REMOVED = ("inventories", "templates")
"""Those that are taken away; of the others it is only asked: a task costs half a second."""
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


REFUSALS = {
    "job launch with what is not asked for": "can not be passed into job template",
    "job launch and wait": "play fails, failed",
    "job cancel of an ended job": "Job is not running",
    "workflow launch": "Playlog does not run workflows yet.",
    "bulk job launch": "Playlog does not run workflows yet.",
    "workflow approval": "could not be found at /api/v2/workflow_jobs/1/workflow_nodes/",
    "workflow node wait": "could not be found at /api/v2/workflow_jobs/1/workflow_nodes/",
    "ad hoc command wait": "that ID does not exist",
    "ad hoc command cancel": "Unable to find command with id 1",
    "setting that is out of range": "greater than or equal to 100",
    "with the dead token": "Invalid authentication credentials for /api/v2/organizations/",
    "bulk host create again": "Hostnames must be unique",
    "organization that is not there": "returned 0 items, expected 1",
    "name that is taken twice": "Host with this Name and Inventory already exists.",
}
"""What is said in tasks that must fail."""
CHANGED_NOTHING = {
    "project update",
    "job wait",
    "job list",
    "controller meta",
    "settings again",
    "with the token",
    "with a password",
    "subscriptions",
    "export",
    "lookup of one",
    "lookup of all pages",
}


def everything(deployment: Deployment) -> dict[str, Any]:
    """Return all rows of all kinds."""
    return {kind: deployment.get(f"/api/v2/{kind}/", page_size=200)["results"] for kind in KINDS}


@pytest.mark.parametrize("group", GROUPS)
def test_a_playbook_changes_once(collection: Collection, group: str) -> None:
    """The first run changes with every task, the second with none, a check of removal nothing."""
    if group == "templates":
        source = {"name": "play source", "source": "ec2"}
        made = {**source, "inventory": collection.deployment.inventory}
        collection.deployment.post("/api/v2/inventory_sources/", made)
    first = collection.play(group, "--tags", "present")
    assert problems(first) == {}
    assert changing(first) == [each.task for each in first]
    before = everything(collection.deployment)
    again = collection.play(group, "--tags", "present")
    assert (problems(again), changing(again)) == ({}, [])
    checking = () if group in REMOVED else ("--check",)
    removed = collection.play(group, "--tags", "absent", *checking)
    assert problems(removed) == {}
    assert changing(removed) == [each.task for each in removed if not each.task.startswith("find")]
    if checking:
        assert everything(collection.deployment) == before


@pytest.mark.parametrize("playbook", ["jobs", "system"])
def test_what_runs_and_what_refuses(collection: Collection, playbook: str) -> None:
    """Launches, waits and cancels work; what a later release runs fails with its reason."""
    deployment = collection.deployment
    given = {"template": prepared(deployment)} if playbook == "jobs" else {"password": PASSWORD}
    played = {each.task: each for each in collection.play(playbook, **given)}
    assert {name for name, each in played.items() if each.outcome == "failed"} == set()
    for name, each in played.items():
        if each.outcome == "ignored":
            assert REFUSALS[name] in json.dumps(each.result), (name, each.result)
        else:
            assert each.changed is (name not in CHANGED_NOTHING), (name, each.result)
    if playbook == "jobs":
        assert played["job wait"].result["status"] == "successful"
        found = played["job list"].result["results"][0]
        assert (found["limit"], found["launch_type"]) == ("one", "manual")
        assert json.loads(found["extra_vars"]) == {"extra": "from a playbook"}
        canceled = deployment.ended(played["sleeping job"].result["id"])
        assert canceled["status"] == "canceled"
    else:
        assert deployment.get("/api/v2/settings/ui/")["MAX_UI_JOB_EVENTS"] == 5000
        assert deployment.get("/api/v2/hosts/", name__startswith="play-bulk")["count"] == 0


def prepared(deployment: Deployment) -> int:
    """Make what the playbook of jobs refers to; returns a template's id."""
    deployment.template("play fails", "fails.yml")
    deployment.template("play sleeps", "sleep.yml")
    make = deployment.post
    make("/api/v2/workflow_job_templates/", {"name": "play flow", "organization": 1})
    source = {"name": "play updated", "inventory": deployment.inventory}
    project = {"source": "scm", "source_project": deployment.project}
    make("/api/v2/inventory_sources/", {**source, **project})
    machine = {"name": "play ad hoc", "organization": 1, "credential_type": 1, "inputs": {}}
    make("/api/v2/credentials/", machine)
    return deployment.template("play other", "ping.yml")


def test_the_inventory_plugin_reads_an_inventory(collection: Collection, tmp_path: Path) -> None:
    """``ansible-inventory`` with the collection's plugin shows hosts, groups and variables."""
    deployment = collection.deployment
    inventory = deployment.post("/api/v2/inventories/", {"name": "play-read", "organization": 1})
    base = f"/api/v2/inventories/{inventory['id']}/"
    host = deployment.post(f"{base}hosts/", {"name": "seen", "variables": "a: 1"})
    group = deployment.post(f"{base}groups/", {"name": "them", "variables": "b: 2"})
    deployment.post(f"{group['url']}hosts/", {"id": host["id"]}, 204)
    source = tmp_path / "controller.yml"
    for name in (inventory["id"], "play-read++Default"):
        lines = ("plugin: awx.awx.controller", f"inventory_id: {name}", "include_metadata: true")
        source.write_text("\n".join(lines) + "\n")
        found = collection.inventory(source)
        assert found["them"]["hosts"] == ["seen"]
        shown = found["_meta"]["hostvars"]["seen"]
        assert (shown["a"], shown["b"]) == (1, 2)
        assert VERSION in str(shown["tower_metadata"]["version"])
