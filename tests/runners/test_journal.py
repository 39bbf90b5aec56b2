"""Counters, lines and columns follow from the order of frames."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runners.frames import HEADER
from runners.journal import (
    FINAL,
    STATUS,
    Final,
    JournalEvent,
    JournalReader,
    JournalWriter,
    Position,
    Status,
    uncensored_cut,
)
from runners.redact import mask_of


@pytest.fixture
def writer(tmp_path: Path) -> JournalWriter:
    """A journal that masks 's3cret'."""
    return JournalWriter(tmp_path / "journal", mask_of(["s3cret"]))


@pytest.fixture
def reader(tmp_path: Path) -> JournalReader:
    """A reader of the same journal."""
    return JournalReader(tmp_path / "journal")


def event(name: str = "runner_on_ok", **data: Any) -> dict[str, Any]:
    """Return an event."""
    return {"event": name, "uuid": name, "created": "2026-01-01", "pid": 7, "event_data": data}


def test_a_missing_journal_is_empty(reader: JournalReader) -> None:
    """A supervisor that has not begun yet is no error."""
    assert (reader.size(), reader.read(0), list(reader.all())) == (0, [], [])


def test_counters_and_lines_resume_anywhere(writer: JournalWriter, reader: JournalReader) -> None:
    """Reading on gives what reading from the start gives; control frames do not count."""
    writer.control(STATUS, status="starting")
    writer.event(event(), "one\n")
    writer.event(event(), "")
    writer.control(STATUS, status="running", job_args=["a"], job_cwd="/", job_env={"A": "b"})
    writer.event(event(), "two\nthree\n\n")
    writer.control(FINAL, status="successful", rc=0)
    everything = list(reader.all())
    seen = [each.event for each in everything if isinstance(each, JournalEvent)]
    assert [(e.counter, e.start_line, e.end_line) for e in seen] == [
        (1, 0, 1),
        (2, 1, 1),
        (3, 1, 4),
    ]
    assert [type(each) for each in everything if not isinstance(each, JournalEvent)] == [
        Status,
        Status,
        Final,
    ]
    for at, entry in enumerate(everything):
        assert reader.entries(entry.after) == everything[at + 1 :]
    assert everything[-1].after == Position(offset=reader.size(), counter=3, line=4)


def test_a_frame_larger_than_a_read_is_read_whole(
    writer: JournalWriter, reader: JournalReader
) -> None:
    """An event of many megabytes survives as it is."""
    writer.event(event(), "x" * 9_000_000)
    writer.event(event(), "small")
    found = reader.entries(Position(), 1000)
    assert isinstance(found[0], JournalEvent)
    assert len(found[0].event.stdout) == 9_000_000
    assert len(list(reader.all())) == 2


def test_a_torn_tail_is_not_there(writer: JournalWriter, reader: JournalReader) -> None:
    """A frame that a killed writer left half written is ignored, and cut off in the end."""
    writer.event(event(), "one\n")
    whole = reader.size()
    path = reader._path
    with path.open("ab") as stream:
        stream.write(HEADER.pack(5000) + b"half")
    assert len(list(reader.all())) == 1
    writer.trim()
    assert reader.size() == whole
    writer.control(FINAL, status="failed")
    assert isinstance(list(reader.all())[-1], Final)
    with path.open("ab") as stream:
        stream.write(b"\x01\x00")
    assert len(list(reader.all())) == 2


def test_supervisors_frames_are_masked(writer: JournalWriter, reader: JournalReader) -> None:
    """Stray output, status and explanation pass the mask as well."""
    writer.text("asked for s3cret\nand more\n")
    writer.control(FINAL, status="error", explanation="s3cret failed", traceback="s3cret")
    assert b"s3cret" not in reader._path.read_bytes()
    assert [e.event.stdout for e in reader.all() if isinstance(e, JournalEvent)] == [
        "asked for $encrypted$",
        "and more",
    ]


@pytest.mark.parametrize(
    ("name", "data", "failed", "changed"),
    [
        ("runner_on_ok", {"res": {"changed": True}}, False, True),
        ("runner_on_ok", {"res": {"changed": 0}}, False, False),
        ("runner_on_ok", {"res": "text"}, False, False),
        ("runner_on_failed", {"res": {}}, True, False),
        ("runner_on_failed", {"ignore_errors": True}, False, False),
        ("runner_on_unreachable", {"res": None}, True, False),
        ("runner_item_on_failed", {}, True, False),
        ("playbook_on_stats", {"failures": {"a": 1}, "changed": {}}, True, False),
        ("playbook_on_stats", {"dark": {"a": 0}, "changed": {"a": 2}}, False, True),
    ],
)
def test_failed_and_changed_follow_awx(
    writer: JournalWriter,
    reader: JournalReader,
    name: str,
    data: dict[str, Any],
    failed: bool,  # noqa: FBT001 - a column of the table above
    changed: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    """An event's failed and changed columns are AWX's."""
    writer.event(event(name, **data), "")
    (found,) = reader.all()
    assert isinstance(found, JournalEvent)
    assert (found.event.failed, found.event.changed) == (failed, changed)


def test_event_data_is_passed_on_undecoded(writer: JournalWriter, reader: JournalReader) -> None:
    """Event data is stored as it came; its columns are beside it."""
    data: dict[str, Any] = {
        "host": "web",
        "play": " p ",
        "task": "t",
        "role": None,
        "res": {"z": [1, {"a": None}]},
    }
    writer.event(event(**data), "")
    (found,) = reader.all()
    assert isinstance(found, JournalEvent)
    assert json.loads(bytes(found.event.event_data)) == data
    columns = (found.event.host_name, found.event.play, found.event.task, found.event.role)
    assert columns == ("web", "p", "t", "")
    assert found.pid == 7


def test_uncensored_text_of_no_log_is_cut() -> None:
    """Upstream's error block before a censored result goes; other events keep theirs."""
    shown = (
        "\x1b[0;31m[ERROR]: Task failed: s3cret\x1b[0m\nOrigin: x\n\x1b[0;31mfatal: [a]: FAILED!"
    )
    censored = event(res={"censored": "hidden"})
    assert uncensored_cut(censored, "TASK\n" + shown) == "TASK\n\x1b[0;31mfatal: [a]: FAILED!"
    assert uncensored_cut(event(res={"msg": "x"}), shown) == shown
    assert uncensored_cut({"event": "verbose"}, shown) == shown


def test_appending_from_two_writers_keeps_frames_whole(tmp_path: Path) -> None:
    """Ansible and the supervisor write to one journal; no frame lands within another."""
    writers = [JournalWriter(tmp_path / "journal", mask_of([])) for _ in range(2)]
    pid = os.fork()
    if pid == 0:
        for _ in range(300):
            writers[0].event(event(), "child" * 1000)
        os._exit(0)
    for _ in range(300):
        writers[1].event(event(), "parent" * 1000)
    os.waitpid(pid, 0)
    found = [
        e.event.stdout
        for e in JournalReader(tmp_path / "journal").all()
        if isinstance(e, JournalEvent)
    ]
    assert sorted(set(found)) == ["child" * 1000, "parent" * 1000]
    assert len(found) == 600
