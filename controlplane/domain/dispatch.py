"""What the dispatcher decides from its board: commands to jobs, and which orders to send. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from controlplane.domain import placement
from controlplane.domain.board import Board
from controlplane.domain.job import Fail, Hold, JobState, Place, RequestCancel, Withdraw
from schemas.events.job import InventoryUpdateLaunch, inventory_of
from schemas.status import Status

REPUBLISH_AFTER_S = 30.0
"""An order that nobody claimed for so long is sent again: the claim makes that harmless."""
CLAIM_WITHIN_S = 300.0
"""A placement that nobody claimed for so long is withdrawn and decided anew."""
BY = "dispatcher"

Key = tuple[int, int]
"""(job, attempt)."""
Verdict = Fail | RequestCancel | Withdraw


def verdicts(board: Board, now: datetime) -> Iterator[tuple[int, Verdict]]:
    """Yield what must happen to jobs that can never run, or not where they were placed."""
    for job, state in list(board.active.items()):
        found = _verdict(board, job, state, now)
        if found is not None:
            yield job, found


def commands(board: Board, now: datetime) -> Iterator[tuple[int, Place | Hold]]:
    """Yield what placement decides, as far as it changes a pending job."""
    for decision in board.decisions(now):
        state = board.active.get(decision.job)
        if state is None or state.launched is None:
            continue
        match decision:
            case placement.Placed():
                yield decision.job, _place(board, state, decision)
            case placement.HeldBack(rule=rule, explanation=text):
                if (state.rule, state.explanation) != (rule, text):
                    yield decision.job, Hold(rule=rule, explanation=text)


def _verdict(board: Board, job: int, state: JobState, now: datetime) -> Verdict | None:
    launched = state.launched
    if launched is None:
        return None
    gone = board.gone(launched)
    if gone and not state.cancel_requested:
        text = f"This job cannot run: {gone} was deleted."
        if state.runner is None:
            return Fail(at=now, explanation=text)
        return RequestCancel(requested_by=BY, at=now, explanation=text)
    if state.status is Status.PENDING:
        unmet = board.unmet(launched)
        return Fail(at=now, explanation=unmet, status=Status.FAILED) if unmet else None
    if state.status is not Status.WAITING or state.runner is not None:
        return None
    why = board.unclaimable(state) or _overdue(board, job, now)
    return Withdraw(attempt=state.attempt, explanation=why) if why else None


def _overdue(board: Board, job: int, now: datetime) -> str:
    placed = board.placed_at.get(job)
    if placed is None or now - placed <= timedelta(seconds=CLAIM_WITHIN_S):
        return ""
    return f"No runner took the job within {CLAIM_WITHIN_S:.0f} s."


def _place(board: Board, state: JobState, decision: placement.Placed) -> Place:
    launched = state.launched
    record = launched.record if launched else None
    known = board.content_of(record) if record else None
    inventory = ""
    inputs: tuple[str, ...] = ()
    if launched is not None and isinstance(record, InventoryUpdateLaunch):
        pairs = zip(record.input_inventories, record.inputs, strict=True)
        inputs = tuple(board.content_after(launched, each) or was for each, was in pairs)
    elif launched is not None and record is not None:
        inventory = board.content_after(launched, inventory_of(record))
    return Place(
        group=decision.group,
        work_class=decision.work_class,
        runner=decision.runner,
        project_content=known.content if known else "",
        galaxy_content=known.galaxy if known else "",
        scm_revision=known.revision if known else "",
        inventory_content=inventory,
        inputs=inputs,
        jobs_position=board.jobs_position,
    )


class Outbox:
    """Which orders were sent when; forgetting it costs a repeated order, never a lost one."""

    def __init__(self) -> None:
        """Start without memory of what was sent."""
        self._sent: dict[Key, float] = {}

    def due(self, board: Board, now_s: float) -> Iterable[tuple[JobState, bool]]:
        """Return the placed, unclaimed attempts whose order is due, and whether it is again."""
        wanted = {
            (job, state.attempt): state
            for job, state in board.active.items()
            if state.status is Status.WAITING and state.runner is None
        }
        self._sent = {key: at for key, at in self._sent.items() if key in wanted}
        return [
            (state, key in self._sent)
            for key, state in wanted.items()
            if now_s - self._sent.get(key, now_s - REPUBLISH_AFTER_S) >= REPUBLISH_AFTER_S
        ]

    def sent(self, key: Key, now_s: float) -> None:
        """Remember that an attempt's order was sent."""
        self._sent[key] = now_s

    def clear(self) -> None:
        """Forget everything: another leader may have been at work meanwhile."""
        self._sent.clear()
