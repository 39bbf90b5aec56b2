"""How loops are kept: one leader at a time, and nobody acts without the lease."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from controlplane.processes.board_keeper import BoardKeeper
from ops.leases import Lease, Lost
from ops.stopping import stopped
from tests.processes.floor import WITHIN_S, Floor
from tests.waiting import soon


async def test_work_ends_with_its_lease_even_if_it_misses_a_cancel(floor: Floor) -> None:
    """A cancel that meets an answer is swallowed by the library; the next one is not."""
    swallowed: list[str] = []
    ended = asyncio.Event()

    async def work() -> None:
        try:
            with contextlib.suppress(asyncio.CancelledError):
                swallowed.append("working")
                await asyncio.Event().wait()
            swallowed.append("swallowed")
            await asyncio.Event().wait()
        finally:
            ended.set()

    lease = Lease(floor.connection, "x", "a", 1)
    holding = asyncio.create_task(lease.run(work))
    await soon(lambda: swallowed == ["working"], WITHIN_S)
    holding.cancel()
    await asyncio.wait_for(ended.wait(), WITHIN_S)
    assert swallowed == ["working", "swallowed"]
    await asyncio.wait_for(Lease(floor.connection, "x", "b", 1).acquire(), WITHIN_S)


async def test_nobody_appends_whose_lease_ran_out(floor: Floor) -> None:
    """A process that stood still does not know yet that another leads: its clock tells it."""
    lease = Lease(floor.connection, "x", "a", 2)

    async def work() -> None:
        floor.tools.context("x")
        lease._renewed -= 10.0  # as after ten seconds in which the process stood still
        floor.tools.context("x")

    with pytest.raises(Lost):
        await asyncio.wait_for(lease.run(work), WITHIN_S)
    floor.tools.context("x")


async def test_a_board_that_starts_again_is_not_shown_before_it_is_current(floor: Floor) -> None:
    """Loops wait: they would decide on what was true when the snapshot was taken."""
    keeper = floor.tools.keeper
    await keeper.ready()
    await floor.stop()
    await floor.launch(1)
    again = asyncio.create_task(keeper.run())
    try:
        await soon(lambda: not keeper._ready.is_set() or 1 in keeper.board.active, WITHIN_S)
        changes = keeper.changes(60.0)
        await asyncio.wait_for(anext(changes), WITHIN_S)
        assert 1 in keeper.board.active
    finally:
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


class Stubborn(BoardKeeper):
    """A keeper of which one task swallows a cancel, as a request to NATS may."""

    async def _keep_snapshot(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()


async def test_a_board_ends_although_a_cancel_was_swallowed(floor: Floor) -> None:
    """The dispatcher stops when it is told to, whatever its libraries do with a cancel."""
    keeper = Stubborn(floor.connection, floor.store)
    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(WITHIN_S):
        await keeper.ready()
        await stopped([running])
    assert running.done()
