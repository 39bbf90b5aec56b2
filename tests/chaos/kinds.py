"""Everything else that a job can be, launched while faults strike, each with its own proof.

They share a project of their own, which is updated before whatever is launched from it, and gets a
new commit each round.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from tests.chaos.clients import Call, Told, launch_of
from tests.chaos.load import ASKED, Running, callback
from tests.chaos.proof import Proof
from tests.deployment.conftest import Deployment
from tests.runners.test_secrets import vault
from tests.waiting import eventually

VAULT_PASSWORD = "open-word-under-fault"
TREASURE = "what-the-vault-hides"
SECRETS = (VAULT_PASSWORD, TREASURE)
KEPT_HOSTS = 200
"""Hosts of the inventory source that every round has."""
NEW_HOSTS = 100
"""Those that only one round has: with the last round's going, more than one transaction."""
SLICES = 3
SLICED_HOSTS = 7
CLEANED = (
    "jobs",
    "ad hoc commands",
    "project updates",
    "inventory updates",
    "management jobs",
    "workflow jobs",
    "notifications",
)
"""What a cleanup of jobs says a line about each."""
FACTS_STEPS = 30
FACTS_WITHIN_S = 30.0
VAULTED = f"""
- hosts: all
  gather_facts: false
  vars:
    hidden: {vault("chaos", VAULT_PASSWORD, TREASURE, 6)}
  tasks:
    - name: steady
      debug: {{msg: "{{{{ item }}}}"}}
      loop: "{{{{ range(10) | list }}}}"
      loop_control: {{pause: 0.1}}
    - name: opened
      debug: {{msg: "{{{{ hidden | hash('sha256') }}}}"}}
"""
FACTS = """
- hosts: all
  gather_facts: false
  tasks:
    - name: known
      debug: {msg: "{{ ansible_facts.mark | default('') }}"}
    - name: steady
      debug: {msg: "{{ item }}"}
      loop: "{{ range(steps | int) | list }}"
      loop_control: {pause: 0.1}
    - name: kept
      set_fact: {mark: "{{ inventory_hostname }} {{ round }}", cacheable: true}
"""
SLICED = """
- hosts: all
  gather_facts: false
  tasks:
    - name: sliced
      debug: {msg: "{{ item }}"}
      loop: "{{ range(5) | list }}"
      loop_control: {pause: 0.1}
"""


