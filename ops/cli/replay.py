"""``playlog replay``: the events themselves, filtered, and the state they fold to."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from controlplane.domain import timeline
from controlplane.domain.job import JOB
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.transact import fold_history
from ops import connect
from ops.cli.deployment import client_settings
from schemas import registry, subjects
from schemas.envelope import Recorded
from schemas.streams import ACCESS, CONFIG, JOBS

_STREAMS = (CONFIG.name, JOBS.name, ACCESS.name)


class Selection(Struct, frozen=True, kw_only=True):
    """Which events: of one job or of all, from a position, until a position or a time."""

    job: int | None
    first: int
    last: int | None
    until: datetime | None

    @classmethod
    def parse(cls, job: int | None, first: int, until: str | None) -> Self:
        """Read the flags; raises ValueError for what is no position and no ISO-8601 time."""
        if first < 1:
            raise ValueError(f"--from: positions begin at 1, not {first}")
        if until is None:
            return cls(job=job, first=first, last=None, until=None)
        if until.isdecimal():
            return cls(job=job, first=first, last=int(until), until=None)
        try:
            moment = datetime.fromisoformat(until)
        except ValueError as error:
            raise ValueError(f"--until: {until!r} is no position and no time") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return cls(job=job, first=first, last=None, until=moment)

    def wants(self, record: Recorded) -> bool:
        """True for a transaction inside the selection."""
        if self.last is not None and record.sequence > self.last:
            return False
        return self.until is None or record.context.at <= self.until


async def run(data: Path | None, selection: Selection, *, as_json: bool) -> int:
    """Print the selected events; returns 1 when there are none.

    A job's state is folded from its first event, whatever is shown.
    """
    told = client_settings(data)
    connection = await connect.connect_nats(
        told.nats_url, told.nats_creds_file, "replay", patient=False
    )
    try:
        folded = msgspec.structs.replace(selection, first=1) if selection.job else selection
        history = [record async for record in _records(connection, folded)]
    finally:
        await connect.close_quietly(connection)
    shown = [record for record in history if record.sequence >= selection.first]
    for record in shown:
        _print(record, as_json=as_json)
    if not shown:
        print("no event is in that selection", file=sys.stderr)
        return 1
    if selection.job is not None:
        _print_state(history, as_json=as_json)
    return 0


async def _records(connection: Client, selection: Selection) -> AsyncIterator[Recorded]:
    store = JetStreamStore(connection)
    streams = _STREAMS if selection.job is None else (JOBS.name,)
    filters = () if selection.job is None else (subjects.job(selection.job),)
    for stream in streams:
        last = await store.last_sequence(stream)
        async for record in store.read(stream, selection.first, last, filters=filters):
            if selection.wants(record):
                yield record


def _print(record: Recorded, *, as_json: bool) -> None:
    for event in record.events:
        tag = registry.tag_of(event)
        if as_json:
            line = {
                "sequence": record.sequence,
                "subject": record.subject,
                "tag": tag,
                "at": record.context.at,
                "actor": record.context.actor,
                "id": record.context.id,
                "correlation": record.context.correlation,
                "causation": record.context.causation,
                "traceparent": record.context.traceparent,
                "data": msgspec.Raw(registry.encode(event)),
            }
            print(msgspec.json.encode(line).decode())
        else:
            moment = record.context.at.strftime("%H:%M:%S.%f")[:-3]
            head = f"{record.sequence:>6}  {moment}  {record.subject:<22} {tag:<28}"
            text = timeline.describe(event) or _brief(event)
            print(f"{head} {record.context.actor.name:<14} {text}".rstrip())


def _brief(event: registry.Event) -> str:
    data: dict[str, Any] = msgspec.to_builtins(event)
    name = data.get("name") or data.get("values", {}).get("name")
    return str(name or "")


def _print_state(history: list[Recorded], *, as_json: bool) -> None:
    state = fold_history(JOB, history)
    if as_json:
        print(msgspec.json.encode({"state": state}).decode())
        return
    spans = {span.name: span.seconds for span in timeline.spans(history, ())}
    print(f"\nfolded state: {state.status}, attempt {state.attempt}, runner {state.runner}")
    print(f"  last event {state.last_counter}, explanation {state.explanation!r}")
    for name, seconds in spans.items():
        print(f"  {name:<28} {seconds * 1000:9.1f} ms")
