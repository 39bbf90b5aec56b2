"""Playbooks of the awx.awx collection against a deployment, and what each task answered.

Ansible prints the answers through ``tests.compat.playbooks.callback_plugins.records``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.deployment.conftest import ROOT, Deployment

PLAYBOOKS = Path(__file__).with_name("playbooks")
COLLECTIONS = ROOT / ".venv" / "collections"
BIN = Path(sys.executable).parent
WITHIN_S = 110


class Played(Struct, frozen=True):
    """What one task answered."""

    task: str
    action: str
    outcome: str
    result: dict[str, Any]

    @property
    def changed(self) -> bool:
        """Whether it changed something, or would have."""
        return bool(self.result.get("changed"))

    @property
    def problem(self) -> str:
        """What is said of a failure."""
        return "" if self.outcome == "ok" else str(self.result.get("msg", self.result))


class Collection:
    """The collection, unpacked, and a token of the superuser."""

    def __init__(self, deployment: Deployment) -> None:
        """Fetch the collection when it is not there."""
        subprocess.run([str(ROOT / "ops" / "collection")], check=True)
        self.deployment = deployment
        self.token: str = deployment.post("/api/v2/tokens/", {"scope": "write"})["token"]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of Ansible's programs."""
        return {
            **os.environ,
            "ANSIBLE_CALLBACK_PLUGINS": str(PLAYBOOKS / "callback_plugins"),
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_STDOUT_CALLBACK": "records",
            "CONTROLLER_HOST": self.deployment.url,
            "CONTROLLER_OAUTH_TOKEN": self.token,
            "CONTROLLER_VERIFY_SSL": "false",
        }

    def play(self, playbook: str, *flags: str, **variables: Any) -> list[Played]:
        """Run a playbook of ours to its end, however it ends."""
        given = {"repository": f"file://{self.deployment.repository}", **variables}
        done = subprocess.run(
            [BIN / "ansible-playbook", *flags, "-e", json.dumps(given), f"{playbook}.yml"],
            capture_output=True,
            text=True,
            cwd=PLAYBOOKS,
            env=self.environment,
            timeout=WITHIN_S,
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith('{"task"')]
        assert lines, done.stdout + done.stderr
        return [Played(**json.loads(line)) for line in lines]

    def inventory(self, source: Path) -> dict[str, Any]:
        """Return what ``ansible-inventory --list`` makes of an inventory file."""
        done = subprocess.run(
            [BIN / "ansible-inventory", "-i", str(source), "--list"],
            capture_output=True,
            text=True,
            env={**self.environment, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"},
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found
