"""Rebuilding from the log: beside the live tables, compared, switched, while writes go on."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from ops import postgres
from projections.checkpoint import Connection
from projections.job_events import Output
from projections.projection import Projection
from projections.rebuild import Rebuild, Rebuilding, TableResult
from projections.resources import Config
from projections.truncation import Truncated
from schemas import envelope
from schemas.events.resource import ResourceDeleted
from schemas.streams import OUTPUT
from tests.projections.rig import Log, context, event, frame
from tests.projections.test_config import granted, link, made
from tests.waiting import soon

LEFT = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'playlog_rebuild%'"


async def rebuilt(log: Log, projection: Projection, *, switch: bool = True) -> list[TableResult]:
    """Rebuild over a connection of its own."""
    own = await log.opened()
    try:
        return await Rebuild(projection, log.connection, own).run(switch=switch)
    finally:
        await own.close()


async def _configured(log: Log) -> int:
    transactions: list[tuple[Any, ...]] = [
        (made("organization", 1), made("inventory", 1, organization=1)),
        tuple(made("host", number, inventory=1) for number in range(1, 200)),
        (made("group", 1, inventory=1), link("group", 1, "hosts", 1)),
        (granted(3, "inventory", 1, "use"), ResourceDeleted(kind="host", id=5)),
    ]
    position = 0
    for number, events in enumerate(transactions):
        body = envelope.encode(context(f"r{number}"), events)
        ack = await log.connection.jetstream().publish("config.any.1", body)
        position = ack.seq
    return position


async def test_a_rebuild_gives_the_same_tables_and_switches(log: Log) -> None:
    """Live and rebuilt are identical, the switched tables take what comes next."""
    log.project(Config())
    await log.passed("config", await _configured(log))
    results = await rebuilt(log, Config())
    assert {each.table for each in results} == set(Config().tables())
    assert all(each.same for each in results)
    assert next(each for each in results if each.table == "host").live.rows == 198
    body = envelope.encode(context("next"), (made("host", 900, inventory=1),))
    ack = await log.connection.jetstream().publish("config.host.900", body)
    await log.passed("config", ack.seq)
    assert await log.reader.fetchval("SELECT count(*) FROM host") == 199
    assert await log.reader.fetchval("SELECT total_hosts FROM inventory") == 199
    assert await log.reader.fetchval(LEFT) == 0


async def test_writes_and_reads_go_on_while_tables_are_switched(log: Log) -> None:
    """Readers never miss the tables, nothing is lost or stored twice over three switches."""
    log.project(Output())
    await log.passed("output", await log.publish(*(frame(n, n) for n in range(1, 201))))
    done = asyncio.Event()
    position = 200

    async def write() -> None:
        nonlocal position
        while not done.is_set():
            position = await log.publish(frame(position + 1, position + 1))

    async def read() -> int:
        pool = await postgres.connect_pool(log.dsn, None, size=2)
        seen = 0
        while not done.is_set():
            count = await pool.fetchval("SELECT count(*) FROM job_event WHERE job = 7")
            assert count >= seen
            seen = count
        await pool.close()
        return seen

    tasks = [asyncio.create_task(each) for each in (write(), read())]
    for _ in range(3):
        results = await rebuilt(log, Output())
        assert all(each.same for each in results)
    done.set()
    await asyncio.gather(*tasks)
    await log.passed("output", position)
    counters = [
        row[0] for row in await log.reader.fetch("SELECT counter FROM job_event ORDER BY 1")
    ]
    assert counters == list(range(1, position + 1))


async def test_a_switch_that_waits_for_a_reader_keeps_no_other_waiting(log: Log) -> None:
    """It gives way and tries again, and is done once the long reader is."""
    log.project(Output())
    await log.passed("output", await log.publish(frame(1, 3)))
    reading = await log.opened()
    transaction = reading.transaction()
    await transaction.start()
    assert await reading.fetchval("SELECT count(*) FROM job_event") == 3
    switching = asyncio.create_task(rebuilt(log, Output()))
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"

    async def waiting() -> bool:
        return bool(await log.reader.fetchval(waits))

    for _ in range(2):
        await soon(waiting, 30)
        async with asyncio.timeout(15):
            assert await log.reader.fetchval("SELECT count(*) FROM job_event") == 3
        assert not switching.done()
    await transaction.rollback()
    await reading.close()
    assert all(each.same for each in await switching)
    last = await log.publish(frame(4, 4))
    await log.passed("output", last)
    assert await log.reader.fetchval("SELECT count(*) FROM job_event") == 4


async def test_poison_is_left_out_of_a_rebuild_as_it_was_live(log: Log) -> None:
    """Also what only Postgres refused, and frames that came twice."""
    log.project(Output())
    nul = frame(1, 1, (8, 1), events=(event(1, stdout="\0"),))
    told = (frame(1, 2), b"no frame", nul, frame(1, 2), frame(2, 60))
    await log.passed("output", await log.publish(*told))
    results = await rebuilt(log, Output(), switch=False)
    assert [(each.table, each.live.rows, each.same) for each in results] == [
        ("job_event", 60, True),
        ("job_output", 1, True),
    ]


async def test_a_table_that_was_tampered_with_is_found_and_mended(log: Log) -> None:
    """Verifying names the table and changes nothing; a rebuild puts the log's rows back."""
    log.project(Output())
    await log.passed("output", await log.publish(frame(1, 3)))
    await log.reader.execute("UPDATE job_event SET stdout = 'forged' WHERE counter = 2")
    found = await rebuilt(log, Output(), switch=False)
    assert [each.same for each in found] == [False, True]
    assert await log.reader.fetchval("SELECT count(*) FROM job_event WHERE stdout = 'forged'") == 1
    await rebuilt(log, Output())
    assert all(each.same for each in await rebuilt(log, Output(), switch=False))


