"""Reads of a subject's history are never older than what was acknowledged before."""

from __future__ import annotations

from ops import direct
from ops.pull import StreamMessage


async def test_a_replica_that_lags_is_asked_until_it_shows_what_the_leader_has() -> None:
    """What a replica does not show yet is not taken for absent."""
    stored = [StreamMessage(number, "job.1", b"") for number in (3, 7)]
    answers = [[], stored[:1], stored]

    async def read() -> list[StreamMessage]:
        return answers.pop(0)

    async def last() -> int:
        return 7

    assert await direct.up_to_date(read, last) == stored
    assert answers == []


async def test_a_subject_without_messages_is_read_once() -> None:
    """Nothing is waited for when the leader knows of nothing."""

    async def read() -> list[StreamMessage]:
        return []

    async def last() -> int:
        return 0

    assert await direct.up_to_date(read, last) == []
