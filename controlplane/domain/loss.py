"""When a runner or an attempt counts as lost, recovered or given up. Pure but for its memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

import msgspec

from controlplane.domain.board import Board
from controlplane.domain.instance import MarkAvailable, MarkUnavailable
from controlplane.domain.job import GiveUp, JobState, MarkLost, MarkRecovered, run_by_runner
from controlplane.domain.reporting import Heard

UNKNOWN_GRACE_S = 30.0
"""A present runner that does not know an attempt it claimed has lost it after this time."""

Key = tuple[int, int]
"""(job, attempt)."""
Present = Mapping[str, Collection[Key]]
"""The runners that are there, and what each holds."""


class LossWatch:
    """Since when somebody is missed; forgetting it costs the time waited so far."""

    def __init__(self, presence_ttl_s: float, grace_s: float) -> None:
        """Nobody is missed yet."""
        self._presence_ttl_s = presence_ttl_s
        self._grace_s = grace_s
        self._missed: dict[Key, float] = {}
        self._absent: dict[str, float] = {}

    def instances(
        self, board: Board, present: Present, now_s: float, at: datetime
    ) -> Iterator[tuple[int, MarkAvailable | MarkUnavailable]]:
        """Yield what to say of each instance that came or went; a new one has time to show up."""
        for instance in list(board.instances.values()):
            name = instance.hostname
            if name in present:
                self._absent.pop(name, None)
                if not instance.available:
                    yield instance.id, MarkAvailable(at=at)
            elif instance.available:
                since = self._absent.setdefault(name, now_s)
                if now_s - since > self._presence_ttl_s:
                    reason = "The runner's presence lapsed."
                    yield instance.id, MarkUnavailable(at=at, reason=reason)

    def jobs(
        self, board: Board, present: Present, now_s: float, at: datetime
    ) -> Iterator[tuple[int, MarkLost | MarkRecovered | GiveUp]]:
        """Yield what the runners' absence means for the attempts they hold."""
        held = {
            (job, state.attempt): state
            for job, state in board.active.items()
            if state.runner is not None and run_by_runner(state)
        }
        self._missed = {key: since for key, since in self._missed.items() if key in held}
        for key, state in held.items():
            command = self._job(key, state, present.get(state.runner or ""), now_s, at)
            if command is not None:
                yield key[0], command

    def _job(
        self,
        key: Key,
        state: JobState,
        running: Collection[Key] | None,
        now_s: float,
        at: datetime,
    ) -> MarkLost | MarkRecovered | GiveUp | None:
        runner = state.runner or ""
        if running is not None and key in running:
            self._missed.pop(key, None)
            return MarkRecovered(attempt=state.attempt, runner=runner) if state.lost else None
        missed = now_s - self._missed.setdefault(key, now_s)
        patience = self._presence_ttl_s if running is None else UNKNOWN_GRACE_S
        if missed < patience:
            return None
        if not state.lost:
            what = "does not answer" if running is None else "does not know the job"
            text = f"Runner {runner} {what}; waiting {self._grace_s:.0f} s for it to come back."
            return MarkLost(runner=runner, explanation=text)
        if missed > patience + self._grace_s:
            unstarted = running is not None and not state.started
            what = "did not keep the job" if unstarted else "was lost while the job ran"
            text = f"Runner {runner} {what}."
            return GiveUp(attempt=state.attempt, at=at, explanation=text, unstarted=unstarted)
        return None


def confirmed(command: GiveUp, heard: Heard) -> GiveUp | None:
    """Return what to give up by what the attempt itself has reported, None when it has ended.

    Its end is on its way to the job, however late: trying again would run it twice.
    """
    match heard:
        case Heard.ENDED:
            return None
        case Heard.STARTED:
            return msgspec.structs.replace(command, unstarted=False)
        case Heard.NOTHING:
            return command
