"""One websocket client in AWX's protocol.

Its groups, and the live messages they bring (``api.md`` 7).

Each client message replaces all subscriptions; an id that the user may not read is refused by name
and the others are joined. A client too slow for its messages is closed with code 4008 and its
cursors: the last counter it was sent of each job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from controlplane.api import live_messages
from controlplane.api.live_messages import EVENT_GROUPS, JobFacts
from controlplane.domain.numerals import whole
from controlplane.shell.live import TooSlow, Viewer
from ops import clock
from schemas import envelope, subjects
from schemas.events.job import JobFinished

TOO_SLOW = 4008
"""Close code of a client that did not keep up."""
LOGGED_OUT = 4401
"""Close code of a client whose session, token or password is no longer good."""
MESSAGE_CHARS_MAX = 64 * 1024
IDS_MAX = 1000
"""Bounds of one client message: its length, and the jobs that it names."""
SEEN_WITHIN_S = 2.0
"""How long one message may wait for jobs that are not projected yet."""
PLAIN_GROUPS = {
    "jobs": ("status_changed", "summary"),
    "schedules": ("changed",),
    "inventories": ("status_changed",),
}
KIND_OF_GROUP = {group: kind for kind, group in EVENT_GROUPS.items()}


class Gateway(Protocol):
    """What a session needs to know of the world; every answer is bound to its user."""

    user: int

    async def job(self, job: int, until: float | None = None) -> JobFacts | None:
        """Return a job's facts when the user may read it, else None.

        Waits for a job not yet projected, to the moment ``until`` (monotonic) or a little.
        """
        ...

    async def final_counter(self, job: int) -> int | None:
        """Wait until all events of an ended job are readable; None when that takes too long."""
        ...


Send = Callable[[bytes], Awaitable[None]]


class WebsocketSession:
    """The state of one client: groups joined, cursors, and the tasks that feed it."""

    def __init__(self, gateway: Gateway, viewer: Viewer, send: Send) -> None:
        """Feed a client through ``send`` from the messages of ``viewer``."""
        self._gateway = gateway
        self._viewer = viewer
        self._send = send
        self._groups: set[str] = set()
        self._changing = asyncio.Lock()
        self._facts: dict[int, JobFacts] = {}
        self._watched: set[int] = set()
        self._summaries: set[asyncio.Task[None]] = set()
        self.cursors: dict[int, int] = {}

    async def run(self) -> None:
        """Forward live messages until cancelled; raises TooSlow."""
        while True:
            message = await self._viewer.next()
            if message.subject.startswith("status."):
                await self._forward_status(int(message.subject.split(".")[1]), message.data)
            else:
                await self._forward_frame(message.data)

    async def receive(self, text: str | bytes, xrftoken: str) -> None:
        """Take one client message: check its token and replace the subscriptions."""
        try:
            content = msgspec.json.decode(text) if len(text) <= MESSAGE_CHARS_MAX else None
        except (msgspec.DecodeError, RecursionError):
            await self._say({"error": "invalid JSON"})
            return
        if not isinstance(content, dict) or content.get("xrftoken") != xrftoken or not xrftoken:
            await self._say({"error": "access denied to channel"})
            return
        groups = content.get("groups")
        if not isinstance(groups, dict) or _named(groups) > IDS_MAX:
            await self._say({"error": f"groups must be an object of lists, {IDS_MAX} ids at most"})
            return
        async with self._changing:
            await self._replace(groups)

    async def recheck(self, gateway: Gateway) -> None:
        """Go on in the name of ``gateway``'s user; jobs it may not read any more are left."""
        async with self._changing:
            await self._leave_hidden(gateway)

    async def _leave_hidden(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._facts.clear()
        now = clock.monotonic()
        gone = {job for job in self._watched if await self._facts_of(job, now) is None}
        if not gone:
            return
        left = {f"{group}-{job}" for group in KIND_OF_GROUP for job in gone} & self._groups
        await self._subscribe(self._groups - left, self._watched - gone)
        self._groups -= left
        for each in sorted(left):
            group, _, number = each.rpartition("-")
            await self._refuse(group, number)

    def close(self) -> None:
        """Stop what still waits for this client."""
        for task in self._summaries:
            task.cancel()

    async def _replace(self, wanted: dict[str, Any]) -> None:
        joined: set[str] = set()
        watched: set[int] = set()
        for group, members in wanted.items():
            if not isinstance(members, list):
                continue
            if group in PLAIN_GROUPS:
                joined |= {f"{group}-{each}" for each in members if each in PLAIN_GROUPS[group]}
            elif group == "control":
                allowed = f"limit_reached_{self._gateway.user}"
                joined |= {f"{group}-{each}" for each in members if each == allowed}
            elif group in KIND_OF_GROUP:
                allowed_ids = await self._allowed(group, members)
                joined |= {f"{group}-{each}" for each in allowed_ids}
                watched |= allowed_ids
        await self._subscribe(joined, watched)
        before, self._groups = self._groups, joined
        await self._say(
            {
                "groups_current": sorted(joined),
                "groups_left": sorted(before - joined),
                "groups_joined": sorted(joined - before),
            }
        )

    async def _allowed(self, group: str, members: list[Any]) -> set[int]:
        allowed: set[int] = set()
        until = clock.monotonic() + SEEN_WITHIN_S
        for each in members:
            number = _number(each)
            facts = None if number is None else await self._facts_of(number, until)
            if number is None or facts is None or facts.kind != KIND_OF_GROUP[group]:
                await self._refuse(group, each)
            else:
                allowed.add(number)
        return allowed

    async def _refuse(self, group: str, member: object) -> None:
        await self._say({"error": f"access denied to channel {group} for resource id {member}"})

    async def _subscribe(self, joined: set[str], watched: set[int]) -> None:
        targets = {subjects.live_job("*", job) for job in watched}
        if any(group.startswith("jobs-") for group in joined):
            targets.add(subjects.job_status("*"))
        for subject in targets - self._viewer.subjects:
            await self._viewer.join(subject)
        for subject in self._viewer.subjects - targets:
            await self._viewer.leave(subject)
        self._watched = watched

    async def _forward_frame(self, data: bytes) -> None:
        frame = live_messages.decode_frame(data)
        if frame.job not in self._watched or frame.erased:
            return
        for message in live_messages.event_messages(frame):
            await self._send(message)
        self.cursors[frame.job] = frame.last

    async def _forward_status(self, job: int, data: bytes) -> None:
        facts = await self._facts_of(job)
        if facts is None:
            return
        wire = envelope.decode_wire(data)
        if wire.blob is not None:
            return
        recorded = envelope.recorded(0, "", wire, wire.events)
        if "jobs-status_changed" in self._groups:
            for message in live_messages.status_messages(recorded, facts):
                await self._say(message)
        ended = any(isinstance(event, JobFinished) for event in recorded.events)
        if ended and job not in self._watched:
            self._facts.pop(job, None)  # nothing more will be said of it
        if ended and "jobs-summary" in self._groups:
            task = asyncio.create_task(self._summarise(facts.id), name=f"summary-{facts.id}")
            self._summaries.add(task)
            task.add_done_callback(self._summaries.discard)

    async def _facts_of(self, job: int, until: float | None = None) -> JobFacts | None:
        if job not in self._facts:
            facts = await self._gateway.job(job, until)
            if facts is None:
                return None
            self._facts[job] = facts
        return self._facts[job]

    async def _summarise(self, job: int) -> None:
        counter = await self._gateway.final_counter(job)
        if counter is not None:
            await self._say(live_messages.summary_message(job, counter))

    async def _say(self, message: dict[str, Any]) -> None:
        await self._send(msgspec.json.encode(message))


def _number(value: Any) -> int | None:
    if isinstance(value, str):
        return whole(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _named(groups: dict[str, Any]) -> int:
    """Return how many members all groups of a message have together."""
    return sum(len(each) for each in groups.values() if isinstance(each, list))


__all__ = ["KIND_OF_GROUP", "TOO_SLOW", "Gateway", "TooSlow", "WebsocketSession"]
