"""What becomes of an inventory update whose result is imported."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.processes.inventory_imports import InventoryImports
from schemas.events.job import InventoryUpdateLaunch
from schemas.output import AttemptFinished
from tests.factories import NOW


async def test_an_import_that_fails_unforeseen_ends_its_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its runner is done with it, so nobody else would."""

    async def broken(*_given: Any) -> str:
        raise AttributeError("unforeseen")

    loop = InventoryImports()
    monkeypatch.setattr(loop, "_done", broken)
    report = AttemptFinished(at=NOW, runner="r1", started=NOW, status="successful", content="c")
    nothing: Any = None
    record = InventoryUpdateLaunch(inventory=3, inventory_source=4, source="scm")
    told = await loop._told(nothing, nothing, 1, record, report)
    assert (told.status, told.content) == ("error", "")
    assert told.explanation == "What the update read cannot be imported: AttributeError"
