"""AWX's integer ids, allotted by JetStream counters: gaps are legal, reuse is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from controlplane.domain.errors import Unavailable
from controlplane.shell.event_store import EventStore
from ops import direct
from schemas import subjects
from schemas.events.job import JobLaunched, WorkflowLaunch
from schemas.events.resource import ResourceCreated
from schemas.registry import Event
from schemas.resource import RESOURCES
from schemas.streams import CONFIG, IDS, JOBS

TIMEOUT_S = 5.0
UNIFIED_JOB = "unified_job"
WORKFLOW_JOB_NODE = "workflow_job_node"
SKIPPED = 100_000
"""Ids of a sequence that may have been allotted in a part of the log that was lost."""
TRIES = 2
"""A client waits for them one after another, so few."""


class _Wish(NamedTuple):
    """How many ids somebody waits for."""

    ids: int
    answer: asyncio.Future[range]


class Numbers:
    """The counters over one NATS connection."""

    def __init__(self, connection: Client) -> None:
        """Use a connection that may publish to IDS."""
        self._connection = connection
        self._waiting: dict[str, list[_Wish]] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}

    async def take(self, sequence: str, count: int = 1) -> range:
        """Allot ``count`` new ids of a sequence (a resource kind, or ``unified_job``).

        Who asks while a request is under way shares the next one. Raises Unavailable. A lost answer
        only leaves a gap.
        """
        wish = _Wish(count, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(sequence, []).append(wish)
        if sequence not in self._serving:
            self._serving[sequence] = asyncio.create_task(self._serve(sequence))
        return await wish.answer

    async def _serve(self, sequence: str) -> None:
        """Ask for all who wait, until nobody does."""
        try:
            while wishes := self._waiting.pop(sequence, []):
                try:
                    first = (await self._ask(sequence, sum(each.ids for each in wishes)))[0]
                except Exception as error:  # noqa: BLE001 - it is the answer of all of them
                    for each in wishes:
                        if not each.answer.done():
                            each.answer.set_exception(error)
                    continue
                for each in wishes:
                    if not each.answer.done():
                        each.answer.set_result(range(first, first + each.ids))
                    first += each.ids
        finally:
            del self._serving[sequence]

    async def _ask(self, sequence: str, count: int) -> range:
        for _ in range(TRIES):
            try:
                answer = await self._connection.request(
                    subjects.sequence(sequence),
                    b"",
                    timeout=TIMEOUT_S,
                    headers={"Nats-Incr": f"+{count}"},
                )
            except (nats.errors.Error, TimeoutError):
                continue
            body = msgspec.json.decode(answer.data)
            if "val" in body:
                total = int(body["val"])
                return range(total - count + 1, total + 1)
        raise Unavailable("The id counters are not available.")

    async def raise_to(self, sequence: str, highest: int) -> None:
        """Bring a counter to at least ``highest``, the highest id in use."""
        try:
            message = await direct.last_on_subject(
                self._connection, IDS.name, subjects.sequence(sequence)
            )
            current = int(msgspec.json.decode(message.data)["val"])
        except NotFoundError:
            current = 0
        if current < highest:
            await self.take(sequence, highest - current)

    async def skip_lost(self) -> None:
        """Go far beyond every id in use: the log was set back, what it lost is not to come again.

        Runners, people and scripts may know of ids that the log does not.
        """
        info = await self._connection.jetstream().stream_info(IDS.name, subjects_filter=">")
        for subject in sorted(info.state.subjects or ()):
            await self.take(subject.partition(".")[2], SKIPPED)

    async def raise_from_log(self, store: EventStore) -> None:
        """Bring every counter past the ids in CONFIG and JOBS (after IDS was lost or restored)."""
        highest: dict[str, int] = {}
        for stream in (CONFIG.name, JOBS.name):
            async for record in store.read(stream, 1, await store.last_sequence(stream)):
                for event in record.events:
                    for sequence, number in _allotted(event):
                        highest[sequence] = max(highest.get(sequence, 0), number)
        for sequence, number in highest.items():
            await self.raise_to(sequence, number)


def _allotted(event: Event) -> Iterator[tuple[str, int]]:
    """Yield the ids that an event uses, each with its sequence."""
    match event:
        case ResourceCreated(kind=kind, id=number):
            yield RESOURCES[kind].sequence, number
        case JobLaunched(id=number, record=record):
            yield UNIFIED_JOB, number
            if isinstance(record, WorkflowLaunch):
                yield from ((UNIFIED_JOB, each) for each in record.slice_jobs)
                yield from ((WORKFLOW_JOB_NODE, each) for each in record.nodes)
