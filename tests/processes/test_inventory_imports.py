"""What becomes of an inventory update whose result is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog

from controlplane.domain.errors import Invalid, Unavailable
from controlplane.domain.job import Claim, JobState, Place, ReportFinished
from controlplane.processes.inventory_imports import CANCELED, InventoryImports
from controlplane.shell.config_writer import Appended
from ops.blobs import Blobs
from schemas import subjects
from schemas.envelope import Context
from schemas.events.job import InventoryUpdateLaunch
from schemas.output import AttemptFinished, StoredReport
from schemas.subjects import Attempt
from tests.factories import NOW, launched
from tests.processes.floor import Floor


class Imports(InventoryImports):
    """Imports that have a result at once, or fail at once."""

    def __init__(self, outcome: str | Exception) -> None:
        super().__init__()
        self._outcome = outcome

    async def _done(self, *_given: Any) -> str:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (
            AttributeError("unforeseen"),
            ("error", "What the update read cannot be imported: AttributeError"),
        ),
        (
            Invalid({"name": ["Too long.", "Too odd."]}),
            ("failed", "What the update read was refused: name: Too long. Too odd."),
        ),
        (Unavailable("away"), None),
    ],
)
async def test_an_import_that_cannot_be_done_ends_its_job_with_the_reason(
    error: Exception, end: tuple[str, str] | None
) -> None:
    """Its runner is done with it, so nobody else would; only an outage is waited out."""
    loop = Imports(error)
    report = AttemptFinished(at=NOW, runner="r1", started=NOW, status="successful", content="c")
    nothing: Any = None
    record = InventoryUpdateLaunch(inventory=3, inventory_source=4, source="scm")
    if end is None:
        with pytest.raises(Unavailable):
            await loop._told(nothing, nothing, 1, record, report)
        return
    told = await loop._told(nothing, nothing, 1, record, report)
    assert (told.status, told.explanation, told.content) == (*end, "")


class Jobs:
    """Tools that can append nothing at first, for a reason nobody foresaw."""

    def __init__(self) -> None:
        self.told: list[ReportFinished] = []

    async def job(self, _process: str, _job: int, command: ReportFinished) -> None:
        """Take the end of a job."""
        self.told.append(command)
        if len(self.told) == 1:
            raise RecursionError("too deep")


async def test_an_end_that_cannot_be_stored_becomes_an_error() -> None:
    """Nobody else ends the update, so it is told to end by what went wrong, which is logged."""
    loop = Imports("digest")
    tools: Any = Jobs()
    record = InventoryUpdateLaunch(inventory=3, inventory_source=4, source="scm")
    report = AttemptFinished(at=NOW, runner="r1", started=NOW, status="successful", content="c")
    with structlog.testing.capture_logs() as logged:
        await loop._import(tools, tools, launched(1, record=record), (1, report))
    ends = [(each.report.status, each.report.content, each.imported) for each in tools.told]
    assert ends == [("successful", "digest", True), ("error", "", True)]
    told = tools.told[1].report.explanation
    assert told == "The end of the update cannot be stored: RecursionError"
    assert [each.get("exc_info") for each in logged] == [True, None]


async def test_an_update_whose_last_report_is_lost_ends_with_the_cause(floor: Floor) -> None:
    """The report was too long for its stream, and what it was put into is not there."""
    record = InventoryUpdateLaunch(inventory=3, inventory_source=4, source="scm")
    await floor.launch(1, record=record)
    await floor.job(1, Place(group="default", work_class=4))
    await floor.job(1, Claim(attempt=1, runner="r1"))
    subject = subjects.report(Attempt(1, 1, 1))
    stored = StoredReport(blob="0" * 64)
    await floor.connection.jetstream().publish(subject, msgspec.json.encode(stored))
    loop = InventoryImports()
    nothing: Any = None
    await loop._take_up(floor.tools, nothing, await floor.state(1))
    state = await floor.becomes(1, "error")
    assert state.explanation == "The runner's last report on this job cannot be read."


class Writer:
    """A writer of CONFIG that finds nothing there, and cancels the job with its first command."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self.writer = self
        self.taken = 0
        self._cancel = cancel

    async def submit(self, _prepare: Any, told: Context) -> Appended:
        """Take a command."""
        self.taken += 1
        self._cancel()
        return Appended(position=1, context=told, events=(), result=([], []))


async def test_a_cancel_ends_an_import_before_its_next_transaction(floor: Floor) -> None:
    """What was imported until then stays; the job ends as canceled and says when."""
    record = InventoryUpdateLaunch(inventory=3, inventory_source=4, source="scm")
    made = await floor.launch(1, record=record)
    listing = {"_meta": {"hostvars": {}}, "all": {"children": ["web"]}, "web": {"hosts": ["a"]}}
    digest = await Blobs(floor.connection).put(msgspec.json.encode(listing))
    report = AttemptFinished(at=NOW, runner="r1", started=NOW, status="successful", content=digest)
    state = JobState(launched=made, cancel_requested=True)
    active = floor.tools.keeper.board.active
    writer: Any = Writer(lambda: active.update({1: state}))
    told = await InventoryImports()._told(floor.tools, writer, 1, record, report)
    assert (told.status, told.explanation, told.content) == ("canceled", CANCELED, "")
    assert writer.taken == 1