class Wider(Output):
    """The next version: a table with one more column."""

    version = Output.version + 1

    def ddl(self) -> list[str]:
        """Add a column."""
        return [*super().ddl(), "ALTER TABLE job_output ADD COLUMN more text NOT NULL DEFAULT 'x'"]


async def test_a_new_version_builds_itself_beside_the_old(log: Log) -> None:
    """The old build is fenced, also when it is started again; the new one goes on."""
    old = log.project(Output())
    await log.passed("output", await log.publish(frame(1, 3)))
    log.project(Wider())

    async def switched() -> bool:
        found = await log.reader.fetchval("SELECT version FROM checkpoint")
        return bool(found == Wider.version)

    await soon(switched, 60)
    assert await log.reader.fetchval("SELECT more FROM job_output") == "x"
    await log.passed("output", await log.publish(frame(4, 5)))
    old.cancel()
    log.project(Output())
    await log.passed("output", await log.publish(frame(6, 7)))
    assert await log.reader.fetchval("SELECT count(*) FROM job_event") == 7
    assert await log.reader.fetchval("SELECT version FROM checkpoint") == Wider.version
    assert await log.reader.fetchval(LEFT) == 0


async def test_a_truncated_log_replaces_nothing(log: Log) -> None:
    """Tables that hold more than the log are worth more than it."""
    log.project(Output())
    await log.passed("output", await log.publish(frame(1, 3), frame(4, 4)))
    await log.stop()
    await log.connection.jetstream().delete_stream(OUTPUT.name)
    await log.connection.jetstream().add_stream(name=OUTPUT.name, subjects=["output.*.*.*"])
    with pytest.raises(Truncated):
        await rebuilt(log, Output())
    assert await log.reader.fetchval("SELECT count(*) FROM job_event") == 4


async def test_one_rebuild_of_a_projection_at_a_time(log: Log) -> None:
    """The second is refused; what a killed one left is cleared by the next."""
    log.project(Output())
    await log.passed("output", await log.publish(frame(1, 3)))
    await log.reader.execute("CREATE SCHEMA playlog_rebuild_output_killed")
    holder: Connection = await asyncpg.connect(log.dsn)
    await holder.execute("SELECT pg_advisory_lock($1, hashtext('output'))", 0x50524F4A)
    with pytest.raises(Rebuilding):
        await rebuilt(log, Output())
    await holder.close()

    async def free() -> bool:
        return not await log.reader.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype='advisory'"
        )

    await soon(free)
    assert all(each.same for each in await rebuilt(log, Output()))
    assert await log.reader.fetchval(LEFT) == 0
