"""The writer of CONFIG: several of them over a real log, and nobody's trouble is another's."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from nats.aio.client import Client

from controlplane.domain.errors import Refused, Rejected, Unavailable
from controlplane.shell.catch_up import CatchUp, Positions
from controlplane.shell.config_writer import (
    Appended,
    ConfigView,
    ConfigWriter,
    Prepare,
    Prepared,
    postgres_views,
)
from controlplane.shell.jetstream_store import JetStreamStore
from ops import connect, ids, postgres
from ops.stopping import stopped
from projections.resources import Config
from schemas.events.resource import ResourceCreated, ResourceDeleted
from schemas.streams import CONFIG
from tests.factories import context
from tests.projections.rig import Log, opened_log
from tests.servers import NatsServer
from tests.waiting import soon

_numbers: Iterator[int] = iter(range(1, 1_000_000))


@pytest.fixture
async def log(nats_url: str, postgres_dsn: str) -> AsyncIterator[Log]:
    """A log whose CONFIG is projected."""
    async with opened_log(nats_url, postgres_dsn) as started:
        started.project(Config())
        await started.passed("config", 0)
        yield started


class Held:
    """Appends that are asked for and wait to be told."""

    def __init__(self) -> None:
        """Nothing is asked, nothing told."""
        self.asked = asyncio.Event()
        self.told = asyncio.Event()


class SlowStore(JetStreamStore):
    """A log that takes an append only when told, as one does whose acknowledgement was lost."""

    def __init__(self, connection: Client, held: Held) -> None:
        """Append over ``connection`` once told."""
        super().__init__(connection)
        self._held = held

    async def append(self, *arguments: Any, **options: Any) -> int:
        """Wait, then store."""
        self._held.asked.set()
        await self._held.told.wait()
        return await super().append(*arguments, **options)


@contextlib.asynccontextmanager
async def writing(
    log: Log, within_s: float = 20.0, held: Held | None = None
) -> AsyncIterator[ConfigWriter]:
    """A writer with connections of its own, as another process has; ``held`` delays its appends."""
    connection = await connect.connect_nats(log.url, None, "writer")
    pool = await postgres.connect_pool(log.dsn, None, size=3)
    catch_up = CatchUp(pool, Positions())
    await catch_up.start(connection)
    store = SlowStore(connection, held) if held else JetStreamStore(connection)
    writer = ConfigWriter(store, postgres_views(pool), catch_up, connection, within_s)
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        await stopped([task])
        await pool.close()
        await connect.close_quietly(connection)


def create(name: str) -> Prepare:
    """Create an organization, unless the name is taken."""
    number = next(_numbers)

    async def prepare(view: ConfigView) -> Prepared:
        taken = await view.connection.fetchval("select id from organization where name = $1", name)
        if taken is not None:
            raise Refused({"name": "taken"})
        return Prepared(
            subject=f"config.organization.{number}",
            events=(ResourceCreated(kind="organization", id=number, values={"name": name}),),
            reads=frozenset({f"organization/name/{name}"}),
            writes=frozenset({f"organization:{number}", f"organization/name/{name}"}),
        )

    return prepare


async def submit(writer: ConfigWriter, prepare: Prepare) -> Appended | Rejected:
    """Return what a command came to."""
    try:
        return await writer.submit(prepare, context(ids.new_id()))
    except Rejected as error:
        return error


async def test_of_many_creators_of_a_name_one_wins(log: Log) -> None:
    """Sixteen clients of two processes want the same twenty names: no error but "taken"."""

    async def client(writer: ConfigWriter, offset: int) -> list[Appended | Rejected]:
        return [await submit(writer, create(f"n{(each + offset) % 20}")) for each in range(20)]

    async with writing(log) as one, writing(log) as two:
        found = await asyncio.gather(*(client((one, two)[n % 2], n) for n in range(16)))
    answers = [answer for each in found for answer in each]
    assert len([each for each in answers if isinstance(each, Appended)]) == 20
    assert not [each for each in answers if isinstance(each, Unavailable)]
    await log.passed("config", 20)
    names = [row["name"] for row in await log.reader.fetch("select name from organization")]
    assert Counter(names) == Counter(f"n{n}" for n in range(20))


async def test_a_command_that_is_always_overtaken_ends_by_its_turn(log: Log) -> None:
    """Slow, and it reads what another process writes all the time: five conflicts, then a turn."""
    rounds = 0
    busy = asyncio.Event()

    async def slow(view: ConfigView) -> Prepared:
        nonlocal rounds
        rounds += 1
        seen = await view.connection.fetchval("select count(*) from organization")
        busy.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(busy.wait(), 0.5)
        number = next(_numbers)
        return Prepared(
            subject=f"config.organization.{number}",
            events=(ResourceCreated(kind="organization", id=number, values={"name": "slow"}),),
            reads=frozenset({"hot"}),
            writes=frozenset({f"organization:{number}"}),
            result=seen,
        )

    async def hot(view: ConfigView) -> Prepared:
        made = await create(ids.new_id())(view)
        return Prepared(
            subject=made.subject,
            events=made.events,
            reads=made.reads,
            writes=made.writes | {"hot"},
        )

    async with writing(log) as one, writing(log) as two:
        ended = asyncio.create_task(submit(one, slow))
        while not ended.done():
            assert isinstance(await submit(two, hot), Appended)
            busy.set()
            await asyncio.wait({ended}, timeout=0.001)
        answer = await ended
    assert isinstance(answer, Appended)
    assert 2 <= rounds <= 20
    assert answer.result == answer.position - 1, "serialisable: it saw all that came before it"


async def test_who_is_appended_behind_another_writer_has_read_what_it_wrote(log: Log) -> None:
    """Two are under way at once; another's message stands where the first of them was to stand.

    The second hangs on what that message deletes: it is prepared again, and refused.
    """

    async def child(view: ConfigView) -> Prepared:
        if not await view.connection.fetchval("select count(*) from organization where id = 900"):
            raise Refused({"organization": "gone"})
        return Prepared(
            subject="config.inventory.901",
            events=(ResourceCreated(kind="inventory", id=901, values={"organization": 900}),),
            reads=frozenset({"organization:900"}),
            writes=frozenset({"inventory:901"}),
        )

    parent = ResourceCreated(kind="organization", id=900, values={"name": "parent"})
    other = JetStreamStore(log.connection)
    made = await other.append("config.organization.900", context("parent"), [parent])
    await log.passed("config", made)
    held = Held()
    async with writing(log, held=held) as writer:
        both = [asyncio.create_task(submit(writer, each)) for each in (create("one"), child)]
        await held.asked.wait()
        gone = ResourceDeleted(kind="organization", id=900)
        keys = ["organization:900"]
        await other.append("config.organization.900", context("gone"), [gone], keys=keys)
        held.told.set()
        first, second = await asyncio.gather(*both)
    assert isinstance(first, Appended)
    assert isinstance(second, Refused)
    assert await other.last_sequence(CONFIG.name) == first.position == made + 2


async def test_nobody_follows_a_message_that_he_has_not_looked_at(log: Log) -> None:
    """Two are prepared together; another's message stands where the first of them was to stand.

    The second hangs on what that message deletes: it is prepared again, and refused.
    """

    async def child(view: ConfigView) -> Prepared:
        if not await view.connection.fetchval("select count(*) from organization where id = 900"):
            raise Refused({"organization": "gone"})
        return Prepared(
            subject="config.inventory.901",
            events=(ResourceCreated(kind="inventory", id=901, values={"organization": 900}),),
            reads=frozenset({"organization:900"}),
            writes=frozenset({"inventory:901"}),
        )

    parent = ResourceCreated(kind="organization", id=900, values={"name": "parent"})
    other = JetStreamStore(log.connection)
    made = await other.append("config.organization.900", context("parent"), [parent])
    held = Held()
    async with writing(log, held=held) as writer:
        both = [asyncio.create_task(submit(writer, each)) for each in (create("one"), child)]
        await held.asked.wait()
        gone = ResourceDeleted(kind="organization", id=900)
        keys = ["organization:900"]
        await other.append("config.organization.900", context("gone"), [gone], keys=keys)
        held.told.set()
        first, second = await asyncio.gather(*both)
    assert isinstance(first, Appended)
    assert isinstance(second, Refused)
    assert await other.last_sequence(CONFIG.name) == first.position == made + 2


async def test_a_value_that_postgres_refuses_is_that_commands_trouble(log: Log) -> None:
    """The others of its round are answered as if it had not been there."""

    async def bad(view: ConfigView) -> Prepared:
        await view.connection.fetchval("select 1 / $1::integer", 0)
        raise AssertionError

    async def large(view: ConfigView) -> Prepared:
        await view.connection.fetchval("select $1::bigint", 2**70)
        raise AssertionError

    async def broken(view: ConfigView) -> Prepared:
        raise ZeroDivisionError

    async with writing(log) as writer:
        commands = [create("a"), bad, create("b"), large, create("c")]
        answers = await asyncio.gather(*(submit(writer, each) for each in commands))
        assert [isinstance(each, Appended) for each in answers] == [True, False, True, False, True]
        assert [each.status for each in answers if isinstance(each, Rejected)] == [400, 400]
        with pytest.raises(ZeroDivisionError):
            await writer.submit(broken, context("x"))


async def test_a_caller_that_leaves_disturbs_nobody(log: Log) -> None:
    """Cancelled while its command waits, is prepared or is appended."""
    async with writing(log) as writer:
        tasks = [asyncio.create_task(submit(writer, create(f"n{n}"))) for n in range(60)]
        for index, task in enumerate(tasks):
            if index % 3 == 0:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.0005)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(await submit(writer, create("last")), Appended)
    stayed = [each for index, each in enumerate(answers) if index % 3]
    assert all(isinstance(each, Appended) for each in stayed)


async def test_a_log_that_is_killed_loses_and_doubles_nothing(
    log: Log, nats_server: NatsServer
) -> None:
    """Whoever was told that it is stored finds it stored once; who was refused does not."""
    stored: list[str] = []
    refused: list[str] = []
    enough = asyncio.Event()

    async def client(writer: ConfigWriter, own: int) -> None:
        for number in range(30):
            name = f"c{own}-{number}"
            answer = await submit(writer, create(name))
            (stored if isinstance(answer, Appended) else refused).append(name)
            if len(stored) == 60:
                enough.set()

    async with writing(log) as one, writing(log) as two:
        clients = [asyncio.create_task(client((one, two)[n % 2], n)) for n in range(8)]
        await enough.wait()
        await asyncio.to_thread(nats_server.kill)
        await asyncio.to_thread(nats_server.start)
        await asyncio.wait_for(asyncio.gather(*clients), 90)

        async def works() -> bool:
            return isinstance(await submit(one, create(ids.new_id())), Appended)

        await soon(works, 60)
    names = [row["name"] for row in await log.reader.fetch("select name from organization")]
    kept = Counter(name for name in names if name.startswith("c"))
    assert kept == Counter(stored)
    assert not set(refused) & set(kept)


async def test_who_waits_behind_an_append_without_outcome_is_refused(log: Log) -> None:
    """Nothing of theirs is stored; what is under way is answered when the log has spoken."""
    held = Held()
    async with writing(log, 0.5, held) as writer:
        first = asyncio.create_task(submit(writer, create("first")))
        beside = asyncio.create_task(submit(writer, create("beside")))
        await held.asked.wait()
        behind = [asyncio.create_task(submit(writer, create(f"b{n}"))) for n in range(3)]
        assert [type(await each) for each in (beside, *behind)] == [Unavailable] * 4
        assert not first.done()
        held.told.set()
        assert isinstance(await first, Appended)
        assert isinstance(await submit(writer, create("last")), Appended)
    await log.passed("config", 2)
    names = [row["name"] for row in await log.reader.fetch("select name from organization")]
    assert sorted(names) == ["first", "last"]


async def test_lost_postgres_connections_refuse_for_a_moment(log: Log) -> None:
    """Commands of that round are refused with nothing stored, the next ones work."""

    async def cut(view: ConfigView) -> Prepared:
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            await log.reader.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        await view.connection.fetchval("select 1")
        raise AssertionError

    async with writing(log) as writer:
        assert isinstance(await submit(writer, cut), Unavailable)

        async def works() -> bool:
            return isinstance(await submit(writer, create(ids.new_id())), Appended)

        await soon(works, 60)
