"""Which attempts runners must be told to end, now. Pure but for its memory.

A request is repeated until the attempt is over: the agent that was told may have been lost before
it ended anything. An attempt that its job has left (given up, and the runner came back) is ended
too: nothing runs that no job stands for.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from controlplane.domain.board import Board
from controlplane.domain.job import run_by_runner
from controlplane.domain.loss import Key, Present
from schemas.status import Status

REPEAT_S = 10.0
"""A runner that has confirmed is told again after this time."""
LEFT_AFTER_S = 5.0
"""What a runner holds of a job that has moved on is left alone so long: it may just be ending."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One request to a runner; ``wanted`` when the job waits for its confirmation."""

    job: int
    attempt: int
    runner: str
    wanted: bool


class Deliveries:
    """When each request was delivered last; forgetting it costs a harmless repetition."""

    def __init__(self) -> None:
        """Nothing was delivered yet."""
        self._told: dict[Key, float] = {}
        self._left: dict[Key, float] = {}

    def due(self, board: Board, present: Present, now_s: float) -> list[Delivery]:
        """Return what to deliver; the board must have been read to the end after ``present``."""
        found = [*self._requested(board), *self._abandoned(board, present, now_s)]
        keys = {(each.job, each.attempt) for each in found}
        self._told = {key: at for key, at in self._told.items() if key in keys}
        return [
            each
            for each in found
            if now_s - self._told.get((each.job, each.attempt), now_s - REPEAT_S) >= REPEAT_S
        ]

    def delivered(self, delivery: Delivery, now_s: float) -> None:
        """Remember that a runner has confirmed."""
        self._told[delivery.job, delivery.attempt] = now_s

    @staticmethod
    def _requested(board: Board) -> Iterator[Delivery]:
        for job, state in board.active.items():
            if state.cancel_requested and state.runner is not None and run_by_runner(state):
                yield Delivery(
                    job=job,
                    attempt=state.attempt,
                    runner=state.runner,
                    wanted=not state.cancel_delivered,
                )

    def _abandoned(self, board: Board, present: Present, now_s: float) -> list[Delivery]:
        held = {
            (job, attempt): runner
            for runner, running in present.items()
            for job, attempt in running
            if _left(board, job, attempt, runner)
        }
        self._left = {key: self._left.get(key, now_s) for key in held}
        return [
            Delivery(job=job, attempt=attempt, runner=runner, wanted=False)
            for (job, attempt), runner in held.items()
            if now_s - self._left[job, attempt] >= LEFT_AFTER_S
        ]


def _left(board: Board, job: int, attempt: int, runner: str) -> bool:
    """Tell whether a runner holds what its job stands for no more; an order in hand is no hold."""
    state = board.active.get(job)
    if state is None or state.attempt != attempt or state.status is Status.PENDING:
        return True
    return state.runner not in {None, runner}
