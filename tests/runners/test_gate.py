"""How many attempts start at once."""

from __future__ import annotations

import asyncio

from runners.gate import StartGate
from tests.waiting import soon


async def test_turns_are_given_as_they_come_back() -> None:
    """Two places: the third waits until one of the two has ended its turn, once."""
    gate = StartGate(2)
    first, second = await gate.turn(), await gate.turn()
    third = asyncio.create_task(gate.turn())
    fourth = asyncio.create_task(gate.turn())
    first.end()
    first.end()
    await soon(third.done)
    assert not fourth.done()
    second.end()
    (await third).end()
    (await fourth).end()


async def test_who_gives_up_waiting_takes_no_turn() -> None:
    """A canceled attempt that waits leaves its place to the next."""
    gate = StartGate(1)
    first = await gate.turn()
    waiting = asyncio.create_task(gate.turn())
    await asyncio.wait({waiting}, timeout=0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    first.end()
    (await gate.turn()).end()
