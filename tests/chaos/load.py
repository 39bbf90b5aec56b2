"""What a deployment does while faults strike: long jobs, one of them over SSH, and small ones."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.chaos.clients import Call, launch_of
from tests.deployment import ssh_fleet
from tests.deployment.conftest import Deployment
from tests.deployment.ssh_fleet import Fleet

PLAYBOOKS = {
    "steady.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - name: steady
      debug: {msg: "{{ item }}"}
      loop: "{{ range(steps | int) | list }}"
      loop_control: {pause: 0.1}
    - name: end
      fail: {msg: on purpose}
      when: fails | default(false) and inventory_hostname == 'two'
""",
    "endless.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - name: begun
      debug: {msg: "waiting to be canceled"}
    - command: sleep 600
""",
    "remote.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - name: remote
      raw: "echo {{ item }}"
      become: true
      loop: "{{ range(steps | int) | list }}"
""",
}
CANCELED = "canceled"
REMOTE_STEPS = 12
UPDATES_EVERY_S = 3.0
ASKED = {"ask_variables_on_launch": True, "allow_simultaneous": True}
"""Of every template."""


class Running(Struct, frozen=True, kw_only=True):
    """A job under fault and how it must end when nothing kills its own processes."""

    id: int
    expected: str


class Jobs:
    """The long jobs of one round: most succeed, one fails on purpose, two are canceled."""

    def __init__(self, deployment: Deployment, fleet: Fleet | None = None) -> None:
        """Make the templates on the deployment's project; over real SSH too if there is a fleet."""
        self._deployment = deployment
        self.witness = deployment.directory / "witness"
        self.witness.mkdir(exist_ok=True)
        shown = {"AWX_ISOLATION_SHOW_PATHS": [f"{self.witness}:{self.witness}:rw"]}
        assert deployment.client.patch("/api/v2/settings/jobs/", json=shown).status_code == 200
        self._steady = deployment.template("steady", "steady.yml", **ASKED)
        self._endless = deployment.template("endless", "endless.yml", **ASKED)
        self._small = deployment.template("small", "site.yml", **ASKED)
        self.secrets: list[str] = []
        """What the jobs are told in confidence."""
        self._remote = self._over_ssh(fleet) if fleet is not None else None

    def launch(self, count: int, steps: int) -> list[Running]:
        """Start ``count`` jobs of ``2 * steps`` items each, and two that wait for a cancel.

        One more goes over SSH, if there are hosts for it.
        """
        found = []
        for number in range(count):
            fails = number == 0
            expected = "failed" if fails else "successful"
            found.append(self._start(self._steady, expected, steps=steps, fails=fails))
        if self._remote is not None:
            found.append(self._start(self._remote, "successful", steps=REMOTE_STEPS))
        found.extend(self._start(self._endless, CANCELED) for _ in range(2))
        return found

    def calls(self, launches_every_s: float) -> list[Call]:
        """Return what is launched from the start: the small job, the project's update."""
        project = self._deployment.project
        return [
            launch_of(self._small, "small", launches_every_s),
            Call(
                name="project update",
                path=f"/api/v2/projects/{project}/update/",
                kind="project_update",
                query={"project": project},
                every_s=UPDATES_EVERY_S,
            ),
        ]

    def calls_under_fault(self, every_s: float) -> list[Call]:
        """Return what is launched once faults strike: the job over SSH, if there are hosts."""
        if self._remote is None:
            return []
        variables: dict[str, Any] = {"witness": str(self.witness), "steps": REMOTE_STEPS}
        return [launch_of(self._remote, "over ssh", every_s, watched=True, **variables)]

    def _start(self, template: int, expected: str, **variables: Any) -> Running:
        given = {"witness": str(self.witness), **variables}
        job = self._deployment.launch(template, extra_vars=given)
        return Running(id=job, expected=expected)

    def _over_ssh(self, fleet: Fleet) -> int:
        """Make the template whose job has a key with a passphrase, a password and one for su."""
        enrolled = fleet.enroll(self._deployment)
        key = fleet.key.read_text().splitlines()[2]
        self.secrets += [ssh_fleet.PASSWORD, ssh_fleet.ROOT_PASSWORD, ssh_fleet.PASSPHRASE, key]
        template = self._deployment.template(
            "remote", "remote.yml", inventory=enrolled.inventory, **ASKED
        )
        path = f"/api/v2/job_templates/{template}/credentials/"
        self._deployment.post(path, {"id": enrolled.credential}, status=204)
        return template


def project() -> dict[str, str]:
    """Return the files of the load's project: playbooks, and the independent callback beside."""
    return {**PLAYBOOKS, **callback()}


def callback() -> dict[str, str]:
    """Return the file of the independent callback, as it lies in a project."""
    witness = find_spec("tests.chaos.witness")
    assert witness is not None
    assert witness.origin is not None
    return {"callback_plugins/witness.py": Path(witness.origin).read_text()}
