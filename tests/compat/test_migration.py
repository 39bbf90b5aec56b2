"""From AWX to Playlog, and from one Playlog to another, by ``awx export`` and ``awx import``."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.compat.kit import Kit
from tests.deployment.conftest import PLAYBOOKS, Deployment

pytestmark = pytest.mark.timeout(300)
EXPORT = Path(__file__).parent / "data" / "awx_export.json"
"""What ``awx export`` of an AWX 24.6.1 prints; REPOSITORY stands for a git server's address."""
_LOCAL_PATH = re.compile(r'"local_path": "_\d+__')


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


@pytest.fixture(scope="module")
def moved() -> Iterator[Deployment]:
    """A Playlog after the import of an AWX's export."""
    with empty() as made:
        kit = Kit(made.url)
        text = EXPORT.read_text().replace("REPOSITORY", f"file://{made.repository}")
        code, out, problem = kit.ended("import", given=text)
        kit.close()
        assert (code, problem) == (0, ""), out
        yield made


def exported(deployment: Deployment) -> dict[str, Any]:
    """Return what ``awx export`` prints, checkouts named without ids."""
    kit = Kit(deployment.url)
    text = kit.text("export")
    kit.close()
    found: dict[str, Any] = json.loads(_LOCAL_PATH.sub('"local_path": "_0__', text))
    return found


def test_the_import_brings_everything(moved: Deployment) -> None:
    """Each object of the export is there, under the name it had in AWX."""
    wanted = json.loads(EXPORT.read_text())
    found = exported(moved)
    assert {kind: names(rows) for kind, rows in found.items()} == {
        kind: names(rows) for kind, rows in wanted.items()
    }


def names(rows: list[dict[str, Any]]) -> list[str]:
    """Return the names of exported objects."""
    return sorted(json.dumps(row["natural_key"], sort_keys=True) for row in rows)


def test_another_playlog_is_the_same(moved: Deployment) -> None:
    """Export, import into an empty Playlog, export again: the same text."""
    first = exported(moved)
    with empty() as other:
        kit = Kit(other.url)
        code, out, problem = kit.ended("import", given=json.dumps(first))
        kit.close()
        assert (code, problem) == (0, ""), out
        assert exported(other) == first
