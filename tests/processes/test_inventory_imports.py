"""What becomes of an inventory update whose result is imported."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.domain.errors import Invalid, Unavailable
from controlplane.processes.inventory_imports import InventoryImports
from schemas.events.job import InventoryUpdateLaunch
from schemas.output import AttemptFinished
from tests.factories import NOW


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
    monkeypatch: pytest.MonkeyPatch, error: Exception, end: tuple[str, str] | None
) -> None:
    """Its runner is done with it, so nobody else would; only an outage is waited out."""

    async def broken(*_given: Any) -> str:
        raise error

    loop = InventoryImports()
    monkeypatch.setattr(loop, "_done", broken)
    report = AttemptFinished(at=NOW, runner="r1", started=NOW, status="successful", content="c")
    nothing: Any = None
    record = InventoryUpdateLaunch(inventory=3, inventory_source=4, source="scm")
    if end is None:
        with pytest.raises(Unavailable):
            await loop._told(nothing, nothing, 1, record, report)
        return
    told = await loop._told(nothing, nothing, 1, record, report)
    assert (told.status, told.explanation, told.content) == (*end, "")
