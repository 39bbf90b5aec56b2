"""What must hold once the dust has settled; each finding is a line of text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from runners import process_tree
from runners.preparation import memory_dir
from tests.chaos.load import CANCELED, Acknowledged, Running
from tests.deployment.conftest import TERMINAL, Deployment
from tests.waiting import eventually

ENDED_WITHIN_S = 300.0
GONE_WITHIN_S = 30.0
CUT_SHORT = ("error", "failed")
"""How a job may end whose own processes were killed."""
TOLD = {"runner_on_ok", "runner_on_failed", "runner_item_on_ok"}
"""What the witness writes down."""


class Findings(Struct, kw_only=True):
    """Everything that is wrong, by kind; a proof has found nothing when all are empty."""

    lost: list[str] = []
    duplicated: list[str] = []
    wedged: list[str] = []
    wrong: list[str] = []
    left: list[str] = []
    events: int = 0

    def all(self) -> list[str]:
        """Every finding."""
        return [*self.lost, *self.duplicated, *self.wedged, *self.wrong, *self.left]


def prove(
    deployment: Deployment,
    jobs: list[Running],
    told: Acknowledged,
    witness: Path,
    *,
    killed: bool,
) -> Findings:
    """Examine jobs, promises and leftovers. ``killed``: the jobs' own processes were."""
    found = Findings(wrong=list(told.wrong))
    for job in jobs:
        if _ended(deployment, job.id, found):
            _job(deployment, job, witness, found, killed=killed)
    for number in told.launches.values():
        if _ended(deployment, number, found) and not killed:
            _sequence(deployment, number, found)
    for number in told.updates:
        _updated(deployment, number, found, killed=killed)
    _promises(deployment, told, found)
    _leftovers(deployment, found)
    if "all identical" not in deployment.playlog("projections", "rebuild", "--verify", check=False):
        found.wrong.append("a rebuild differs from the tables")
    return found


def _ended(deployment: Deployment, job: int, found: Findings) -> dict[str, Any] | None:
    try:
        return deployment.ended(job, within_s=ENDED_WITHIN_S)
    except AssertionError:
        state = deployment.playlog("replay", "--job", str(job), check=False)
        found.wedged.append(f"job {job} has not ended: {state[-2000:]}")
        return None


def _updated(deployment: Deployment, number: int, found: Findings, *, killed: bool) -> None:
    try:
        row = deployment.ended(number, "project_updates", within_s=ENDED_WITHIN_S)
    except AssertionError:
        found.wedged.append(f"project update {number} has not ended")
        return
    if row["status"] != "successful" and not (killed and row["status"] in CUT_SHORT):
        told = f"{row['status']}: {row['job_explanation']}"
        found.wrong.append(f"project update {number} is {told}")


def _events(deployment: Deployment, job: int) -> Iterator[dict[str, Any]]:
    page: str | None = f"/api/v2/jobs/{job}/job_events/?order_by=counter&page_size=200"
    while page:
        answer = deployment.client.get(page).json()
        yield from answer["results"]
        page = answer["next"]


def _sequence(deployment: Deployment, job: int, found: Findings) -> list[dict[str, Any]]:
    """Return a job's events; their counters must have no gap and no repetition."""
    events = list(_events(deployment, job))
    counters = [event["counter"] for event in events]
    found.events += len(events)
    if len(set(counters)) != len(counters):
        found.duplicated.append(f"job {job}: counters repeat")
    if set(counters) != set(range(1, len(set(counters)) + 1)):
        found.lost.append(f"job {job}: counters have gaps")
    return events


def _job(
    deployment: Deployment, job: Running, witness: Path, found: Findings, *, killed: bool
) -> None:
    events = _sequence(deployment, job.id, found)
    captured = [_line(event) for event in events if event["event"] in TOLD]
    path = witness / str(job.id)
    written = path.read_text().splitlines() if path.exists() else []
    same = captured == written
    if killed:  # the end of the one or the other may have been cut by the kill, by one event
        length = min(len(captured), len(written))
        same = captured[:length] == written[:length] and abs(len(captured) - len(written)) <= 1
    if not same:
        bag = found.duplicated if len(captured) > len(written) else found.lost
        bag.append(f"job {job.id}: {len(captured)} events of {len(written)} that Ansible wrote")
    row = deployment.job(job.id)
    if row["status"] not in ({job.expected, *CUT_SHORT} if killed else {job.expected}):
        story = deployment.playlog("replay", "--job", str(job.id), check=False)
        found.wrong.append(
            f"job {job.id} is {row['status']} instead of {job.expected}:"
            f" {row['job_explanation']} {story[-3000:]}"
        )
    _replayed(deployment, job.id, row, found)
    if row["status"] == "successful" or (not killed and job.expected != CANCELED):
        text = deployment.client.get(f"/api/v2/jobs/{job.id}/stdout/", params={"format": "txt"})
        if "PLAY RECAP" not in text.text:
            found.lost.append(f"job {job.id}: its output has no end")


def _line(event: dict[str, Any]) -> str:
    data = event["event_data"]
    item = (data.get("res") or {}).get("item", "")
    return f"{event['event']}\t{data.get('task')}\t{data.get('host')}\t{item}"


def _replayed(deployment: Deployment, job: int, row: dict[str, Any], found: Findings) -> None:
    """The events themselves, folded, say what the table says."""
    lines = deployment.playlog("replay", "--job", str(job), "--json").splitlines()
    state = json.loads(lines[-1])["state"]
    ends = [line for line in lines[:-1] if json.loads(line)["tag"].startswith("job.finished")]
    if state["status"] != row["status"] or state["status"] not in TERMINAL:
        found.wrong.append(f"job {job}: replay says {state['status']}, the table {row['status']}")
    if len(ends) != 1:
        found.wrong.append(f"job {job} finished {len(ends)} times")


def _promises(deployment: Deployment, told: Acknowledged, found: Findings) -> None:
    for number in told.organizations:
        if deployment.client.get(f"/api/v2/organizations/{number}/").status_code != 200:
            found.lost.append(f"organization {number} was acknowledged and is not there")
    if len(set(told.launches.values())) != len(told.launches):
        found.wrong.append("two keys were answered with one job")
    query = {"job_template": told.template, "id__gt": told.before, "page_size": 1}
    launched = deployment.get("/api/v2/jobs/", **query)["count"]
    if launched != len(told.launches):
        found.duplicated.append(f"{len(told.launches)} keys launched {launched} jobs")


def _leftovers(deployment: Deployment, found: Findings) -> None:
    try:
        eventually(lambda: not deployment.processes(), GONE_WITHIN_S)
    except AssertionError:
        found.left.append(f"processes {deployment.processes()} run on")
    jobs = deployment.data / "runner-1" / "jobs"
    try:
        eventually(lambda: not any(jobs.iterdir()), GONE_WITHIN_S)
    except AssertionError:
        found.left.append(f"{[path.name for path in jobs.iterdir()]} lie in {jobs}")
    secrets = memory_dir(jobs / "any").parent.glob(f"{process_tree.place_of(jobs / 'any')}-*")
    if left := [path.name for path in secrets]:
        found.left.append(f"{left} lie in memory")
    temporary = deployment.directory / "tmp"
    if temporary.exists() and any(temporary.iterdir()):
        found.left.append(f"{[path.name for path in temporary.iterdir()]} lie in {temporary}")
