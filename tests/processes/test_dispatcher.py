"""The dispatcher: placement before order, takeover without Postgres, orders that come again."""

from __future__ import annotations

import msgspec
import structlog.testing

from controlplane.domain.board import Board
from controlplane.domain.job import Place
from controlplane.processes import board_snapshot
from controlplane.processes.dispatcher import Dispatcher
from controlplane.processes.work_order import order_of
from schemas import subjects
from schemas.envelope import Recorded
from schemas.events.instance import InstanceAvailable, InstanceUnavailable
from schemas.events.job import AdHocLaunch
from schemas.events.resource import ResourceDeleted
from schemas.streams import CONFIG, JOBS, SNAPSHOTS, WORK
from tests.factories import NOW
from tests.processes.conftest import NewFloor
from tests.processes.floor import WITHIN_S, Floor
from tests.waiting import soon


async def _ordered(floor: Floor, job: int, attempt: int = 1) -> str:
    """Wait for an order and return its subject."""
    found: list[str] = []

    async def there() -> bool:
        found[:] = [
            subject
            for subject, order in await floor.orders()
            if (order.job, order.attempt) == (job, attempt)
        ]
        return bool(found)

    await soon(there, WITHIN_S)
    return found[0]


async def _whole(floor: Floor) -> Board:
    board = Board()
    for stream, apply in ((JOBS.name, board.apply_job), (CONFIG.name, board.apply_config)):
        last = await floor.store.last_sequence(stream)
        records: list[Recorded] = [each async for each in floor.store.read(stream, 1, last)]
        for record in records:
            apply(record)
    return board


async def test_the_placement_is_stored_and_the_order_is_sent(floor: Floor) -> None:
    """A job without a runner says why it is held, and goes out as soon as one is there."""
    floor.run(Dispatcher())
    await floor.launch(1)

    async def held() -> bool:
        return (await floor.state(1)).rule == "no_runner"

    await soon(held, WITHIN_S)
    await floor.runner("r1", 1)
    assert await _ordered(floor, 1) == subjects.work_group("default", 4)
    assert (await floor.becomes(1, "waiting")).attempt == 1


async def test_a_board_starts_from_its_snapshot_and_the_tail(new_floor: NewFloor) -> None:
    """What the snapshot has seen is not read again: here it is not even there any more.

    It is of many pieces, and a newer one that was cut off before its end counts for nothing.
    """
    first = await new_floor()
    await first.runner("r1", 1)
    for job in (1, 2, 3):
        await first.launch(job)
    await first.job(1, Place(group="default", work_class=4))
    stored = await _whole(first)
    context = first.connection.jetstream()
    head = await board_snapshot.save(first.connection, stored, None, 1000)
    assert head.pieces > 1
    await board_snapshot.save(first.connection, Board(), head)
    again = await board_snapshot.save(first.connection, stored, None, 1000)
    assert again == head
    cut_off = subjects.kv(SNAPSHOTS.name, f"{board_snapshot.HEAD}-1-0")
    await context.publish(cut_off, b"{")
    await first.job(2, Place(group="default", work_class=4))
    await first.launch(4)
    expected = await _whole(first)
    await context.purge_stream(JOBS.name, seq=stored.jobs_position)
    second = await new_floor()
    await second.tools.keeper.ready()
    assert second.tools.keeper.board == expected


async def test_a_snapshot_that_cannot_be_read_costs_the_tail_only_time(floor: Floor) -> None:
    """The board is made anew from the log."""
    context = floor.connection.jetstream()
    await context.publish(subjects.kv(SNAPSHOTS.name, board_snapshot.HEAD), b"{broken")
    await floor.launch(1)
    await floor.tools.keeper.ready()
    await floor.tools.keeper.caught_up()
    assert set(floor.tools.keeper.board.active) == {1}


async def test_the_next_leader_goes_on_where_the_dead_one_was(new_floor: NewFloor) -> None:
    """It places what came after, and counts what the dead one placed."""
    first, second = await new_floor(), await new_floor()
    await second.runner("r1", 1)
    first.run(Dispatcher())
    await second.launch(1, impact=6)
    await _ordered(second, 1)
    await first.die()
    second.run(Dispatcher())
    await second.launch(2, impact=2)
    await second.launch(3, impact=6)
    await _ordered(second, 2)

    async def held() -> bool:
        return (await second.state(3)).rule == "capacity"

    await soon(held, WITHIN_S)
    assert (await second.state(1)).attempt == 1


async def test_an_order_that_was_lost_is_stored_again(floor: Floor) -> None:
    """The server would drop a repetition under the same id; it has another one."""
    launched = await floor.launch(1)
    await floor.job(1, Place(group="default", work_class=4))
    placed = (await floor.state(1)).placed
    assert placed is not None
    dispatcher, order = Dispatcher(), order_of(launched, placed, Board().setting)
    await dispatcher._publish(floor.tools, order, placed, again=False)
    await floor.connection.jetstream().purge_stream(WORK.name)
    await dispatcher._publish(floor.tools, order, placed, again=False)
    assert await floor.orders() == []
    await dispatcher._publish(floor.tools, order, placed, again=True)
    assert [each.job for _, each in await floor.orders()] == [1]


async def test_a_placement_for_a_runner_that_went_away_is_withdrawn(floor: Floor) -> None:
    """The job is pending again, says why, and is placed when somebody is there."""
    await floor.runner("r1", 1)
    floor.run(Dispatcher())
    await floor.launch(1)
    await _ordered(floor, 1)
    subject = subjects.config("instance", 1)
    await floor.config(subject, InstanceUnavailable(id=1, at=NOW, reason="lapsed"))
    state = await floor.becomes(1, "pending")
    assert "No enabled runner is present in default." in state.explanation
    await floor.config(subject, InstanceAvailable(id=1, at=NOW))
    await _ordered(floor, 1, attempt=2)


async def test_a_job_that_no_order_can_be_made_of_holds_up_nobody(floor: Floor) -> None:
    """It ends; the jobs behind it go out."""
    await floor.runner("r1", 1)
    broken = msgspec.structs.replace((await floor.launch(9)).record, extra_vars="[1]")
    await floor.launch(1, record=broken)
    await floor.launch(2)
    floor.run(Dispatcher())
    state = await floor.becomes(1, "error")
    assert "no work order can be made" in state.explanation
    await _ordered(floor, 2)


async def test_an_ad_hoc_command_with_templates_ends_with_the_reason(floor: Floor) -> None:
    """It is taken and ends in error, as in AWX; nothing broke that would need a traceback."""
    await floor.runner("r1", 1)
    record = AdHocLaunch(inventory=3, module_name="command", module_args="echo {{ secret }}")
    await floor.launch(1, record=record)
    with structlog.testing.capture_logs() as logged:
        floor.run(Dispatcher())
        state = await floor.becomes(1, "error")
        await floor.launch(2)
        await _ordered(floor, 2)
    assert state.explanation.endswith("Inline Jinja variables are not allowed.")
    assert [each["log_level"] for each in logged if each["event"] == "no order"] == ["warning"]


async def test_a_job_on_a_deleted_resource_never_goes_out(floor: Floor) -> None:
    """The deletion came between launch and placement."""
    await floor.runner("r1", 1)
    await floor.launch(1, depends=("inventory:3",))
    await floor.config(subjects.config("inventory", 3), ResourceDeleted(kind="inventory", id=3))
    floor.run(Dispatcher())
    await floor.becomes(1, "error")
    assert await floor.orders() == []
