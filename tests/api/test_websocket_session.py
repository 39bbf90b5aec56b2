"""AWX's websocket protocol, one client at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from controlplane.api.live_messages import JobFacts
from controlplane.api.websocket_session import WebsocketSession
from controlplane.shell.live import VIEWER_MESSAGES_MAX, TooSlow, Viewer
from schemas import envelope
from schemas.events.job import JobFinished
from schemas.output import AnsibleEvent, Frame
from tests.waiting import soon

TOKEN = "t0ken"


class Bus:
    """A hub without NATS: remembers who listens to what."""

    def __init__(self) -> None:
        self.joined: set[str] = set()

    async def add(self, subject: str, viewer: Viewer) -> None:
        """Note a subscription."""
        del viewer
        self.joined.add(subject)

    async def remove(self, subject: str, viewer: Viewer) -> None:
        """Forget a subscription."""
        del viewer
        self.joined.discard(subject)


class World:
    """A gateway whose user may read job 1 alone."""

    user = 9

    def __init__(self, *readable: int) -> None:
        self._readable = readable or (1,)

    async def job(self, job: int, until: float | None = None) -> JobFacts | None:
        """Return a job that may be read."""
        del until
        return JobFacts(id=job, kind="job", template=7) if job in self._readable else None

    async def final_counter(self, job: int) -> int | None:
        """Say that everything is stored."""
        return 3 if job == 1 else None


class Message:
    """A core message as the client library gives it."""

    def __init__(self, subject: str, data: bytes) -> None:
        self.subject = subject
        self.data = data


class Client:
    """One session with what it was sent."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.sent: list[dict[str, Any]] = []
        self.viewer = Viewer(self.bus)  # type: ignore[arg-type]  # the twin of LiveHub above
        self.session = WebsocketSession(World(), self.viewer, self._send)

    async def _send(self, message: bytes) -> None:
        self.sent.append(msgspec.json.decode(message))

    async def say(self, groups: object, token: str = TOKEN) -> dict[str, Any]:
        """Send a subscription and return the last answer."""
        await self.session.receive(
            msgspec.json.encode({"xrftoken": token, "groups": groups}), TOKEN
        )
        return self.sent[-1]

    def offer(self, subject: str, data: bytes) -> None:
        """Let a live message arrive."""
        self.viewer.offer(Message(subject, data))  # type: ignore[arg-type]  # the twin above

    async def forward_until(self, done: Callable[[], bool]) -> None:
        """Run the session until what it sent satisfies ``done``."""
        running = asyncio.create_task(self.session.run())
        await soon(done)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def frame(job: int, *counters: int) -> bytes:
    """A frame of events with these counters."""
    events = tuple(
        AnsibleEvent(counter=each, uuid=f"u{each}", event="verbose", created="2026-01-01T00:00:00Z")
        for each in counters
    )
    return msgspec.json.encode(
        Frame(
            job=job,
            attempt=1,
            kind="job",
            created="2026-01-01T00:00:00Z",
            first=counters[0],
            last=counters[-1],
            offset=0,
            events=events,
        )
    )


async def test_groups_are_joined_and_replaced() -> None:
    """Each message replaces all subscriptions and says what was joined and left."""
    client = Client()
    answer = await client.say({"jobs": ["status_changed"], "job_events": [1]})
    assert answer["groups_joined"] == ["job_events-1", "jobs-status_changed"]
    assert client.bus.joined == {"live.*.1.*", "status.*"}
    answer = await client.say({})
    assert answer == {
        "groups_current": [],
        "groups_left": ["job_events-1", "jobs-status_changed"],
        "groups_joined": [],
    }
    assert client.bus.joined == set()


async def test_a_wrong_token_is_denied() -> None:
    """The token must equal the cookie's."""
    client = Client()
    assert await client.say({"jobs": ["summary"]}, token="other") == {
        "error": "access denied to channel"
    }
    assert client.bus.joined == set()


