"""Answers runners that ask for an attempt: only an appended claim allows a start."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import structlog
from nats.aio.msg import Msg

from controlplane.domain.errors import Rejected, Unavailable
from controlplane.domain.job import Claim, Fail, JobState
from controlplane.processes.loop import Tools
from controlplane.shell.job_secrets import job_secrets
from ops import clock, sealing
from schemas import subjects
from schemas.subjects import Attempt
from schemas.work import ClaimRequest, Grant

log = structlog.get_logger()

QUEUE = "claims"
CREDS_VALID = timedelta(days=7)
"""An attempt's own NATS user outlives any job; it is useless once the attempt is superseded."""


class Claims:
    """The request/reply service; any number of processes may answer."""

    name = "claims"
    singleton = False

    async def run(self, tools: Tools) -> None:
        """Answer until cancelled."""
        await tools.keeper.ready()
        pending: set[asyncio.Task[None]] = set()

        async def received(message: Msg) -> None:
            task = asyncio.create_task(self._answer(tools, message), name="claim")
            pending.add(task)
            task.add_done_callback(pending.discard)

        subscription = await tools.connection.subscribe(
            subjects.claim("*"), queue=QUEUE, cb=received
        )
        try:
            await asyncio.Event().wait()
        finally:
            await subscription.unsubscribe()
            for task in pending:
                task.cancel()

    async def _answer(self, tools: Tools, message: Msg) -> None:
        try:
            request = msgspec.json.decode(message.data, type=ClaimRequest)
            if subjects.claim(request.runner) != message.subject:
                grant = Grant(granted=False, reason="asked in another runner's name")
            else:
                grant = await self.decide(tools, request)
        except msgspec.DecodeError as error:
            grant = Grant(granted=False, reason=f"not a claim: {error}")
        except Unavailable as error:
            grant = Grant(granted=False, retry=True, reason=str(error.body))
        except Rejected as error:
            grant = Grant(granted=False, reason=str(error.body.get("detail", error)))
        except Exception as error:
            log.exception("claim failed")
            grant = Grant(granted=False, retry=True, reason=type(error).__name__)
        await message.respond(msgspec.json.encode(grant))

    async def decide(self, tools: Tools, request: ClaimRequest) -> Grant:
        """Append the claim when the attempt may start, and return the grant; raises Rejected."""
        gone = await self._gone(tools, request.job)
        if gone:
            text = f"This job cannot run: {gone} was deleted."
            await tools.job(self.name, request.job, Fail(at=clock.now(), explanation=text))
            return Grant(granted=False, reason=text)
        command = Claim(attempt=request.attempt, runner=request.runner)
        board = tools.keeper.board
        trace, placed = board.traces.get(request.job), board.placed_at.get(request.job)
        if trace and placed:
            key = f"queue-{request.job}-{request.attempt}"
            tools.tracer.record("queue", trace, (placed, clock.now()), key=key)
        done = await tools.job(self.name, request.job, command, traceparent=trace)
        state = done.state
        if not isinstance(state, JobState) or state.launched is None:
            return Grant(granted=False, reason="the job is gone")
        secrets = await job_secrets(tools.store, tools.vault, state.launched)
        sealed = sealing.seal_to(request.sealing_key, msgspec.json.encode(secrets))
        return Grant(granted=True, sealed=sealed, nats_creds=self._creds(tools, request, state))

    async def _gone(self, tools: Tools, job: int) -> str:
        """Return what the job needs that is deleted, on a board that has read all of CONFIG."""
        config = await tools.store.last_sequence("CONFIG")
        await tools.keeper.reached(0, config)
        state = tools.keeper.board.active.get(job)
        if state is None or state.launched is None:
            return ""
        return tools.keeper.board.gone(state.launched)

    @staticmethod
    def _creds(tools: Tools, request: ClaimRequest, state: JobState) -> str:
        if tools.identity is None or state.launched is None:
            return ""
        attempt = Attempt(state.launched.organization or 0, request.job, request.attempt)
        creds = tools.identity.job_user(attempt, clock.now() + CREDS_VALID)
        return sealing.seal_to(request.sealing_key, msgspec.json.encode(creds))
