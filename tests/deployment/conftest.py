"""One deployment for the module: ``playlog up`` as a subprocess on a data directory of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import free_port
from tests.waiting import eventually

PASSWORD = "demo-password"
PLAYLOG = (sys.executable, "-m", "ops.cli.main")
ROOT = Path(__file__).parent.parent.parent
TERMINAL = {"successful", "failed", "error", "canceled"}
PLAYBOOKS = {
    "site.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - name: greet
      debug: {msg: "hello {{ inventory_hostname }} {{ extra | default('') }}"}
    - name: keep
      set_stats: {data: {answer: 42}, per_host: false, aggregate: false}
""",
    "sleep.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - command: sleep 300
""",
    "broken.yml": "- hosts: all\n  tasks: [unclosed\n",
    "fails.yml": "- hosts: all\n  gather_facts: false\n  tasks:\n    - fail: {msg: no}\n",
    "breaks.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - name: prepare
      command: "true"
      notify: restart
      when: with_handler | default(false)
    - name: check
      fail: {msg: broken}
      when: broken | default(false)
    - name: finish
      debug: {msg: finished}
  handlers:
    - name: restart
      debug: {msg: restarted}
""",
    "prompts.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - name: tell
      debug:
        msg:
          check: "{{ ansible_check_mode }}"
          diff: "{{ ansible_diff_mode }}"
          forks: "{{ ansible_forks }}"
          limit: "{{ ansible_limit }}"
          verbosity: "{{ ansible_verbosity }}"
          tags: "{{ ansible_run_tags | sort | join(',') }}"
          skipped: "{{ ansible_skip_tags | join(',') }}"
          given: "{{ given }}"
          user: "{{ awx_user_name }} {{ tower_job_launch_type }}"
          job: "{{ lookup('env', 'JOB_ID') }}"
      tags: wanted
    - name: left out
      debug: {msg: no}
      tags: [wanted, unwanted]
    - name: not asked for
      debug: {msg: no}
""",
    "ping.yml": "- hosts: all\n  gather_facts: false\n  tasks:\n    - ping:\n",
    "steps.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - command: "true"
      loop: "{{ range(25) | list }}"
""",
}


