"""An agent that returns knows what to do with every attempt it finds."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from runners.adopt import LOST, Found, Step, conclude, next_step
from runners.journal import FINAL, JournalReader, JournalWriter
from runners.redact import mask_of


def test_every_state_has_a_next_step() -> None:
    """Start only what never was, follow what is supervised, conclude what is over."""
    for started, supervised, playing, final in product((False, True), repeat=4):
        found = Found(started=started, supervised=supervised, playing=playing, final=final)
        step = next_step(found)
        assert (step is Step.START) == (not started)
        if started and final:
            assert step is Step.CONCLUDE
        if started and not final and (supervised or playing):
            assert step in {Step.FOLLOW, Step.WAIT}


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


def test_a_final_frame_is_the_end(tmp_path: Path) -> None:
    """What the supervisor said stands."""
    writer = JournalWriter(tmp_path / "journal", mask_of([]))
    writer.event(stats(), "")
    writer.control(FINAL, status="canceled", explanation="", rc=254)
    ended = conclude(JournalReader(tmp_path / "journal").all(), "now")
    assert (ended.status, ended.rc, ended.after.counter) == ("canceled", 254, 1)
