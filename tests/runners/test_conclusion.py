"""How an attempt ended follows from its journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runners.conclusion import LOST, conclude
from runners.journal import FINAL, JournalReader, JournalWriter
from runners.redact import mask_of


def stats(**fields: Any) -> dict[str, Any]:
    """Return a recap."""
    data = {"ok": {"a": 1}, "failures": {}, "dark": {}} | fields
    return {"event": "playbook_on_stats", "uuid": "u", "pid": 5, "event_data": data}


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "error"),
        ([{"event": "playbook_on_start", "uuid": "u", "event_data": {}}], "error"),
        ([stats()], "successful"),
        ([stats(failures={"a": 1})], "failed"),
        ([stats(dark={"a": 1})], "failed"),
    ],
)
def test_without_a_final_frame_the_recap_decides(
    tmp_path: Path, events: list[dict[str, Any]], status: str
) -> None:
    """A playbook that reached its recap has its result, one that did not is an error."""
    writer = JournalWriter(tmp_path / "journal", mask_of([]))
    for each in events:
        writer.event(each, "")
    ended = conclude(JournalReader(tmp_path / "journal").all(), "now")
    assert (ended.status, ended.created) == (status, "now")
    assert LOST in ended.explanation
    assert ended.after.counter == len(events)


def test_the_recap_of_an_update_decides_nothing(tmp_path: Path) -> None:
    """Its revision and content stand in the final frame: without, it has brought nothing."""
    JournalWriter(tmp_path / "journal", mask_of([])).event(stats(), "")
    entries = [*JournalReader(tmp_path / "journal").all()]
    for kind, status in (("project_update", "error"), ("ad_hoc_command", "successful")):
        ended = conclude(entries, "now", kind)
        assert (ended.status, LOST in ended.explanation) == (status, True)


def test_a_final_frame_is_the_end(tmp_path: Path) -> None:
    """What the supervisor said stands."""
    writer = JournalWriter(tmp_path / "journal", mask_of([]))
    writer.event(stats(), "")
    writer.control(FINAL, status="canceled", explanation="", rc=254)
    ended = conclude(JournalReader(tmp_path / "journal").all(), "now")
    assert (ended.status, ended.rc, ended.after.counter) == ("canceled", 254, 1)
