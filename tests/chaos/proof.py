"""What must hold once the dust has settled; each finding is a line of text."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from controlplane.domain.job import JOB
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.transact import fold_history
from ops import connect
from ops.cli.deployment import client_settings
from runners import process_tree
from runners.preparation import memory_dir
from schemas import registry, subjects
from schemas.envelope import Recorded
from tests.chaos.clients import Call, Told
from tests.chaos.load import CANCELED, Running
from tests.deployment.conftest import TERMINAL, Deployment
from tests.waiting import eventually

ENDED_WITHIN_S = 300.0
GONE_WITHIN_S = 30.0
CUT_SHORT = ("error", "failed")
"""How a job may end whose own processes were killed."""
TOLD = {"runner_on_ok", "runner_on_failed", "runner_item_on_ok"}
"""What the witness writes down."""
LAST_WORDS = {
    "jobs": "PLAY RECAP",
    "project_updates": "PLAY RECAP",
    "inventory_updates": "groups and variables of",
}
"""By list: what stands at the end of a whole output."""


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


class Proof:
    """Examines one round; what it finds is in ``found``."""

    def __init__(self, deployment: Deployment, witness: Path, *, killed: bool) -> None:
        """``killed``: the jobs' own processes were; ``witness``: where the callback wrote."""
        self.deployment = deployment
        self.killed = killed
        self.found = Findings()
        self._witness = witness
        self._statuses: dict[int, str] = {}
        self._read: dict[int, list[dict[str, Any]]] = {}

    def running(self, jobs: list[Running]) -> None:
        """Examine jobs that a callback of their own watched."""
        for job in jobs:
            self.ended("jobs", job.id, job.expected)
            self.watched(job.id)

    def promises(self, told: Told) -> None:
        """Examine what clients were told: it is there, once, and has ended well."""
        self.found.wrong.extend(told.wrong)
        for number in told.organizations:
            answer = self.deployment.client.get(f"/api/v2/organizations/{number}/")
            if answer.status_code != 200:
                self.found.lost.append(f"organization {number} was acknowledged and is not there")
        for call in told.calls:
            self._call(call, told)

    def ended(
        self, plural: str, number: int, expected: str = "successful"
    ) -> dict[str, Any] | None:
        """Return a job once it has ended, as expected and with its whole output."""
        name = f"{plural} {number}"
        path = f"/api/v2/{plural}/{number}/"

        def over() -> dict[str, Any] | None:
            row = self.deployment.get(path)
            whole = row["status"] in TERMINAL and row.get("event_processing_finished", True)
            return row if whole else None

        try:
            row = eventually(over, ENDED_WITHIN_S)
        except AssertionError:
            self.found.wedged.append(f"{name} has not ended: {self._story(number)}")
            return None
        assert row is not None
        status = self._statuses[number] = row["status"]
        if status not in ({expected, *CUT_SHORT} if self.killed else {expected}):
            told = f"{name} is {status} instead of {expected}: {row['job_explanation']}"
            self.found.wrong.append(f"{told} {self._story(number)}")
        last = LAST_WORDS.get(plural, "")
        if last and (status == "successful" or (not self.killed and expected != CANCELED)):
            text = self.deployment.client.get(f"{path}stdout/", params={"format": "txt"}).text
            if last not in text:
                self.found.lost.append(f"{name}: its output has no end")
        return row

    def events(self, plural: str, number: int) -> list[dict[str, Any]]:
        """Return a job's events; their counters must have no gap and no repetition."""
        if number in self._read:
            return self._read[number]
        events = self._read[number] = list(self._events(plural, number))
        counters = [event["counter"] for event in events]
        self.found.events += len(events)
        if len(set(counters)) != len(counters):
            self.found.duplicated.append(f"{plural} {number}: counters repeat")
        if set(counters) != set(range(1, len(set(counters)) + 1)):
            self.found.lost.append(f"{plural} {number}: counters have gaps")
        return events

    def watched(self, job: int) -> list[dict[str, Any]]:
        """Return the events of a job; they must be what the witness wrote down."""
        events = self.events("jobs", job)
        captured = [_line(event) for event in events if event["event"] in TOLD]
        path = self._witness / str(job)
        written = path.read_text().splitlines() if path.exists() else []
        same = captured == written
        if self.killed:  # the kill may have cut the end of the one or the other, by one event
            length = min(len(captured), len(written))
            same = captured[:length] == written[:length] and abs(len(captured) - len(written)) <= 1
        if not same:
            bag = self.found.duplicated if len(captured) > len(written) else self.found.lost
            bag.append(f"job {job}: {len(captured)} events of {len(written)} that Ansible wrote")
        return events

    def replay(self) -> None:
        """The events of every job that ended, folded, say what its table says, with one end."""
        histories = asyncio.run(_histories(self.deployment.data, list(self._statuses)))
        for number, history in histories.items():
            state = fold_history(JOB, history).status
            tags = [registry.tag_of(event) for record in history for event in record.events]
            ends = sum(tag.startswith("job.finished") for tag in tags)
            if state != self._statuses[number]:
                told = f"replay says {state}, the table {self._statuses[number]}"
                self.found.wrong.append(f"job {number}: {told}")
            if ends != 1:
                self.found.wrong.append(f"job {number} finished {ends} times")
        rebuilt = self.deployment.playlog("projections", "rebuild", "--verify", check=False)
        if "all identical" not in rebuilt:
            self.found.wrong.append(f"a rebuild differs from the tables: {rebuilt[-2000:]}")

    def leftovers(self) -> None:
        """No process, directory or file of a job may be there any more."""
        try:
            eventually(lambda: not self.deployment.processes(), GONE_WITHIN_S)
        except AssertionError:
            self.found.left.append(f"processes {self.deployment.processes()} run on")
        jobs = self.deployment.data / "runner-1" / "jobs"
        try:
            eventually(lambda: not any(jobs.iterdir()), GONE_WITHIN_S)
        except AssertionError:
            self.found.left.append(f"{[path.name for path in jobs.iterdir()]} lie in {jobs}")
        secrets = memory_dir(jobs / "any").parent.glob(f"{process_tree.place_of(jobs / 'any')}-*")
        if left := [path.name for path in secrets]:
            self.found.left.append(f"{left} lie in memory")
        temporary = self.deployment.directory / "tmp"
        if temporary.exists() and any(temporary.iterdir()):
            left = [path.name for path in temporary.iterdir()]
            self.found.left.append(f"{left} lie in {temporary}")

    def secrets(self, words: list[str]) -> None:
        """No file of the deployment may hold what its jobs were told in confidence."""
        patterns = self.deployment.directory / "words"
        patterns.write_text("\n".join(words))
        command = ["grep", "--recursive", "--text", "--fixed-strings", "--files-with-matches"]
        command += ["--file", str(patterns), str(self.deployment.data)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.stdout:
            self.found.wrong.append(f"secrets stand in {done.stdout.splitlines()}")

    def _call(self, call: Call, told: Told) -> None:
        """Each key launched one job, which ended well; nothing else was launched."""
        numbers = told.of(call.name)
        if len(set(numbers)) != len(numbers):
            self.found.wrong.append(f"{call.name}: two keys were answered with one job")
        for number in numbers:
            if self.ended(call.plural, number) is None or call.plural not in EVENTS:
                continue
            if call.watched:
                self.watched(number)
            else:
                self.events(call.plural, number)
        query = {**call.query, "launch_type": "manual", "id__gt": told.before, "page_size": 1}
        launched = self.deployment.get(f"/api/v2/{call.plural}/", **query)["count"]
        if launched != len(numbers):
            bag = self.found.duplicated if launched > len(numbers) else self.found.lost
            bag.append(f"{call.name}: {len(numbers)} keys launched {launched} jobs")

    def _events(self, plural: str, number: int) -> Iterator[dict[str, Any]]:
        query = "order_by=counter&page_size=200"
        page: str | None = f"/api/v2/{plural}/{number}/{EVENTS[plural]}/?{query}"
        while page:
            answer = self.deployment.client.get(page).json()
            yield from answer["results"]
            page = answer["next"]

    def _story(self, number: int) -> str:
        return self.deployment.playlog("replay", "--job", str(number), check=False)[-3000:]


EVENTS = {
    "jobs": "job_events",
    "project_updates": "events",
    "inventory_updates": "events",
    "ad_hoc_commands": "events",
    "system_jobs": "events",
}
"""By list: where a job of it has its events; a sliced run has none."""


def _line(event: dict[str, Any]) -> str:
    data = event["event_data"]
    item = (data.get("res") or {}).get("item", "")
    return f"{event['event']}\t{data.get('task')}\t{data.get('host')}\t{item}"


async def _histories(data: Path, jobs: list[int]) -> dict[int, list[Recorded]]:
    """Return the stored events of jobs, as ``playlog replay --job`` reads them."""
    told = client_settings(data)
    connection = await connect.connect_nats(
        told.nats_url, told.nats_creds_file, "proof", patient=False
    )
    try:
        store = JetStreamStore(connection)
        return {job: await store.load(subjects.job(job)) for job in jobs}
    finally:
        await connect.close_quietly(connection)
