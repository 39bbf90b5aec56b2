"""A connection to tables that fell back is refused; one that is merely slow to answer is not."""

from __future__ import annotations

import pytest

from controlplane.shell.catch_up import FellBack, Positions


class _Slow:
    """A connection that answers what stood when it was asked; meanwhile a projection moves."""

    def __init__(self, positions: Positions, stood: int, moves_to: int) -> None:
        self._positions = positions
        self._stood = stood
        self._moves_to = moves_to

    async def fetch(self, _: str) -> list[tuple[str, int]]:
        """Answer as Postgres does whose answer is overtaken by an announcement."""
        self._positions.learn("config", self._moves_to)
        return [("config", self._stood)]


async def test_a_commit_while_it_answers_is_no_falling_back() -> None:
    """Else a new connection of a busy API answers 503 now and then."""
    positions = Positions()
    positions.learn("config", 7)
    await positions.refuse_older(_Slow(positions, 7, 8))
    assert positions.of("config") == 8


async def test_tables_that_lost_their_end_are_refused() -> None:
    """What was known before Postgres was asked has to be there."""
    positions = Positions()
    positions.learn("config", 7)
    with pytest.raises(FellBack, match="config"):
        await positions.refuse_older(_Slow(positions, 6, 8))
