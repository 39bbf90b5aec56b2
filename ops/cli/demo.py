"""``./ops/demo``: one real job from a git repository to a replayed record.

On a Playlog of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ops.cli import demo_repository, deployment
from ops.cli.api_client import ApiClient, Refused
from ops.cli.deployment import Deployment

HOSTS = {
    "web1": "web",
    "web2": "web",
    "db1": "database",
    "cache1": "cache",
    "queue1": "queue",
}
INTERRUPTED = 130
PLAYLOG = (sys.executable, "-m", "ops.cli.main")


def main() -> int:
    """Run the demo; returns 0 when the job succeeded and the replay is identical."""
    parser = argparse.ArgumentParser(prog="ops/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave Playlog running")
    parser.add_argument("--port", type=int, default=0, help="HTTP port; free when absent")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = Path(tempfile.mkdtemp(prefix="playlog-demo-"))
    process = _start(home / "data", arguments.port)
    try:
        code = _run(home, process)
        if arguments.keep and code == 0:
            print(f"Playlog keeps running: stop it with `kill {process.pid}`.")
            print(f"Its data: {home / 'data'}")
            return code
    except KeyboardInterrupt:
        _stop(process)
        shutil.rmtree(home, ignore_errors=True)
        print("\ndemo: interrupted; everything is stopped and removed", file=sys.stderr)
        return INTERRUPTED
    except BaseException:
        _stop(process)
        print(f"what happened stands in {home / 'data' / 'log'}", file=sys.stderr)
        raise
    _stop(process)
    shutil.rmtree(home, ignore_errors=True)
    return code


def _start(data: Path, port: int) -> subprocess.Popen[str]:
    _headline("Starting Playlog with embedded NATS and Postgres")
    return subprocess.Popen(
        [*PLAYLOG, "up", "--no-demo", "--data", str(data), "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait()


def _run(home: Path, process: subprocess.Popen[str]) -> int:
    url = _ready(process)
    place = Deployment(home / "data")
    password = deployment.read_secret(place.admin_password_file)
    print(f"{url}  log in as admin, password {password}")
    client = ApiClient(url, "admin", password)
    job = _launch(client, demo_repository.make(home / "project.git"))
    _headline(f"Job {job}, live over NATS")
    subprocess.run([*PLAYLOG, "tail", str(job), "--data", str(place.data)], check=True)
    detail = client.wait_for_job(f"/api/v2/jobs/{job}/")
    _headline(f"Job {job} is {detail['status']}: its record")
    subprocess.run([*PLAYLOG, "replay", "--job", str(job), "--data", str(place.data)], check=True)
    _print_time(client.get(f"/api/playlog/jobs/{job}/timeline/"))
    _headline("Replay: every table rebuilt beside, from sequence 1")
    verified = subprocess.run(
        [*PLAYLOG, "projections", "rebuild", "--verify", "--data", str(place.data)], check=False
    )
    print(f"\n{url}  user admin, password {password}", flush=True)
    return verified.returncode or (0 if detail["status"] == "successful" else 1)


def _ready(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if line.startswith("ready "):
            return line.split()[1]
    message = "Playlog did not start"
    raise SystemExit(message)


def _launch(client: ApiClient, scm_url: str) -> int:
    """Create project, inventory and template through the API and launch; returns the job's id."""
    _headline("A project from git, an inventory, a job template")
    organization = client.find("organizations", name="Default")["id"]
    inventory = client.post(
        "/api/v2/inventories/", {"name": "Demo fleet", "organization": organization}
    )["id"]
    groups = {
        group: client.post("/api/v2/groups/", {"name": group, "inventory": inventory})["id"]
        for group in sorted({*HOSTS.values()})
    }
    for host, group in HOSTS.items():
        variables = json.dumps({"ansible_connection": "local", "role": group})
        client.post(
            f"/api/v2/groups/{groups[group]}/hosts/", {"name": host, "variables": variables}
        )
    project = client.post(
        "/api/v2/projects/",
        {
            "name": "Demo project",
            "organization": organization,
            "scm_type": "git",
            "scm_url": scm_url,
        },
    )["id"]
    update = client.wait_for_update(project)
    print(f"project synced at revision {update['scm_revision'][:12]}")
    template = client.post(
        "/api/v2/job_templates/",
        {
            "name": "Check the fleet",
            "project": project,
            "inventory": inventory,
            "playbook": "site.yml",
            "ask_variables_on_launch": True,
        },
    )["id"]
    job: int = client.post(
        f"/api/v2/job_templates/{template}/launch/", {"extra_vars": {"release": "2.1"}}
    )["job"]
    return job


def _print_time(timeline: dict[str, Any]) -> None:
    _headline("Where the time went")
    for phase in timeline["phases"]:
        print(f"  {phase['name']:<28} {phase['seconds'] * 1000:9.1f} ms")


def _headline(text: str) -> None:
    print(f"\n\033[1m== {text}\033[0m", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        sys.exit(f"demo: {refused}")
