"""Whether a runner that asks for an attempt may start it. Pure.

A grant is given again to its holder as long as the attempt has not started, since the answer may
have been lost. A holder that asks has not started; so what prevents the start ends the job here.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from controlplane.domain.board import Board
from controlplane.domain.errors import NotFound, Refused, Unavailable
from controlplane.domain.isolation import able, lacking
from controlplane.domain.job import Claim, Fail, JobState
from controlplane.domain.reporting import Heard
from schemas.status import Status
from schemas.work import ClaimRequest


class Asked(Struct, frozen=True, kw_only=True):
    """A claim, and what stands in the log about its attempt."""

    request: ClaimRequest
    state: JobState
    heard: Heard
    """What the attempt's own reports say, whether or not the state shows it yet."""
    at: datetime


def verdict(asked: Asked, board: Board) -> Claim | Fail:
    """Return the command that answers a claim; a Fail refuses it and ends the job.

    The board must have read CONFIG to its end. Raises NotFound, Refused or Unavailable.
    """
    request, state = asked.request, asked.state
    launched = state.launched
    if launched is None or state.deleted:
        raise NotFound("Unified Job")
    claim = Claim(attempt=request.attempt, runner=request.runner)
    if not state.active or request.attempt != state.attempt:
        return claim
    if asked.heard is not Heard.NOTHING:
        raise Refused({"detail": f"attempt {request.attempt} has started"}, 409)
    gone = board.gone(launched)
    if gone:
        text = f"This job cannot run: {gone} was deleted."
        return Fail(at=asked.at, explanation=text, holder=request.runner)
    if state.cancel_requested and state.runner == request.runner:
        return Fail(
            at=asked.at,
            explanation=state.cancel_explanation,
            status=Status.CANCELED,
            holder=request.runner,
        )
    if state.lost:
        # It may be given up any moment: first the runner must be seen to hold it.
        raise Unavailable(f"Attempt {request.attempt} counts as lost.")
    _member(request, state, board)
    return claim


def unreadable(asked: Asked) -> Fail:
    """Return the end of a job whose secrets cannot be opened: no attempt could ever start."""
    text = "This job cannot run: its secrets cannot be opened with this deployment's keys."
    return Fail(at=asked.at, explanation=text, holder=asked.request.runner)


def _member(request: ClaimRequest, state: JobState, board: Board) -> None:
    """Refuse a runner that the attempt was not placed for: it must not see its secrets."""
    placed = state.placed
    if placed is None:
        return
    instance = board.instance_named(request.runner)
    if instance is None:
        raise Unavailable(f"Runner {request.runner} is not registered.")
    if placed.runner not in {None, request.runner} or placed.group not in instance.groups:
        raise Refused({"detail": f"attempt {request.attempt} was not placed for this runner"}, 409)
    needs = board.needs(state.launched) if state.launched else ()
    if not able(instance.isolation, needs):
        raise Refused({"detail": lacking(request.runner, needs)}, 409)
