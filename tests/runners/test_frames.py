"""Frames are strict JSON whatever an event holds."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runners import frames
from runners.frames import MASK, Mask
from runners.journal import JournalReader
from runners.redact import mask_of

TEXT = st.text(st.characters(exclude_categories=()))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def body(event: dict[str, Any], printed: str = "", mask: Mask | None = None) -> dict[str, Any]:
    """Return an event as a strict reader sees its frame."""
    frame = frames.with_output(frames.encode(event, mask), printed, mask)
    found: dict[str, Any] = msgspec.json.decode(frame)
    return found


@given(VALUES, TEXT)
def test_every_event_becomes_strict_json(value: object, printed: str) -> None:
    """NaN, NUL, lone surrogates and huge numbers are readable by strict readers and by Postgres."""
    event = body({"event": "verbose", "event_data": {"res": value}}, printed)
    text = json.dumps(event, ensure_ascii=False)
    assert "\0" not in event["stdout"]
    assert "\\u0000" not in text.replace("\\\\", "")
    assert text.encode()
    assert event["_lines"] == printed.count("\n")


def test_ordinary_values_are_kept() -> None:
    """What needs no repair is not touched, a literal backslash-u0000 included."""
    value = {"a": [1, 2.5, None, True, "é\u2028", "\\u0000", "C:\\u0000x"], "b": {"c": ""}}
    assert body({"event_data": value})["event_data"] == value


def test_what_json_cannot_hold_becomes_text() -> None:
    """Sets, bytes, times and mixed keys do not cost the event."""
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    event = body({"a": {1}, "b": moment, "c": {None: float("inf")}, "d": (1, 2)})
    assert event["a"] == [1]
    assert event["b"] == str(moment)
    assert event["c"] == {"None": "inf"}
    assert event["d"] == [1, 2]


def test_printed_text_is_as_on_a_terminal() -> None:
    """Lines end in CR LF, trailing ones are counted and dropped."""
    event = body({"event": "x"}, "\nTASK [a] ***\n\n")
    assert (event["stdout"], event["_lines"]) == ("\r\nTASK [a] ***", 3)


@given(
    st.text(st.characters(codec="utf-8"), min_size=3).filter(lambda text: len(text.strip()) >= 3),
    TEXT,
    TEXT,
)
def test_a_secret_is_nowhere(secret: str, before: str, after: str) -> None:
    """A secret within any text, key, quoted JSON or output is masked in a readable frame."""
    text = before + secret + after
    data = {"res": {"out": text, text: [text], "quoted": json.dumps({"p": text})}}
    event = body({"event": "x", "event_data": data}, text, mask_of([secret]))
    assert MASK in event["stdout"]
    assert MASK in json.dumps(event["event_data"])


def test_short_passwords_do_not_break_what_events_are() -> None:
    """Names, ids and hosts stay although a password is a part of them; free text does not."""
    mask = mask_of(["run", "local", "123456"])
    event = {
        "event": "runner_on_ok",
        "uuid": "123456-run",
        "event_data": {"host": "localhost", "task": "run it", "res": {"pin": 123456, "rc": 0}},
    }
    assert body(event, "run\n", mask) == {
        "event": "runner_on_ok",
        "uuid": "123456-run",
        "event_data": {"host": "localhost", "task": f"{MASK} it", "res": {"pin": MASK, "rc": 0}},
        "stdout": MASK,
        "_lines": 1,
    }


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 700))
def test_frames_are_read_back_from_any_offset(bodies: list[bytes], step: int) -> None:
    """Reading in bounded steps gives every frame once, in order, and never a part of one."""
    path = Path(f"/dev/shm/frames-{os.getpid()}")
    path.unlink(missing_ok=True)
    journal = frames.open_journal(str(path))
    for each in bodies:
        frames.append(journal, each)
    os.write(journal, b"\x20\x00\x00\x00torn")
    os.close(journal)
    reader, offset, found = JournalReader(path), 0, []
    while batch := reader.read(offset, step):
        found += [each.body for each in batch]
        assert batch[0].offset == offset
        offset = batch[-1].next_offset
    path.unlink()
    assert found == bodies
