"""Answers runners that ask for an attempt: only an appended claim allows a start."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import structlog
from nats.aio.msg import Msg

from controlplane.domain import claiming
from controlplane.domain.errors import NotFound, Refused, Rejected, Unavailable
from controlplane.domain.job import JOB, Claim
from controlplane.domain.reporting import Heard
from controlplane.processes import newest_report
from controlplane.processes.loop import OUTAGES, Tools
from controlplane.shell.job_secrets import job_secrets
from controlplane.shell.transact import fold_history
from ops import clock, sealing
from schemas import subjects
from schemas.streams import CONFIG
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
            if not message.reply:
                return  # nobody would get the grant
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
        except OUTAGES as error:
            log.warning("claim not decided", why=repr(error))
            grant = Grant(granted=False, retry=True, reason="the log is not available")
        except Exception as error:
            log.exception("claim failed")
            grant = Grant(granted=False, retry=True, reason=type(error).__name__)
        await message.respond(msgspec.json.encode(grant))

    async def decide(self, tools: Tools, request: ClaimRequest) -> Grant:
        """Append the claim when the attempt may start, and return the grant; raises Rejected.

        What the grant carries is made first: a claim whose answer cannot be made holds the job up.
        """
        asked = await self._asked(tools, request)
        command = claiming.verdict(asked, tools.keeper.board)
        if isinstance(command, Claim):
            try:
                sealed = await self._sealed(tools, asked)
            except (KeyError, ValueError, msgspec.DecodeError):
                log.exception("secrets cannot be opened", job=request.job)
                command = claiming.unreadable(asked)
            else:
                return await self._grant(tools, asked, command, sealed)
        await tools.job(self.name, request.job, command)
        return Grant(granted=False, reason=command.explanation or "the job is over")

    async def _asked(self, tools: Tools, request: ClaimRequest) -> claiming.Asked:
        """Read the job from the log itself, and CONFIG to its end: a board may lag behind both."""
        config = await tools.store.last_sequence(CONFIG.name)
        await tools.keeper.reached(0, config)
        state = fold_history(JOB, await tools.store.load(subjects.job(request.job)))
        heard = Heard.NOTHING
        if state.launched is not None and state.runner == request.runner:
            attempt = Attempt(state.launched.organization or 0, request.job, request.attempt)
            heard = await newest_report.heard_of(tools.connection, attempt)
        return claiming.Asked(request=request, state=state, heard=heard, at=clock.now())

    @staticmethod
    async def _sealed(tools: Tools, asked: claiming.Asked) -> tuple[str, str]:
        """Return the secrets and the attempt's own NATS user, sealed to the runner.

        Raises KeyError or ValueError when the secrets cannot be opened.
        """
        request, launched = asked.request, asked.state.launched
        if launched is None:
            raise NotFound("Unified Job")
        secrets = await job_secrets(tools.store, tools.vault, launched)
        try:
            sealed = sealing.seal_to(request.sealing_key, msgspec.json.encode(secrets))
        except ValueError as error:
            raise Refused({"detail": f"nothing can be sealed to this runner: {error}"}) from error
        if tools.identity is None:
            return sealed, ""
        attempt = Attempt(launched.organization or 0, request.job, request.attempt)
        creds = tools.identity.job_user(attempt, clock.now() + CREDS_VALID)
        return sealed, sealing.seal_to(request.sealing_key, msgspec.json.encode(creds))

    async def _grant(
        self, tools: Tools, asked: claiming.Asked, command: Claim, sealed: tuple[str, str]
    ) -> Grant:
        """Append the claim; only then there is a grant."""
        job, board = asked.request.job, tools.keeper.board
        trace, placed = board.traces.get(job), board.placed_at.get(job)
        if trace and placed:
            key = f"queue-{job}-{command.attempt}"
            tools.tracer.record("queue", trace, (placed, clock.now()), key=key)
        await tools.job(self.name, job, command, traceparent=trace)
        return Grant(granted=True, sealed=sealed[0], nats_creds=sealed[1])
