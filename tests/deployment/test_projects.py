"""Projects on a whole deployment: another branch, required roles, updates at each launch."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.deployment.conftest import Deployment

pytestmark = pytest.mark.timeout(240)


def git(deployment: Deployment, *arguments: str) -> str:
    """Run git in the project's repository."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=deployment.repository,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def branched(deployment: Deployment) -> str:
    """Make a branch whose playbook runs a role that it requires; returns its commit."""
    role = deployment.directory / "required"
    for name, text in (
        ("tasks/main.yml", "- debug: {msg: from the required role}\n"),
        ("meta/main.yml", "galaxy_info: {author: a, description: d, license: MIT}\n"),
    ):
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(text)
    subprocess.run(["tar", "-czf", "required.tar.gz", "required"], cwd=role.parent, check=True)
    git(deployment, "checkout", "-q", "-b", "topic")
    requirements = f"- src: file://{role}.tar.gz\n  name: required\n"
    deployment.write(
        {
            "site.yml": "- hosts: one\n  gather_facts: false\n  roles: [required]\n",
            "roles/requirements.yml": requirements,
        }
    )
    git(deployment, "add", "-A")
    git(deployment, "commit", "-q", "-m", "topic")
    commit = git(deployment, "rev-parse", "HEAD")
    git(deployment, "checkout", "-q", "main")
    return commit


def project_with_branches(deployment: Deployment) -> dict[str, Any]:
    """Make a project of an organization that has a Galaxy credential."""
    organization = deployment.post("/api/v2/organizations/", {"name": "branches"})["id"]
    query = {"namespace": "galaxy_api_token"}
    kinds = deployment.get("/api/v2/credential_types/", **query)["results"]
    url = "http://127.0.0.1:9/"
    galaxy = {"name": "nowhere", "organization": organization, "inputs": {"url": url}}
    credential = deployment.post(
        "/api/v2/credentials/", {**galaxy, "credential_type": kinds[0]["id"]}
    )["id"]
    path = f"/api/v2/organizations/{organization}/galaxy_credentials/"
    deployment.post(path, {"id": credential}, status=204)
    body = {
        "name": "branches",
        "organization": organization,
        "scm_type": "git",
        "scm_url": deployment.repository.as_uri(),
        "allow_override": True,
    }
    made: dict[str, Any] = deployment.post("/api/v2/projects/", body)
    update = deployment.ended(made["summary_fields"]["current_update"]["id"], "project_updates")
    assert update["status"] == "successful"
    return made


def test_a_job_runs_another_branch_and_what_it_requires(deployment: Deployment) -> None:
    """Its sync fetches and installs; the job tells the revision.

    A lost repository fails no job whose commit is here, and one that must update first in AWX's
    words.
    """
    commit = branched(deployment)
    made = project_with_branches(deployment)
    template = deployment.template(
        "topic", "site.yml", project=made["id"], ask_scm_branch_on_launch=True
    )
    first = deployment.ended(deployment.launch(template, scm_branch="topic"))
    assert first["status"] == "successful", first["job_explanation"]
    assert (first["scm_revision"], first["scm_branch"]) == (commit, "topic")
    sync = deployment.get(first["related"]["project_update"])
    assert (sync["launch_type"], sync["job_type"], sync["scm_revision"]) == ("sync", "run", commit)
    output = deployment.client.get(f"/api/v2/jobs/{first['id']}/stdout/?format=txt")
    assert "from the required role" in output.text
    shown = deployment.get(made["url"])
    assert shown["scm_revision"] != commit
    away = deployment.repository.rename(deployment.directory / "away")
    again = deployment.launch(template, scm_branch=commit)
    patched = deployment.client.patch(made["url"], json={"scm_update_on_launch": True})
    assert patched.status_code == 200
    failing = deployment.ended(deployment.launch(template))
    found = deployment.ended(again)
    away.rename(deployment.repository)
    assert (found["status"], found["scm_revision"]) == ("successful", commit)
    assert failing["status"] == "failed"
    assert failing["job_explanation"].startswith('Previous Task Failed: {"job_type": "project')