@pytest.mark.parametrize("member", [2, "x", None, True, {"a": 1}, -1, 1.5])
async def test_an_unreadable_id_is_refused_by_name_and_others_join(member: object) -> None:
    """An id without read right, or no id at all, is named; the rest is joined."""
    client = Client()
    answer = await client.say({"job_events": [member, 1]})
    assert client.sent[0] == {
        "error": f"access denied to channel job_events for resource id {member}"
    }
    assert answer["groups_current"] == ["job_events-1"]


async def test_another_users_control_group_is_not_joined() -> None:
    """A client hears only its own session limit."""
    client = Client()
    answer = await client.say({"control": ["limit_reached_9", "limit_reached_1"]})
    assert answer["groups_current"] == ["control-limit_reached_9"]


async def test_events_and_status_are_forwarded_in_awx_shape() -> None:
    """Each event of a frame is one message, and a job's end one more; the cursor follows."""
    client = Client()
    await client.say({"jobs": ["status_changed"], "job_events": [1]})
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    context = envelope.Context(id="x", at=moment, actor=envelope.SYSTEM, correlation="x")
    ended = envelope.encode(context, (JobFinished(status="failed", finished=moment),))
    client.offer("live.1.1.1", frame(1, 1, 2))
    client.offer("status.1", ended)
    await client.forward_until(lambda: client.sent[-1].get("status") == "failed")
    first, second, status = client.sent[-3:]
    assert (first["counter"], second["counter"]) == (1, 2)
    assert first["group_name"] == "job_events"
    assert first["job"] == 1
    assert status == {
        "group_name": "jobs",
        "unified_job_id": 1,
        "type": "job",
        "unified_job_template_id": 7,
        "status": "failed",
        "finished": "2026-01-01T00:00:00Z",
    }
    assert client.session.cursors == {1: 2}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        b"\xff\xfe",
        "[" * 50_000,
        '{"a":' * 10_000,
        "null",
        "[]",
        "7",
        '{"groups": {}}',
        '{"xrftoken": 7, "groups": {"jobs": ["summary"]}}',
        '{"xrftoken": "t0ken"}',
        '{"xrftoken": "t0ken", "groups": ["jobs"]}',
        json.dumps({"xrftoken": TOKEN, "groups": {"job_events": [2] * 2000}}),
        json.dumps({"xrftoken": TOKEN, "groups": {"x": "x" * 100_000}}),
    ],
)
async def test_a_malformed_message_is_answered_and_the_client_stays(text: str | bytes) -> None:
    """Whatever is sent gets an error, joins nothing, and the next message is served."""
    client = Client()
    await client.session.receive(text, TOKEN)
    assert set(client.sent[-1]) == {"error"}
    assert client.bus.joined == set()
    assert (await client.say({"job_events": [1]}))["groups_current"] == ["job_events-1"]


@pytest.mark.parametrize(
    "number", ["9" * 5000, "1" + "0" * 30, "\N{ARABIC-INDIC DIGIT TWO}", "-1", "1.0", "1e3"]
)
async def test_a_number_that_is_no_id_is_refused(number: str) -> None:
    """Digits of any length and of any script end nobody's connection."""
    client = Client()
    await client.say({"job_events": [number, 2]})
    assert (await client.say({"job_events": [1]}))["groups_current"] == ["job_events-1"]


async def test_a_role_taken_away_ends_what_it_allowed() -> None:
    """A job that the user may not read any more is left by name; nothing more of it is sent."""
    client = Client()
    await client.say({"jobs": ["status_changed"], "job_events": [1]})
    await client.session.recheck(World(1))
    assert "error" not in client.sent[-1]
    await client.session.recheck(World(2))
    assert client.sent[-1] == {"error": "access denied to channel job_events for resource id 1"}
    assert client.bus.joined == {"status.*"}
    said = len(client.sent)
    client.offer("live.1.1.1", frame(1, 1))
    client.offer("live.1.1.1", frame(1, 2))
    await client.forward_until(lambda: not client.viewer._messages)
    assert len(client.sent) == said


async def test_a_slow_client_is_dropped() -> None:
    """A queue that overflows ends the session instead of growing."""
    client = Client()
    await client.say({"job_events": [1]})
    for _ in range(VIEWER_MESSAGES_MAX + 1):
        client.offer("live.1.1.1", frame(1, 1))
    with pytest.raises(TooSlow):
        await client.session.run()