class Content:
    """The project of these jobs: a git repository of its own, updated at each launch."""

    def __init__(self, deployment: Deployment) -> None:
        """Make it with the playbooks."""
        self.deployment = deployment
        self.repository = deployment.directory / "content"
        self.round = 0
        self.head = ""
        """The newest commit."""
        self.write({"vaulted.yml": VAULTED, **callback()})
        self._git("init", "-q", "-b", "main")
        self.commit()
        body = {
            "name": "updated on launch",
            "organization": 1,
            "scm_type": "git",
            "scm_url": f"file://{self.repository}",
            "scm_update_on_launch": True,
        }
        self.project: int = deployment.post("/api/v2/projects/", body)["id"]

    def ready(self) -> None:
        """Wait for the first update: templates name playbooks that are there."""
        path = f"/api/v2/projects/{self.project}/"
        eventually(lambda: self.deployment.get(path)["status"] == "successful", 60)

    def write(self, files: dict[str, str]) -> None:
        """Write files to be committed."""
        for name, text in files.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self) -> None:
        """Commit what was written."""
        self._git("add", ".")
        identity = ("-c", "user.name=t", "-c", "user.email=t@t.invalid")
        self._git(*identity, "commit", "-q", "-m", f"round {self.round}")
        self.head = self._git("rev-parse", "HEAD")

    def prove(self, proof: Proof, told: Told) -> None:
        """Every update before a launch ended well; no launch was given two."""
        query = {"project": self.project, "id__gt": told.before, "page_size": 200}
        updates = self.deployment.get("/api/v2/project_updates/", **query)["results"]
        launches = len(told.of(Vaulted.name)) + len(told.of(Imported.name))
        if not 0 < len(updates) <= launches:
            proof.found.duplicated.append(f"{len(updates)} updates before {launches} launches")
        for update in updates:
            if proof.ended("project_updates", update["id"]):
                proof.events("project_updates", update["id"])

    def _git(self, *arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=self.repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


class Kind(Protocol):
    """One kind of job; ``name`` is that of its call."""

    name: str

    def begin(self) -> list[Running]:
        """Prepare a round; returns the long jobs launched for it."""

    def calls(self, every_s: float) -> list[Call]:
        """Return what is launched again and again."""

    def prove(self, proof: Proof, told: Told) -> None:
        """Examine what a round has left."""


class Vaulted:
    """A play with a vaulted variable, on a project that is updated first."""

    name = "vaulted"

    def __init__(self, content: Content, witness: Path) -> None:
        """Make the credential and the template."""
        self._content = content
        self._variables: dict[str, Any] = {"witness": str(witness)}
        deployment = content.deployment
        inputs = {"vault_password": VAULT_PASSWORD, "vault_id": "chaos"}
        body = {"name": "vault", "organization": 1, "credential_type": 3, "inputs": inputs}
        credential = deployment.post("/api/v2/credentials/", body)["id"]
        content.ready()
        fields = {**ASKED, "project": content.project}
        self._template = deployment.template("vaulted", "vaulted.yml", **fields)
        path = f"/api/v2/job_templates/{self._template}/credentials/"
        deployment.post(path, {"id": credential}, status=204)

    def begin(self) -> list[Running]:
        """The project's new commit is all there is to prepare."""
        return []

    def calls(self, every_s: float) -> list[Call]:
        """Launch it."""
        return [launch_of(self._template, self.name, every_s, watched=True, **self._variables)]

    def prove(self, proof: Proof, told: Told) -> None:
        """The vault was opened on every host, and the play was that of the newest commit."""
        digest = hashlib.sha256(TREASURE.encode()).hexdigest()
        for number in told.of(self.name):
            job = proof.deployment.job(number)
            if job["status"] != "successful":
                continue
            opened = _messages(proof.events("jobs", number), "opened")
            if opened != {"one": digest, "two": digest}:
                proof.found.wrong.append(f"job {number} found {opened} in the vault")
            if job["scm_revision"] != self._content.head:
                told_text = f"{job['scm_revision']} instead of {self._content.head}"
                proof.found.wrong.append(f"job {number} ran {told_text}")


class Imported:
    """An inventory that is a file of the project: some hosts stay, some are new each round."""

    name = "inventory update"

    def __init__(self, content: Content) -> None:
        """Make the inventory and its source."""
        self._content = content
        self._deployment = content.deployment
        body = {"name": "imported", "organization": 1}
        self._inventory = self._deployment.post("/api/v2/inventories/", body)["id"]
        body = {
            "name": "file",
            "inventory": self._inventory,
            "source": "scm",
            "source_project": content.project,
            "source_path": "hosts.ini",
            "overwrite": True,
            "overwrite_vars": True,
        }
        self._source = self._deployment.post("/api/v2/inventory_sources/", body)["id"]
        self._known: dict[str, tuple[int, str]] = {}
        """The hosts that stay: id and when each was changed, as they were first seen."""
        self._ids: set[int] = set()
        """Every host's that was ever seen."""

    def begin(self) -> list[Running]:
        """Write the round's file, to be committed."""
        lines = [f"{name} {key}={value}" for name, (key, value) in self._hosts().items()]
        groups = ["[kept]", *lines[:KEPT_HOSTS], "[new]", *lines[KEPT_HOSTS:]]
        groups += ["[new:vars]", f"round={self._content.round}"]
        self._content.write({"hosts.ini": "\n".join(groups) + "\n"})
        return []

    def calls(self, every_s: float) -> list[Call]:
        """Update it."""
        return [
            Call(
                name=self.name,
                path=self._update,
                kind="inventory_update",
                query={"inventory_source": self._source},
                every_s=every_s,
            )
        ]

    def prove(self, proof: Proof, told: Told) -> None:
        """The hosts are those of the file, each once; who stays is who they were."""
        jobs = [proof.deployment.job(job, "inventory_updates") for job in told.of(self.name)]
        if not any(job["status"] == "successful" for job in jobs):
            # Each was cut short: what they left must not stand in the next one's way.
            body = self._deployment.post(self._update, status=202)
            again = self._deployment.ended(body["inventory_update"], "inventory_updates")
            if again["status"] != "successful":
                proof.found.wrong.append(f"inventory update {again['id']} is {again['status']}")
        path = f"/api/v2/inventories/{self._inventory}"
        rows = _all(self._deployment, f"{path}/hosts/")
        self._compare(proof, "hosts", rows, self._expected_hosts())
        groups = _all(self._deployment, f"{path}/groups/")
        self._compare(proof, "groups", groups, {"kept": {}, "new": {"round": self._content.round}})
        for group in groups:
            members = _all(self._deployment, f"/api/v2/groups/{group['id']}/hosts/")
            names = {name for name in self._hosts() if name.startswith(group["name"])}
            if sorted(row["name"] for row in members) != sorted(names):
                proof.found.wrong.append(f"{len(members)} hosts in group {group['name']}")
        self._identities(proof, rows)

    @property
    def _update(self) -> str:
        return f"/api/v2/inventory_sources/{self._source}/update/"

    def _hosts(self) -> dict[str, tuple[str, int]]:
        """Return the round's hosts, each with a variable of its own."""
        kept = {f"kept-{number}": ("number", number) for number in range(KEPT_HOSTS)}
        name = f"new-{self._content.round}"
        return kept | {f"{name}-{number}": ("number", number) for number in range(NEW_HOSTS)}

    def _expected_hosts(self) -> dict[str, dict[str, int]]:
        return {name: {key: value} for name, (key, value) in self._hosts().items()}

    def _compare(
        self, proof: Proof, what: str, rows: list[dict[str, Any]], expected: dict[str, Any]
    ) -> None:
        names = Counter(row["name"] for row in rows)
        repeated = [name for name, count in names.items() if count > 1]
        if repeated:
            proof.found.duplicated.append(f"{what} of the source: {repeated} stand there again")
        found = {row["name"]: json.loads(row["variables"] or "{}") for row in rows}
        if lost := expected.keys() - found.keys():
            proof.found.lost.append(f"{what} of the source: {sorted(lost)} are not there")
        if others := {name for name in found if found[name] != expected.get(name)}:
            proof.found.wrong.append(f"{what} of the source: {sorted(others)} are none of the file")

    def _identities(self, proof: Proof, rows: list[dict[str, Any]]) -> None:
        stands = {row["name"]: (row["id"], row["modified"]) for row in rows}
        kept = {name: each for name, each in stands.items() if name.startswith("kept")}
        changed = {name for name in self._known if kept.get(name) != self._known[name]}
        if changed:
            proof.found.wrong.append(f"hosts that stay are others, or touched: {sorted(changed)}")
        new = {each[0] for name, each in stands.items() if not name.startswith("kept")}
        if again := new & self._ids:
            proof.found.wrong.append(f"new hosts have ids of old ones: {sorted(again)}")
        self._known = self._known or kept
        self._ids |= {each[0] for each in stands.values()}


class Remembering:
    """A long job whose hosts' facts are kept, and that says what it knew of the round before."""

    name = "facts"

    def __init__(self, deployment: Deployment, witness: Path) -> None:
        """Make the template."""
        self._deployment = deployment
        self._witness = witness
        self._template = deployment.template("facts", "facts.yml", use_fact_cache=True, **ASKED)
        path = f"/api/v2/inventories/{deployment.inventory}/hosts/"
        self._hosts = {row["name"]: row["id"] for row in deployment.get(path)["results"]}
        self._round = 0
        self._job = 0
        self._before: dict[str, str] = {}

    def begin(self) -> list[Running]:
        """Launch it."""
        self._round += 1
        self._before = self._marks()
        variables = {
            "witness": str(self._witness),
            "steps": FACTS_STEPS,
            "round": self._round,
        }
        self._job = self._deployment.launch(self._template, extra_vars=variables)
        return [Running(id=self._job, expected="successful")]

    def calls(self, every_s: float) -> list[Call]:
        """Nothing more."""
        return []

    def prove(self, proof: Proof, told: Told) -> None:
        """Its facts are there; it was given those of the round before."""
        status = self._deployment.job(self._job)["status"]
        known = _messages(proof.events("jobs", self._job), "known")
        if known != self._before and (status == "successful" or not proof.killed):
            proof.found.wrong.append(f"job {self._job} was given {known} for {self._before}")
        after = {name: f"{name} {self._round}" for name in self._hosts}
        if status == "successful":
            try:
                eventually(lambda: self._marks() == after, FACTS_WITHIN_S)
            except AssertionError:
                proof.found.lost.append(f"facts of job {self._job}: {self._marks()}")
            return
        torn = {
            name: mark
            for name, mark in self._marks().items()
            if mark not in (after[name], self._before[name])
        }
        if torn:
            proof.found.wrong.append(f"facts of job {self._job}, cut short: {torn}")

    def _marks(self) -> dict[str, str]:
        found = {}
        for name, number in self._hosts.items():
            facts = self._deployment.get(f"/api/v2/hosts/{number}/ansible_facts/")
            found[name] = facts.get("mark", "")
        return found


class Sliced:
    """A sliced template: a workflow job whose slices share the hosts."""

    name = "sliced"

    def __init__(self, deployment: Deployment, witness: Path) -> None:
        """Make an inventory and the template."""
        self._deployment = deployment
        self._variables: dict[str, Any] = {"witness": str(witness)}
        body = {"name": "to be sliced", "organization": 1}
        inventory = deployment.post("/api/v2/inventories/", body)["id"]
        self._hosts = [f"part-{number}" for number in range(SLICED_HOSTS)]
        local = "ansible_connection: local"
        hosts = [{"name": name, "variables": local} for name in self._hosts]
        deployment.post("/api/v2/bulk/host_create/", {"inventory": inventory, "hosts": hosts})
        fields = {**ASKED, "inventory": inventory, "job_slice_count": SLICES}
        self._template = deployment.template("sliced", "sliced.yml", **fields)

    def begin(self) -> list[Running]:
        """There is nothing to prepare."""
        return []

    def calls(self, every_s: float) -> list[Call]:
        """Launch it."""
        return [
            launch_of(self._template, self.name, every_s, kind="workflow_job", **self._variables)
        ]

    def prove(self, proof: Proof, told: Told) -> None:
        """Each run has each slice once and each host once, and ended as its slices did."""
        runs = told.of(self.name)
        for run in runs:
            self._run(proof, run)
        query = {"job_template": self._template, "id__gt": told.before, "page_size": 1}
        slices = self._deployment.get("/api/v2/jobs/", **query)["count"]
        if slices != SLICES * len(runs):
            proof.found.duplicated.append(f"{slices} slices of {len(runs)} sliced runs")

    def _run(self, proof: Proof, run: int) -> None:
        path = f"/api/v2/workflow_jobs/{run}/workflow_nodes/"
        nodes = self._deployment.get(path)["results"]
        slices = [proof.ended("jobs", node["job"]) for node in nodes]
        jobs = [job for job in slices if job is not None]
        numbers = [(job["job_slice_number"], job["job_slice_count"]) for job in jobs]
        if numbers != [(number, SLICES) for number in range(1, SLICES + 1)]:
            proof.found.wrong.append(f"workflow job {run} has slices {numbers}")
        hosts: list[str] = []
        for job in jobs:
            proof.watched(job["id"])
            recap = f"/api/v2/jobs/{job['id']}/job_host_summaries/"
            hosts += [row["host_name"] for row in _all(self._deployment, recap)]
        whole = all(job["status"] == "successful" for job in jobs)
        if len(set(hosts)) != len(hosts):
            proof.found.duplicated.append(f"workflow job {run} ran on {sorted(hosts)}")
        if whole and sorted(hosts) != self._hosts:
            proof.found.lost.append(f"workflow job {run} ran on {sorted(hosts)} alone")
        status = self._deployment.job(run, "workflow_jobs")["status"]
        if status != ("successful" if whole else "failed"):
            ends = [job["status"] for job in jobs]
            proof.found.wrong.append(f"workflow job {run} is {status}, its slices {ends}")


class AdHoc:
    """A command on an inventory, with a machine credential."""

    name = "ad hoc command"

    def __init__(self, deployment: Deployment) -> None:
        """Make the credential."""
        self._inventory = deployment.inventory
        body = {"name": "anybody", "organization": 1, "credential_type": 1, "inputs": {}}
        self._credential = deployment.post("/api/v2/credentials/", body)["id"]

    def begin(self) -> list[Running]:
        """There is nothing to prepare."""
        return []

    def calls(self, every_s: float) -> list[Call]:
        """Run it."""
        body = {"credential": self._credential, "module_name": "command", "module_args": "true"}
        return [
            Call(
                name=self.name,
                path=f"/api/v2/inventories/{self._inventory}/ad_hoc_commands/",
                kind="ad_hoc_command",
                query={"inventory": self._inventory},
                body=body,
                every_s=every_s,
            )
        ]

    def prove(self, proof: Proof, told: Told) -> None:
        """It ran once on each host."""
        for number in told.of(self.name):
            events = proof.events("ad_hoc_commands", number)
            names = [each["host_name"] for each in events if each["event"] == "runner_on_ok"]
            status = proof.deployment.job(number, "ad_hoc_commands")["status"]
            whole = sorted(names) == ["one", "two"]
            if len(set(names)) != len(names) or (status == "successful" and not whole):
                proof.found.wrong.append(f"ad hoc command {number} ran on {names}")


class Housekeeping:
    """A system job, which the control plane runs itself: no fault is an excuse."""

    name = "system job"

    def __init__(self, deployment: Deployment) -> None:
        """Find its template."""
        query = {"job_type": "cleanup_jobs"}
        (found,) = deployment.get("/api/v2/system_job_templates/", **query)["results"]
        self._template = found["id"]

    def begin(self) -> list[Running]:
        """There is nothing to prepare."""
        return []

    def calls(self, every_s: float) -> list[Call]:
        """Look for jobs older than any is."""
        return [
            Call(
                name=self.name,
                path=f"/api/v2/system_job_templates/{self._template}/launch/",
                kind="system_job",
                query={"system_job_template": self._template},
                body={"extra_vars": {"days": 9999}},
                every_s=every_s,
            )
        ]

    def prove(self, proof: Proof, told: Told) -> None:
        """It ended well, whatever struck, deleted nothing and said all of that once."""
        for number in told.of(self.name):
            job = proof.deployment.job(number, "system_jobs")
            lines = job["result_stdout"].splitlines()
            whole = [line.partition(":")[0] for line in lines] == list(CLEANED)
            unharmed = all(": 0 deleted, " in line for line in lines)
            if job["status"] != "successful" or not (whole and unharmed):
                proof.found.wrong.append(f"system job {number} is {job['status']}: {lines}")


def project() -> dict[str, str]:
    """Return the playbooks that lie in the deployment's own project."""
    return {"facts.yml": FACTS, "sliced.yml": SLICED}


class Kinds:
    """All of them."""

    def __init__(self, deployment: Deployment, witness: Path) -> None:
        """Make what they need."""
        self._content = Content(deployment)
        self._all: list[Kind] = [
            Imported(self._content),
            Remembering(deployment, witness),
            Sliced(deployment, witness),
            AdHoc(deployment),
            Housekeeping(deployment),
            Vaulted(self._content, witness),
        ]

    def begin(self) -> list[Running]:
        """Prepare a round; returns the long jobs launched for it."""
        self._content.round += 1
        found = [job for kind in self._all for job in kind.begin()]
        self._content.commit()
        return found

    def calls(self, every_s: float) -> list[Call]:
        """Return what is launched again and again."""
        return [call for kind in self._all for call in kind.calls(every_s)]

    def prove(self, proof: Proof, told: Told) -> None:
        """Examine what a round has left."""
        self._content.prove(proof, told)
        for kind in self._all:
            kind.prove(proof, told)


def _messages(events: list[dict[str, Any]], task: str) -> dict[str, str]:
    """Return what a debug task said, by host."""
    return {
        event["event_data"]["host"]: event["event_data"]["res"]["msg"]
        for event in events
        if event["event"] == "runner_on_ok" and event["event_data"]["task"] == task
    }


def _all(deployment: Deployment, path: str) -> list[dict[str, Any]]:
    """Return every row of a list, in the order of their ids."""
    found: list[dict[str, Any]] = []
    page: str | None = f"{path}?order_by=id&page_size=200"
    while page:
        answer = deployment.client.get(page).json()
        found += answer["results"]
        page = answer["next"]
    return found