class Deployment:
    """A running ``playlog up`` and a client of its API."""

    def __init__(self, directory: Path) -> None:
        """Keep everything below ``directory``."""
        self.directory = directory
        self.data = directory / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, auth=("admin", PASSWORD), timeout=30)
        self.environment: dict[str, str] = {}
        """Of every ``start``."""
        self.demo = ["--no-demo"]
        """Empty for a deployment with the demo objects."""
        self._process: subprocess.Popen[str] | None = None

    def start(self, *flags: str, **environment: str) -> None:
        """Start it and wait for its ready line."""
        self._process = subprocess.Popen(
            [
                *PLAYLOG,
                "up",
                *self.demo,
                "--data",
                str(self.data),
                "--port",
                str(self.port),
                *flags,
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={
                **os.environ,
                "PLAYLOG_ADMIN_PASSWORD": PASSWORD,
                # Trying containers costs each start half a second; tests/runners tries them once.
                "PLAYLOG_ISOLATION": "sandbox,limits",
                **self.environment,
                **environment,
            },
        )
        assert self._process.stdout is not None
        lines = iter(self._process.stdout.readline, "")
        assert any(line.startswith(f"ready {self.url}") for line in lines), self.logs()

    @property
    def pid(self) -> int:
        """Its process, all others below it."""
        assert self._process is not None
        return self._process.pid

    def reap(self) -> None:
        """Wait for it to be gone, however it was ended."""
        assert self._process is not None
        self._process.wait(60)

    def stop(self) -> int:
        """End it by SIGTERM; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)

    def kill_role(self, role: str) -> None:
        """Kill one role with SIGKILL and wait until it runs again."""
        before = self.living(role)
        os.kill(before, signal.SIGKILL)
        self.living(role, other_than=before)

    def living(self, role: str, other_than: int | None = None) -> int:
        """Return a role's process once it has one: it may just be started again."""

        def found() -> int | None:
            pid: int | None = self.roles()[role]["pid"]
            lives = pid != other_than and Path(f"/proc/{pid}").exists()
            return pid if lives else None

        pid = eventually(found, 60)
        assert pid is not None
        return pid

    def roles(self) -> dict[str, Any]:
        """Return what ``playlog status`` knows of the roles."""
        state = json.loads((self.data / "run" / "state.json").read_text())
        return {role["role"]: role for role in state["roles"]}

    def processes(self, job: int | None = None) -> list[int]:
        """Return the living processes of a job or of all, wherever they hang.

        The job's directory stands in their environment or arguments.
        """
        name = "" if job is None else f"{job}-"
        mark = f"{self.data}/runner-1/jobs/{name}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and mark in (
                    (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                ):
                    found.append(int(entry.name))
        return found

    def run(self, *arguments: str, within_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command on this deployment, whatever it ends with."""
        return subprocess.run(
            [*PLAYLOG, *arguments, "--data", str(self.data)],
            capture_output=True,
            text=True,
            timeout=within_s,
            cwd=ROOT,
            check=False,
        )

    def playlog(self, *arguments: str, check: bool = True) -> str:
        """Run a command on this deployment; returns its output."""
        done = self.run(*arguments, within_s=60)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def logs(self) -> str:
        """Return the ends of all role logs."""
        return "\n".join(
            f"== {path.name}\n{path.read_text()[-2000:]}"
            for path in sorted((self.data / "log").glob("*.log"))
        )

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """GET a JSON object that is there."""
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def post(self, path: str, body: dict[str, Any] | None = None, status: int = 201) -> Any:
        """POST and expect a status; returns the answer's JSON, or None without a body."""
        answer = self.client.post(path, json=body or {})
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def template(self, name: str, playbook: str, **fields: Any) -> int:
        """Make a job template on the project and inventory of the deployment."""
        body = {"name": name, "project": self.project, "inventory": self.inventory}
        made: int = self.post("/api/v2/job_templates/", {**body, "playbook": playbook, **fields})[
            "id"
        ]
        return made

    def launch(self, template: int, **body: Any) -> int:
        """Launch a template; returns the job's id."""
        job: int = self.post(f"/api/v2/job_templates/{template}/launch/", body)["job"]
        return job

    def job(self, number: int, plural: str = "jobs") -> dict[str, Any]:
        """Return a unified job."""
        return self.get(f"/api/v2/{plural}/{number}/")

    def ended(self, number: int, plural: str = "jobs", within_s: float = 90) -> dict[str, Any]:
        """Return a unified job once it has ended and all its events are readable."""

        def done() -> dict[str, Any] | None:
            found = self.job(number, plural)
            complete = found["status"] in TERMINAL and found["event_processing_finished"]
            return found if complete else None

        found = eventually(done, within_s)
        assert found is not None
        return found

    @property
    def repository(self) -> Path:
        """The project's git repository, to be filled before ``prepare``."""
        return self.directory / "repository"

    def write(self, files: Mapping[str, str]) -> None:
        """Write files into the repository, by their paths in it."""
        for name, text in files.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _commit(self, message: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
        for command in (["add", "."], [*identity, "commit", "-q", "-m", message]):
            subprocess.run(["git", *command], cwd=self.repository, check=True)

    def commit(self, message: str) -> None:
        """Commit what lies in the repository, and update the project to it."""
        self._commit(message)
        update = self.post(f"/api/v2/projects/{self.project}/update/", status=202)
        assert self.ended(update["id"], "project_updates")["status"] == "successful"

    def prepare(self) -> None:
        """Make the project from a real git repository, and an inventory of two local hosts."""
        self.write(PLAYBOOKS)
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=self.repository, check=True)
        self._commit("first")
        self.inventory: int = self.post(
            "/api/v2/inventories/", {"name": "fleet", "organization": 1}
        )["id"]
        for name in ("one", "two"):
            body = {"name": name, "variables": "ansible_connection: local"}
            self.post(f"/api/v2/inventories/{self.inventory}/hosts/", body)
        self.project: int = self.post(
            "/api/v2/projects/",
            {
                "name": "playbooks",
                "organization": 1,
                "scm_type": "git",
                "scm_url": f"file://{self.repository}",
            },
        )["id"]
        eventually(
            lambda: self.get(f"/api/v2/projects/{self.project}/")["status"] == "successful", 60
        )


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """A deployment with a project and an inventory."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    made = Deployment(directory)
    made.start()
    try:
        made.prepare()
        yield made
        assert made.stop() == 0
    finally:
        made.client.close()
        shutil.rmtree(directory, ignore_errors=True)
