"""From AWX to Playlog, and from one Playlog to another, by ``awx export`` and ``awx import``."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compat.kit import Kit
from tests.deployment.conftest import PASSWORD, PLAYBOOKS, ROOT, Deployment

pytestmark = pytest.mark.timeout(300)
EXPORT = Path(__file__).parent / "data" / "awx_export.json"
"""What ``awx export`` of an AWX 24.6.1 prints; REPOSITORY stands for a git server's address."""
SNIPPET = re.compile(r"<!-- labels -->\n```python\n(.*?)```", re.DOTALL)
Exported = dict[str, list[dict[str, Any]]]


@contextmanager
def empty() -> Iterator[Deployment]:
    """A Playlog with nothing in it, beside a repository of playbooks."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    made = Deployment(directory)
    made.write({**PLAYBOOKS, "inventory/hosts.ini": "localhost ansible_connection=local\n"})
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=made.repository, check=True)
    made._commit("first")
    made.start()
    try:
        yield made
        assert made.stop() == 0
    finally:
        made.client.close()
        shutil.rmtree(directory, ignore_errors=True)


def moved_in(deployment: Deployment, export: Exported) -> None:
    """Take the steps of ``docs/migrating.md``."""
    kit = Kit(deployment.url)
    for part in (export, {"organizations": export["organizations"]}):
        code, out, problem = kit.ended("import", given=json.dumps(part))
        assert (code, problem.strip()) == (0, ""), out
    kit.close()
    found = SNIPPET.search((ROOT / "docs" / "migrating.md").read_text())
    assert found is not None
    path = deployment.directory / "export.json"
    path.write_text(json.dumps(export))
    login = {
        "CONTROLLER_HOST": deployment.url,
        "CONTROLLER_USERNAME": "admin",
        "CONTROLLER_PASSWORD": PASSWORD,
    }
    environment = {**os.environ, **login}
    subprocess.run([sys.executable, "-c", found[1], path], env=environment, check=True)


@pytest.fixture(scope="module")
def export() -> Exported:
    """What the AWX printed, from a repository that is nowhere yet."""
    found: Exported = json.loads(EXPORT.read_text())
    return found


@pytest.fixture(scope="module")
def moved(export: Exported) -> Iterator[Deployment]:
    """A Playlog after the import of an AWX's export."""
    with empty() as made:
        address = f"file://{made.repository}"
        moved_in(made, json.loads(json.dumps(export).replace("REPOSITORY", address)))
        yield made


def exported(deployment: Deployment) -> Exported:
    """Return what ``awx export`` prints."""
    kit = Kit(deployment.url)
    found: Exported = kit.run("export")
    kit.close()
    return found


def comparable(export: Exported, repository: str = "REPOSITORY") -> dict[str, dict[str, Any]]:
    """Return exported objects by natural key, without what belongs to one installation alone."""
    text = json.dumps(export).replace(repository, "REPOSITORY").replace("$encrypted$", "")
    text = re.sub(r'"local_path": "_\d+__', '"local_path": "_0__', text)
    return {
        kind: {json.dumps(row["natural_key"], sort_keys=True): row for row in rows}
        for kind, rows in json.loads(text).items()
    }


def test_the_import_brings_everything(moved: Deployment, export: Exported) -> None:
    """Each object is there as it was in AWX, down to nodes, surveys and labels; secrets are not."""
    wanted = comparable(export)
    found = comparable(exported(moved), f"file://{moved.repository}")
    ours = set(found["execution_environments"]) - set(wanted["execution_environments"])
    assert ours == {'{"name": "Playlog EE", "type": "execution_environment"}'}
    for key in ours:
        del found["execution_environments"][key]
    for kind, rows in wanted.items():
        assert found[kind] == rows, kind


def test_users_come_without_a_password(moved: Deployment) -> None:
    """An imported user logs in as soon as a password is set, and not before, not with none."""
    row = moved.get("/api/v2/users/", username="amara")["results"][0]
    for password in ("", "$encrypted$", "abc123"):
        answered = httpx.get(f"{moved.url}/api/v2/me/", auth=("amara", password))
        assert answered.status_code == 401
    body = {"password": "a new password"}
    assert moved.client.patch(row["url"], json=body).status_code == 200
    answered = httpx.get(f"{moved.url}/api/v2/me/", auth=("amara", "a new password"))
    assert answered.status_code == 200


def test_what_was_imported_runs(moved: Deployment) -> None:
    """A template whose credential needs no secret runs as it is."""
    found = moved.get("/api/v2/job_templates/", name="Ping everything")["results"][0]
    local = {"variables": "ansible_connection: local"}
    inventory = found["summary_fields"]["inventory"]["id"]
    moved.client.patch(f"/api/v2/inventories/{inventory}/", json=local)
    ended = moved.ended(moved.launch(found["id"]))
    assert ended["status"] == "successful", ended["job_explanation"]


def test_another_playlog_is_the_same(moved: Deployment) -> None:
    """Export, import into an empty Playlog, export again: the same."""
    first = exported(moved)
    with empty() as other:
        moved_in(other, first)
        assert comparable(exported(other)) == comparable(first)
