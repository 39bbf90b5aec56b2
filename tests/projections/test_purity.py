"""Rows are a function of the log alone: however it was cut into batches, they are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.domain import slicing
from projections.checkpoint import Connection
from projections.facts import Facts
from projections.job_events import Output
from projections.jobs import Jobs
from projections.projection import Projection, RawMessage
from projections.reports import Reports
from projections.resources import Config
from schemas.envelope import Recorded
from schemas.events.access import RoleAssigned, RoleGranted
from schemas.events.job import JobDeleted, JobFinished, JobHeld, JobPlaced, JobStarted
from schemas.events.resource import ResourceDeleted, ResourceLinked, ResourceUpdated
from schemas.output import (
    AttemptErased,
    AttemptFinished,
    AttemptStarted,
    HostStats,
    Report,
)
from schemas.registry import Event
from tests.factories import NOW, launched
from tests.projections.rig import USER, Room, config, event, frame, of_job, output, reports
from tests.projections.test_config import made

SIZES = st.lists(st.integers(0, 7), max_size=6)
FEW = settings(max_examples=50)

_NAMES = ("playbook_on_play_start", "playbook_on_task_start", "runner_on_ok", "playbook_on_stats")


@st.composite
def frames(draw: st.DrawFn) -> list[RawMessage]:
    """Frames of two attempts of two jobs: gaps, repeats, overlaps, stats anywhere, erasures."""
    made_frames = []
    for _ in range(draw(st.integers(1, 12))):
        place = (draw(st.integers(7, 8)), draw(st.integers(1, 2)))
        first = draw(st.integers(1, 9))
        last = first + draw(st.integers(0, 3))
        if draw(st.sampled_from([False, False, False, True])):
            made_frames.append(frame(1, 0, place, events=(), erased=True))
            continue
        events = tuple(
            event(
                counter,
                event=_NAMES[(counter * 7 + place[0]) % len(_NAMES)],
                parent_uuid=f"u{counter // 2}",
                failed=counter % 3 == 0,
            )
            for counter in range(first, last + 1)
        )
        made_frames.append(frame(first, last, place, events=events))
    return output(*made_frames)


@st.composite
def attempts(draw: st.DrawFn) -> list[RawMessage]:
    """Reports of jobs that share hosts, in any order, repeated, erased."""
    found: list[tuple[int, int, Report]] = []
    for _ in range(draw(st.integers(1, 12))):
        job, attempt = draw(st.integers(1, 4)), draw(st.integers(1, 2))
        kind = draw(st.sampled_from(["started", "finished", "finished", "erased"]))
        if kind == "started":
            found.append((job, attempt, AttemptStarted(at=NOW, runner="r1")))
        elif kind == "erased":
            found.append((job, attempt, AttemptErased(at=NOW)))
        else:
            shadow = draw(st.sampled_from([None, 2, 3]))
            stats = {
                f"h{n}": HostStats(host=n, constructed_host=shadow, ok=job, failures=n % 2)
                for n in (1, 2)
            }
            done = AttemptFinished(
                at=NOW, runner="r1", started=NOW, status="failed", stats=stats, last_counter=3
            )
            found.append((job, attempt, done))
    return reports(*found)


@st.composite
def transitions(draw: st.DrawFn) -> list[Recorded]:
    """Two jobs of one template and a sliced run with two slices, interleaved."""
    run = launched(3)
    record = msgspec.structs.replace(run.record, host_count=2, job_slice_count=2)
    run = msgspec.structs.replace(run, record=record)
    parent = slicing.sliced(run, [4, 5], [1, 2])
    slices = [slicing.child(parent, number, "") for number in (1, 2)]
    lives: list[list[Any]] = [
        [
            first,
            JobHeld(rule="capacity", explanation="full"),
            JobPlaced(attempt=1, group="default", work_class=1),
            JobStarted(attempt=1, runner="r1", at=NOW),
            JobFinished(status="failed", finished=NOW, attempt=1, last_counter=number),
            JobDeleted(),
        ][: draw(st.integers(1, 6))]
        for number, first in enumerate((launched(1), launched(2), parent, *slices), 1)
    ]
    found: list[Recorded] = []
    while any(lives):
        index = draw(st.sampled_from([number for number, life in enumerate(lives) if life]))
        found += of_job(lives[index].pop(0), job=index + 1)
    return found


@st.composite
def gathered(draw: st.DrawFn) -> list[RawMessage]:
    """What jobs gathered of hosts they share, cleared or again, between messages without facts."""
    found: list[RawMessage] = []
    for sequence in range(1, draw(st.integers(1, 8)) + 1):
        hosts = draw(st.sets(st.sampled_from(["7", "07", "8", "9"]), max_size=3))
        known = {
            each: {"facts": {"run": sequence} if draw(st.booleans()) else None} for each in hosts
        }
        told = {"at": NOW, "content": f"c{sequence}", "hosts": known}
        data = msgspec.json.encode(told) if hosts else b""
        subject = f"job.{sequence}"
        found.append(RawMessage(sequence=sequence, subject=subject, data=data))
    return found


@st.composite
def changes(draw: st.DrawFn) -> list[Recorded]:
    """Two inventories with hosts and nested groups: made, linked, granted, changed and deleted."""
    found: list[Sequence[Event]] = [
        (made("organization", 1), made("inventory", 1, organization=1)),
        (made("inventory", 2, organization=1), made("label", 1, organization=1)),
    ]
    numbers = range(1, 5)
    found += [
        [made("group", n, inventory=1 + n % 2), made("host", n, inventory=1)] for n in numbers
    ]
    number = st.integers(1, 4)
    one: st.SearchStrategy[Event] = st.one_of(
        st.builds(
            ResourceLinked,
            kind=st.just("group"),
            id=number,
            relation=st.just("children"),
            target=number,
        ),
        st.builds(
            ResourceLinked,
            kind=st.just("group"),
            id=number,
            relation=st.just("hosts"),
            target=number,
        ),
        st.builds(ResourceUpdated, kind=st.just("host"), id=number, changes=st.just({"name": "x"})),
        st.builds(
            RoleGranted,
            user=number,
            kind=st.just("inventory"),
            object_id=number,
            role=st.just("use"),
        ),
        st.builds(
            RoleAssigned,
            user=number,
            definition=st.integers(5, 8),
            kind=st.just("inventory"),
            object_id=number,
        ),
        st.builds(ResourceDeleted, kind=st.sampled_from(["group", "host", "inventory"]), id=number),
    )
    found += draw(st.lists(st.lists(one, min_size=1, max_size=3), max_size=10))
    return config(*found, actor=USER)


async def _same_in_any_batches(
    connection: Connection,
    projection: Projection,
    messages: Sequence[Recorded] | Sequence[RawMessage],
    sizes: Sequence[int],
) -> None:
    """Apply in one batch, in the batches drawn, and one by one."""
    found = []
    for cut in ((), sizes, (1,) * len(messages)):
        room = await Room(connection, projection).given(messages, cut)
        found.append(await room.digests())
        await room.drop()
    assert found[0] == found[1] == found[2]


@FEW
@given(messages=frames(), sizes=SIZES)
async def test_output_in_any_batches(
    connection: Connection, messages: list[RawMessage], sizes: list[int]
) -> None:
    """Also with repeated frames, holes that close, parents that are marked and erasures."""
    await _same_in_any_batches(connection, Output(), messages, sizes)


@FEW
@given(messages=attempts(), sizes=SIZES)
async def test_reports_in_any_batches(
    connection: Connection, messages: list[RawMessage], sizes: list[int]
) -> None:
    """Also each host's last job, and those that stand for others or for themselves."""
    await _same_in_any_batches(connection, Reports(), messages, sizes)


@FEW
@given(messages=transitions(), sizes=SIZES)
async def test_jobs_in_any_batches(
    connection: Connection, messages: list[Recorded], sizes: list[int]
) -> None:
    """Also what the template shows, and which slices a run has."""
    await _same_in_any_batches(connection, Jobs(), messages, sizes)


@settings(max_examples=20)
@given(messages=gathered(), sizes=SIZES)
async def test_facts_in_any_batches(
    connection: Connection, messages: list[RawMessage], sizes: list[int]
) -> None:
    """Also those of one host under two numbers."""
    await _same_in_any_batches(connection, Facts(), messages, sizes)


@settings(max_examples=10)
@given(messages=changes(), sizes=SIZES)
async def test_configuration_in_any_batches(
    connection: Connection, messages: list[Recorded], sizes: list[int]
) -> None:
    """Also cascades, counters and grants."""
    await _same_in_any_batches(connection, Config(), messages, sizes)
