"""A job may write its own journal: an end that it says there moves no content and no limit."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, cast

import pytest

from ops import clock
from runners import cancel
from runners.finish import FORGED, proved
from runners.held import HeldAttempt
from runners.record import Record
from runners.spec import CONTENT_FILE, FACTS_OUT_FILE, IMPORT_FILE
from schemas.output import AttemptFinished
from schemas.work import InventorySync, Payload, PlaybookRun, ProjectSync, WorkOrder

CONTENT = b"what the attempt has left"
OWN, OTHER = hashlib.sha256(CONTENT).hexdigest(), "a" * 64
RUN = PlaybookRun(
    playbook="site.yml", project_content=OTHER, inventory_content=OTHER, scm_revision="1"
)
UPDATE = ProjectSync(project=1, scm_type="git", scm_url="https://h/a")
SYNC = InventorySync(inventory=1, inventory_source=1, source="scm")


def attempt(directory: Path, payload: Payload) -> HeldAttempt:
    """Return an attempt that has left a file of each kind."""
    for name in (CONTENT_FILE, FACTS_OUT_FILE, IMPORT_FILE):
        (directory / name).write_bytes(CONTENT)
    now = clock.now()
    order = WorkOrder(
        job=1,
        attempt=1,
        organization=1,
        name="x",
        created=now,
        group="default",
        impact=1,
        payload=payload,
    )
    return HeldAttempt(Record(order=order, received=now, granted=now), directory)


@pytest.mark.parametrize(
    ("payload", "said", "left"),
    [
        (RUN, {"content": OTHER, "galaxy": OTHER}, {}),
        (RUN, {"content": "/../../../etc/x", "facts": OWN}, {"facts": OWN}),
        (UPDATE, {"content": OWN, "facts": OTHER}, {"content": OWN}),
        (SYNC, {"content": OWN}, {"content": OWN}),
        (UPDATE, {"content": OTHER}, None),
        (UPDATE, {"content": OWN, "galaxy": OTHER}, None),
        (SYNC, {"content": OTHER}, None),
    ],
)
def test_an_attempt_names_what_it_left_alone(
    tmp_path: Path, payload: Payload, said: dict[str, Any], left: dict[str, str] | None
) -> None:
    """Content of others, or a path in its place, is neither stored, kept nor reported."""
    held = attempt(tmp_path, payload)
    now = clock.now()
    told = AttemptFinished(at=now, runner="r", started=now, status="successful", **said)
    found = proved(held, told)
    wanted = {"content": "", "galaxy": "", "facts": "", **(left or {})}
    assert {name: getattr(found, name) for name in wanted} == wanted
    status = ("successful", "") if left is not None else ("error", FORGED)
    assert (found.status, found.explanation) == status


class Processes:
    """A supervisor that goes on for ever, and who may end it."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def wait(self) -> None:
        """Wait for what never comes."""
        await asyncio.Event().wait()

    def cancel(self) -> None:
        """Pay no heed."""

    def kill(self) -> None:
        """End it."""
        self.ended.append("supervisor")

    def sweep(self, _directory: Path) -> None:
        """End the others."""
        self.ended.append("processes")


async def test_a_job_that_says_that_it_has_ended_is_ended(tmp_path: Path) -> None:
    """It does not go on unseen, beyond cancels and limits."""
    held, processes = attempt(tmp_path, RUN), Processes()
    held.handle = processes
    await cancel.see_ended(cast("Any", processes), held, within_s=0)
    assert processes.ended == ["supervisor", "processes"]
