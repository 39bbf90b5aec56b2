"""The projection ``output``: every event once, in its partition, and no gap that nobody sees."""

from __future__ import annotations

import msgspec
import pytest

from projections.checkpoint import Connection
from projections.job_events import Output
from projections.projection import Poison, RawMessage
from schemas.output import COUNTER_MAX, Frame
from tests.projections.rig import Room, event, frame, output

STATE = "SELECT last_counter, last_line, bytes, hole FROM job_output WHERE job = 7 AND attempt = 1"
COUNTERS = "SELECT counter FROM job_event WHERE job = 7 ORDER BY id"


@pytest.fixture
def room(connection: Connection) -> Room:
    """The projection's tables."""
    return Room(connection, Output())


async def test_events_stand_in_the_partition_of_their_jobs_day(room: Room) -> None:
    """The day of the job's creation counts, not the event's: retention drops whole partitions."""
    next_day = "2026-11-25T00:00:00Z"
    late = frame(1, 1, events=(event(1, created=next_day),))
    await room.given(output(late, frame(1, 2, (8, 1), created=next_day)))
    assert await room.column("SELECT job FROM job_event_20261124") == [7]
    assert await room.column("SELECT counter FROM job_event_20261125 ORDER BY 1") == [1, 2]


async def test_a_frame_that_comes_twice_is_stored_once(room: Room) -> None:
    """Its counters and bytes count once too, alone or among others."""
    await room.given(output(frame(1, 3), frame(1, 3), frame(4, 5)))
    await room.when(output(frame(1, 3)))
    assert await room.column(COUNTERS) == [1, 2, 3, 4, 5]
    assert await room.rows(STATE) == [(5, 5, 30, "")]


async def test_overlapping_frames_are_stored_once(room: Room) -> None:
    """A runner that takes its place again may cut frames otherwise than before."""
    await room.given(output(frame(1, 3), frame(2, 60), frame(59, 61)))
    assert await room.column(COUNTERS) == list(range(1, 62))
    [(last, _line, size, hole)] = await room.rows(STATE)
    assert (last, hole) == (61, "")
    assert size == sum(len(f"line {number}") for number in range(1, 62))


async def test_a_gap_is_a_hole_until_the_missing_frame_comes(room: Room) -> None:
    """Two holes are named, one after the other is closed, and then there is none."""
    await room.given(output(frame(3, 4), frame(8, 9)))
    assert await room.rows(STATE) == [(9, 9, 24, "1-2,5-7")]
    await room.when(output(frame(5, 7)))
    assert await room.rows(STATE) == [(9, 9, 42, "1-2")]
    await room.when(output(frame(1, 2), frame(10, 10)))
    assert await room.rows(STATE) == [(10, 10, 61, "")]
    assert await room.column(COUNTERS) == list(range(1, 11))


async def test_ids_are_in_order_within_and_across_attempts(room: Room) -> None:
    """Whatever the order of arrival, the order of ids is attempt, then job, then counter."""
    await room.given(output(frame(1, 2, (7, 2)), frame(1, 2, (8, 1)), frame(1, 2, (7, 1))))
    found = await room.rows("SELECT attempt, job, counter FROM job_event ORDER BY id")
    assert found == [(1, 7, 1), (1, 7, 2), (1, 8, 1), (1, 8, 2), (2, 7, 1), (2, 7, 2)]


async def test_event_data_is_kept_as_it_came(room: Room) -> None:
    """NUL stays escaped JSON, spelling and spaces stay; a megabyte is no problem."""
    data = rb'{"a":"\u0000 \u00e9", "b":1.0,"c":"' + b"x" * 1_000_000 + b'"}'
    huge = event(1, event_data=msgspec.Raw(data), stdout="\u00e9" * 1_000_000)
    await room.given(output(frame(1, 1, events=(huge,))))
    assert await room.column("SELECT event_data FROM job_event") == [data.decode()]
    assert await room.rows(STATE) == [(1, 1, 1_000_000, "")]


async def test_stats_mark_the_direct_parents_of_what_failed_or_changed(room: Room) -> None:
    """A task is marked by its results; its play is not, also when the stats come twice."""
    told = (
        event(1, event="playbook_on_play_start", uuid="play"),
        event(2, event="playbook_on_task_start", uuid="task", parent_uuid="play"),
        event(3, event="runner_on_failed", parent_uuid="task", failed=True),
        event(4, event="runner_on_ok", parent_uuid="task", changed=True),
        event(5, event="playbook_on_stats"),
    )
    one = frame(1, 5, events=told)
    await room.given(output(one))
    query = "SELECT uuid, failed, changed FROM job_event WHERE counter < 3 ORDER BY id"
    marked = [("play", False, False), ("task", True, True)]
    assert await room.rows(query) == marked
    await room.when(output(one))
    assert await room.rows(query) == marked


async def test_an_erased_attempt_leaves_no_row(room: Room) -> None:
    """Another attempt's and another job's stay."""
    gone = frame(1, 0, events=(), erased=True)
    await room.given(output(frame(1, 3), frame(1, 1, (7, 2)), frame(1, 1, (8, 1)), gone))
    assert await room.rows("SELECT job, attempt FROM job_event ORDER BY id") == [(8, 1), (7, 2)]
    assert await room.rows(STATE) == []


BAD: dict[str, Frame | bytes] = {
    "no JSON": b"{",
    "counters with a gap": frame(1, 2, events=(event(1), event(3))),
    "another range than its events": frame(1, 3, events=(event(1), event(2))),
    "no events": frame(1, 0, events=()),
    "a counter below 1": frame(0, 1),
    "a counter that no id has room for": frame(COUNTER_MAX + 1, COUNTER_MAX + 1),
    "no date": frame(1, 1, created="yesterday"),
    "a lone surrogate in a column": msgspec.json.encode(frame(1, 1)).replace(
        b'"line 1"', rb'"\ud800"'
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_frame_is_poison(what: str) -> None:
    """The message is named, so that it can be set aside."""
    with pytest.raises(Poison) as raised:
        list(Output().apply(output(BAD[what])))
    assert raised.value.sequence == 1


def test_a_frame_of_another_attempt_than_its_subject_is_poison() -> None:
    """A runner may write one subject: what it says of another job is not believed."""
    body = msgspec.json.encode(frame(1, 1, (8, 1)))
    with pytest.raises(Poison):
        list(Output().apply([RawMessage(sequence=5, subject="output.1.7.1", data=body)]))


async def test_what_postgres_cannot_hold_leaves_the_others_alone(room: Room) -> None:
    """NUL in a text column, and numbers too large for theirs, by insert and by COPY."""
    nul = frame(1, 1, (8, 1), events=(event(1, stdout="a\0b"),))
    large = frame(1, 1, (9, 1), events=(event(1, host=2**63),))
    many = tuple(event(number, host=2**63) for number in range(1, 61))
    copied = frame(1, 60, (10, 1), events=many)
    await room.given(output(nul, large, copied, frame(1, 60)))
    assert await room.column("SELECT DISTINCT job FROM job_event") == [7]
    assert await room.column("SELECT job FROM job_output") == [7]
