"""A new installation holds what AWX's holds, and its demo template runs as it stands."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.conftest import Deployment


@pytest.fixture(scope="module")
def fresh() -> Iterator[Deployment]:
    """A deployment as ``playlog up`` makes it."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    made = Deployment(directory)
    made.demo = []
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory, ignore_errors=True)


def test_the_demo_job_runs(fresh: Deployment) -> None:
    """Somebody who has just installed it launches the demo template and sees it greet."""
    (template,) = fresh.get("/api/v2/job_templates/", name="Demo Job Template")["results"]
    assert [each["name"] for each in template["summary_fields"]["credentials"]] == [
        "Demo Credential"
    ]
    ended = fresh.ended(fresh.launch(template["id"]))
    assert ended["status"] == "successful", ended["job_explanation"]
    output = fresh.client.get(f"{ended['related']['stdout']}?format=txt").text
    assert "Hello World!" in output
    assert "ok=2" in output
    (project,) = fresh.get("/api/v2/projects/", name="Demo Project")["results"]
    assert project["status"] == "successful"


def test_what_awx_installs_is_there(fresh: Deployment) -> None:
    """Clients find the names they know from an installation of AWX."""
    names = {
        plural: {row["name"] for row in fresh.get(f"/api/v2/{plural}/")["results"]}
        for plural in (
            "organizations",
            "projects",
            "inventories",
            "hosts",
            "credentials",
            "instance_groups",
            "execution_environments",
        )
    }
    assert names["organizations"] == {"Default"}
    assert names["projects"] == {"Demo Project"}
    assert names["inventories"] == {"Demo Inventory"}
    assert names["hosts"] == {"localhost"}
    assert names["credentials"] == {"Ansible Galaxy", "Demo Credential"}
    assert names["instance_groups"] == {"controlplane", "default"}
    assert "Control Plane Execution Environment" in names["execution_environments"]
    galaxy = fresh.get("/api/v2/organizations/1/galaxy_credentials/")["results"]
    assert [(each["name"], each["managed"]) for each in galaxy] == [("Ansible Galaxy", True)]
    refused = fresh.client.patch(galaxy[0]["url"], json={"name": "mine"})
    assert refused.status_code == 403
