"""What a deployment does while faults strike: long jobs, and clients that write and retry."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import httpx
from msgspec import Struct

from ops import ids
from tests.deployment.conftest import PASSWORD, Deployment
from tests.deployment.ssh_fleet import Fleet
from tests.waiting import lasting

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
PAUSE_S = 0.05
REMOTE_STEPS = 12
UPDATES_EVERY_S = 3.0
TAKEN = {200, 201, 202, 405}
"""A promise; 405 is that of a cancel that comes too late."""
RETRY_S = 0.2


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
        extra = {"ask_variables_on_launch": True, "allow_simultaneous": True}
        self._steady = deployment.template("steady", "steady.yml", **extra)
        self._endless = deployment.template("endless", "endless.yml", **extra)
        self.small = deployment.template("small", "site.yml", **extra)
        self._remote = self._over_ssh(fleet, extra) if fleet is not None else None

    def launch(self, count: int, steps: int) -> list[Running]:
        """Start ``count`` jobs of ``2 * steps`` items each, and two that wait for a cancel.

        One more goes over SSH, if there are hosts for it.
        """
        found = []
        for number in range(count):
            fails = number == 0
            variables = {"witness": str(self.witness), "steps": steps, "fails": fails}
            job = self._deployment.launch(self._steady, extra_vars=variables)
            found.append(Running(id=job, expected="failed" if fails else "successful"))
        if self._remote is not None:
            variables = {"witness": str(self.witness), "steps": REMOTE_STEPS}
            job = self._deployment.launch(self._remote, extra_vars=variables)
            found.append(Running(id=job, expected="successful"))
        for _ in range(2):
            variables = {"witness": str(self.witness)}
            job = self._deployment.launch(self._endless, extra_vars=variables)
            found.append(Running(id=job, expected=CANCELED))
        return found

    def _over_ssh(self, fleet: Fleet, extra: dict[str, Any]) -> int:
        """Make the template whose job has a key with a passphrase, a password and one for su."""
        enrolled = fleet.enroll(self._deployment)
        template = self._deployment.template(
            "remote", "remote.yml", inventory=enrolled.inventory, **extra
        )
        path = f"/api/v2/job_templates/{template}/credentials/"
        self._deployment.post(path, {"id": enrolled.credential}, status=204)
        return template


class Acknowledged(Struct, kw_only=True):
    """What the clients were promised."""

    template: int
    """What they launch, each key once."""
    before: int
    """The last job before their first."""
    organizations: list[int] = []
    launches: dict[str, int] = {}
    """Idempotency key to job."""
    updates: list[int] = []
    """Of the project that all jobs are of."""
    refused: int = 0
    """Answers that were no promise: no connection, or 503."""
    wrong: list[str] = []
    """Answers that must not be: neither a promise nor 503."""


class Clients:
    """Threads that write until stopped, and say each thing again until it is answered."""

    def __init__(self, deployment: Deployment, template: int, launches_every_s: float) -> None:
        """Launch ``template`` under keys; organizations one after another."""
        self._deployment = deployment
        self._every_s = launches_every_s
        self._stop = threading.Event()
        newest = deployment.get("/api/v2/jobs/", order_by="-id", page_size=1)["results"]
        self.told = Acknowledged(template=template, before=newest[0]["id"] if newest else 0)
        self._threads = [
            threading.Thread(target=self._organizations, daemon=True),
            threading.Thread(target=self._launches, daemon=True),
            threading.Thread(target=self._updates, daemon=True),
        ]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def cancel(self, job: Running) -> None:
        """Begin to cancel a job, and say so until it is taken."""
        thread = threading.Thread(target=self._cancel, args=(job,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def __exit__(self, *_: object) -> None:
        """End; each waits for the answer to its last word."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client was never answered"

    def _organizations(self) -> None:
        with self._client() as client:
            while not self._stop.is_set():
                body = {"name": f"chaos {ids.new_id()}"}
                answer = self._post(client, "/api/v2/organizations/", body, {}, again=False)
                if answer is not None:
                    self.told.organizations.append(answer["id"])
                self._stop.wait(PAUSE_S)

    def _updates(self) -> None:
        path = f"/api/v2/projects/{self._deployment.project}/update/"
        with self._client() as client:
            while not self._stop.wait(UPDATES_EVERY_S):
                answer = self._post(client, path, {}, {}, again=False)
                if answer:
                    self.told.updates.append(answer["project_update"])

    def _launches(self) -> None:
        path = f"/api/v2/job_templates/{self.told.template}/launch/"
        with self._client() as client:
            while not self._stop.is_set():
                key = ids.new_id()
                answer = self._post(client, path, {}, {"Idempotency-Key": key}, again=True)
                if answer is not None:
                    self.told.launches[key] = answer["job"]
                self._stop.wait(self._every_s)

    def _cancel(self, job: Running) -> None:
        with self._client() as client:
            self._post(client, f"/api/v2/jobs/{job.id}/cancel/", {}, {}, again=True)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._deployment.url, auth=("admin", PASSWORD), timeout=30)

    def _post(
        self,
        client: httpx.Client,
        path: str,
        body: dict[str, Any],
        headers: dict[str, str],
        *,
        again: bool,
    ) -> dict[str, Any] | None:
        """Return the answer that is a promise; with ``again`` ask until there is one."""
        while True:
            try:
                answer = client.post(path, json=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code in TAKEN:
                found: dict[str, Any] = answer.json() if answer.content else {}
                return found
            if answer is not None and answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                self.told.wrong.append(f"{answer.status_code} {answer.text[:200]}")
                return None
            self.told.refused += 1
            if not again:
                return None
            lasting(RETRY_S)


def project() -> dict[str, str]:
    """Return the files of the load's project: playbooks, and the independent callback beside."""
    witness = find_spec("tests.chaos.witness")
    assert witness is not None
    assert witness.origin is not None
    return {**PLAYBOOKS, "callback_plugins/witness.py": Path(witness.origin).read_text()}
