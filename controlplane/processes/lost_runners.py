"""Notices runners whose presence lapsed: their jobs wait a grace, then follow their policy."""

from __future__ import annotations

import structlog

from controlplane.domain.job import GiveUp, JobState, MarkLost, MarkRecovered
from controlplane.processes.loop import Tools
from controlplane.processes.presence import present_runners
from controlplane.shell.event_store import Conflict, SubjectPosition
from ops import clock
from schemas import subjects
from schemas.events.instance import InstanceAvailable, InstanceUnavailable
from schemas.work import Presence

log = structlog.get_logger()

PERIOD_S = 1.0
UNKNOWN_GRACE_S = 30.0
"""A present runner that does not know an attempt it claimed has lost it after this time."""


class LostRunners:
    """The loop; see the module."""

    name = "lost_runners"
    singleton = True

    def __init__(self) -> None:
        """Start with nobody missed."""
        self._missed: dict[tuple[int, int], float] = {}
        self._absent: dict[str, float] = {}

    async def run(self, tools: Tools) -> None:
        """Compare presence with the board each period."""
        await tools.keeper.ready()
        self._missed.clear()
        self._absent.clear()
        async for _ in tools.keeper.changes(PERIOD_S):
            present = await present_runners(tools.connection)
            await self._instances(tools, present)
            for job, state in list(tools.keeper.board.active.items()):
                if state.runner is not None:
                    await self._job(tools, job, state, present)

    async def _instances(self, tools: Tools, present: dict[str, Presence]) -> None:
        """Say of each instance whether it is there; a new one has time to show up."""
        now = clock.monotonic()
        for instance in list(tools.keeper.board.instances.values()):
            name = instance.hostname
            if name in present:
                self._absent.pop(name, None)
                if not instance.available:
                    event = InstanceAvailable(id=instance.id, at=clock.now())
                    await self._append(tools, instance.id, event)
            elif instance.available:
                since = self._absent.setdefault(name, now)
                if now - since > tools.settings.presence_ttl_s:
                    reason = "The runner's presence lapsed."
                    gone = InstanceUnavailable(id=instance.id, at=clock.now(), reason=reason)
                    await self._append(tools, instance.id, gone)

    async def _append(
        self, tools: Tools, number: int, event: InstanceAvailable | InstanceUnavailable
    ) -> None:
        subject = subjects.config("instance", number)
        history = await tools.store.load(subject)
        expected = SubjectPosition(history[-1].sequence if history else 0)
        try:
            position = await tools.store.append(
                subject,
                tools.context(self.name),
                (event,),
                keys=(f"instance:{number}",),
                expect=expected,
            )
        except Conflict:
            return
        await tools.keeper.reached(0, position)

    async def _job(
        self, tools: Tools, job: int, state: JobState, present: dict[str, Presence]
    ) -> None:
        runner = state.runner or ""
        key = (job, state.attempt)
        there = present.get(runner)
        if there is not None and key in there.running:
            self._missed.pop(key, None)
            if state.lost:
                await tools.job(self.name, job, MarkRecovered(attempt=state.attempt, runner=runner))
            return
        missed = clock.monotonic() - self._missed.setdefault(key, clock.monotonic())
        patience = tools.settings.presence_ttl_s if there is None else UNKNOWN_GRACE_S
        if missed < patience:
            return
        if not state.lost:
            grace = tools.settings.lost_grace_s
            text = f"Runner {runner} does not answer; waiting {grace:.0f} s for it to come back."
            await tools.job(self.name, job, MarkLost(runner=runner, explanation=text))
        elif missed > patience + tools.settings.lost_grace_s:
            text = f"Runner {runner} was lost while the job ran."
            command = GiveUp(attempt=state.attempt, at=clock.now(), explanation=text)
            await tools.job(self.name, job, command)
            self._missed.pop(key, None)
