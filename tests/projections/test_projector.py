"""Between a real log and a real Postgres: everything once, in order, fenced, never silent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops import signals
from projections import dead_letters
from projections.job_events import Output
from projections.jobs import Jobs
from projections.projection import RawMessage, Statement
from projections.reports import Reports
from projections.resources import Config
from schemas import envelope
from schemas.streams import DEADLETTER, OUTPUT
from tests.projections.rig import Log, context, event, frame, opened_log
from tests.projections.test_config import made
from tests.servers import NatsServer, PostgresServer
from tests.waiting import soon

COUNTERS = "SELECT counter FROM job_event ORDER BY id"


async def _counters(log: Log) -> list[int]:
    return [row[0] for row in await log.reader.fetch(COUNTERS)]


async def test_what_is_appended_is_projected_and_announced(log: Log) -> None:
    """One by one when idle, in one go when there is a backlog."""
    heard: list[int] = []

    async def hear(message: Any) -> None:
        heard.append(int(message.data))

    await log.connection.subscribe("proj.pos.output", cb=hear)
    await log.publish(*(frame(n, n) for n in range(1, 101)))
    log.project(Output())
    await log.passed("output", 100)
    last = await log.publish(frame(101, 101))
    await log.passed("output", last)
    assert await _counters(log) == list(range(1, 102))
    await soon(lambda: heard[-1:] == [last])


async def test_two_projectors_store_everything_once(log: Log) -> None:
    """Whoever moves the checkpoint first wins; the other starts again from where it stands."""
    log.project(Output())
    log.project(Output())
    for begin in range(1, 400, 20):
        last = await log.publish(*(frame(n, n) for n in range(begin, begin + 20)))
    await log.passed("output", last)
    assert await _counters(log) == list(range(1, 401))


async def test_what_postgres_lost_when_it_died_is_projected_again(
    directory: Path, nats_url: str
) -> None:
    """The last commits were not on its disk yet, and no new message comes that would tell."""
    server = PostgresServer(directory / "pg")
    await asyncio.to_thread(server.start)
    async with opened_log(nats_url, server.dsn) as log:
        log.project(Output())
        await log.passed("output", await log.publish(frame(1, 2)))
        await log.reader.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        await log.reader.execute("SELECT pg_reload_conf()")
        await log.reader.execute("CHECKPOINT")
        last = await log.publish(frame(3, 4))
        await log.passed("output", last)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        log.reader = await log.opened()
        await log.passed("output", last)
        assert await _counters(log) == [1, 2, 3, 4]
    server.stop()


async def test_a_poisoned_frame_is_set_aside_and_the_others_go_on(log: Log) -> None:
    """It is in DEADLETTER with its place and reason, once, and its job can show it."""
    log.project(Output())
    await log.publish(frame(1, 2), b"no frame", frame(5, 6))
    last = await log.publish(frame(1, 1, (8, 1), events=(event(1, stdout="\0"),)))
    await log.passed("output", last)
    assert await _counters(log) == [1, 2, 5, 6]
    info = await log.connection.jetstream().stream_info(DEADLETTER.name)
    assert info.state.messages == 2
    found = await log.reader.fetch("SELECT stream, position, job FROM dead_letter ORDER BY 2")
    assert [tuple(row) for row in found] == [("OUTPUT", 2, 7), ("OUTPUT", 4, 8)]
    assert await log.reader.fetchval("SELECT hole FROM job_output WHERE job = 7") == "3-4"
    assert await log.state("output") == ""


class Choosy(Output):
    """A build that has a bug: it cannot take frames whose first counter is 3."""

    def apply(self, messages: Any) -> Any:
        """Fail as a bug does."""
        if any(b'"first":3' in message.data for message in messages):
            raise ZeroDivisionError
        return super().apply(messages)


async def test_a_dead_letter_is_applied_when_the_cause_is_mended(log: Log) -> None:
    """The hole closes, the letter is settled; what still does not fit stays with its reason."""
    log.project(Choosy())
    last = await log.publish(frame(1, 2), frame(3, 4), b"no frame", frame(5, 6))
    await log.passed("output", last)
    assert await _counters(log) == [1, 2, 5, 6]
    outcomes = await dead_letters.retry(log.connection, log.reader, [Output(), Reports()])
    assert [(each.letter.sequence, bool(each.problem)) for each in outcomes] == [
        (2, False),
        (3, True),
    ]
    assert await _counters(log) == [1, 2, 3, 4, 5, 6]
    assert await log.reader.fetchval("SELECT hole FROM job_output") == ""
    assert await log.reader.fetchval("SELECT count(*) FROM dead_letter") == 1
    again = await dead_letters.retry(log.connection, log.reader, [Output()])
    assert [each.letter.sequence for each in again] == [3]
    await dead_letters.retry(log.connection, log.reader, [Output()], drop=True)
    assert await dead_letters.retry(log.connection, log.reader, [Output()]) == []
    assert await log.reader.fetchval("SELECT count(*) FROM dead_letter") == 0


async def _config(log: Log, number: int, body: bytes | None = None) -> int:
    events = (made("organization", number),)
    told = envelope.encode(context(f"m{number}"), events) if body is None else body
    ack = await log.connection.jetstream().publish(f"config.organization.{number}", told)
    return ack.seq


UNKNOWN = envelope.encode(context("x"), (made("organization", 9),)).replace(
    b"organization.created.v1", b"organization.created.v99"
)


@pytest.mark.parametrize("body", [UNKNOWN, b"{"], ids=["unknown tag", "no envelope"])
async def test_what_config_cannot_take_stops_it_with_an_alarm(log: Log, body: bytes) -> None:
    """The tables stay as they were before it, and nothing behind it is applied."""
    task = log.project(Config())
    await _config(log, 1)
    await _config(log, 2, body)
    await _config(log, 3)
    assert (await log.alarm("config")).startswith("stopped: message 2 of CONFIG")
    await task
    assert await log.position("config") == 1
    assert await log.reader.fetchval("SELECT count(*) FROM organization") == 1


class Unfit(Config):
    """A build with a bug in one event."""

    def apply(self, messages: Any) -> list[Statement]:
        """Fail as a bug does."""
        if any(message.sequence == 2 for message in messages):
            raise IndexError
        return list(super().apply(messages))


async def test_a_mended_build_goes_on_where_the_other_stopped(log: Log) -> None:
    """The alarm is gone and everything is applied once."""
    log.project(Unfit())
    for number in (1, 2, 3):
        await _config(log, number)
    assert "message 2 of CONFIG" in await log.alarm("config")
    log.project(Config())
    await log.passed("config", 3)
    assert await log.reader.fetchval("SELECT count(*) FROM organization") == 3
    assert await log.state("config") == ""


async def test_a_truncated_stream_stops_the_projection(log: Log) -> None:
    """Positions that are given out a second time must not be taken for applied."""
    log.project(Output())
    await log.passed("output", await log.publish(frame(1, 1), frame(2, 2)))
    await log.stop()
    await log.connection.jetstream().delete_stream(OUTPUT.name)
    await log.connection.jetstream().add_stream(name=OUTPUT.name, subjects=["output.*.*.*"])
    await log.publish(frame(1, 1))
    log.project(Output())
    assert (await log.alarm("output")).startswith("truncated: stream OUTPUT ends at 1")
    assert await _counters(log) == [1, 2]


async def test_a_restarted_nats_is_waited_out(log: Log, nats_server: NatsServer) -> None:
    """Killed in the middle of a stream: everything is there once."""
    log.project(Output())
    await log.passed("output", await log.publish(*(frame(n, n) for n in range(1, 51))))
    await asyncio.to_thread(nats_server.kill)
    await asyncio.to_thread(nats_server.start)
    await soon(lambda: log.connection.is_connected, 60)
    await log.passed("output", await log.publish(*(frame(n, n) for n in range(51, 101))))
    assert await _counters(log) == list(range(1, 101))


async def test_a_lost_postgres_connection_is_made_again(log: Log) -> None:
    """What was not committed is read again."""
    log.project(Output())
    await log.passed("output", await log.publish(frame(1, 1)))
    await log.reader.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await log.passed("output", await log.publish(*(frame(n, n) for n in range(2, 60))))
    assert await _counters(log) == list(range(1, 60))


async def test_a_crash_between_copy_and_commit_changes_nothing(log: Log) -> None:
    """The rows fall back with the checkpoint; the next process stores them once."""
    last = await log.publish(*(frame(n, n) for n in range(1, 201)))
    environment = {
        **os.environ,
        "PLAYLOG_NATS_URL": log.url,
        "PLAYLOG_POSTGRES_DSN": log.dsn,
        "PLAYLOG_KILL_POINT": str(signals.Point.COPY_BEFORE_COMMIT),
    }
    command = [sys.executable, "-m", "ops.cli.main", "projector", "--only", "output"]
    killed = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    assert await asyncio.to_thread(killed.wait, 60) == -9
    assert await log.position("output") == 0
    assert await _counters(log) == []
    log.project(Output())
    await log.passed("output", last)
    assert await _counters(log) == list(range(1, 201))


async def test_an_older_build_does_not_write_newer_tables(log: Log) -> None:
    """It waits; after the new build has switched, the old one's commits are refused."""
    log.project(Jobs())
    log.project(Output())
    await log.passed("output", await log.publish(frame(1, 1)))
    await log.passed("jobs", 0)
    await log.reader.execute("UPDATE checkpoint SET version = 99 WHERE projection = 'output'")
    await log.publish(frame(2, 2))
    newer = Output()
    newer.version = 99
    log.project(newer)
    await log.passed("output", 2)
    assert await _counters(log) == [1, 2]


async def test_what_no_code_foresaw_is_shown(log: Log) -> None:
    """A connection that fails in an unknown way: the alarm is raised, and it goes on after that."""
    healthy = log.opened
    faults = [RuntimeError("odd")]

    async def sometimes() -> Any:
        if faults:
            raise faults.pop()
        return await healthy()

    log.opened = sometimes  # type: ignore[method-assign]
    log.project(Output())
    await log.passed("output", await log.publish(frame(1, 1)))
    assert await log.state("output") == ""


def test_raw_messages_are_refused_where_envelopes_are_due() -> None:
    """CONFIG holds transactions."""
    with pytest.raises(Exception, match="envelopes"):
        Config().apply([RawMessage(sequence=1, subject="config.a.1", data=b"")])
