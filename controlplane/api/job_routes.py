"""Ending unified jobs, and their details: cancel and delete."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import job_lists
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import Refusal
from controlplane.api.guards import needs
from controlplane.api.job_render import PLURAL, can_cancel
from controlplane.api.launch_answers import caught_up, context_by, job_row, position_header
from controlplane.api.routing import routes
from controlplane.domain import slicing
from controlplane.domain.errors import Rejected
from controlplane.domain.job import JOB, Delete, RequestCancel
from controlplane.shell.transact import transact
from ops import clock
from schemas import subjects


def job_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of the details of unified jobs and of their ends."""
    handlers: list[HTTPRouteHandler] = []
    for kind, plural in PLURAL.items():
        base = f"/api/v2/{plural}/{{key:str}}"
        handlers += routes(
            base,
            {
                "GET": (needs("read", kind), job_lists.show_job),
                "DELETE": (needs("delete", kind), delete_job),
            },
            (needs("read", kind, missing=True), job_lists.describe_one(kind)),
        )
        handlers += routes(
            f"{base}/cancel",
            {
                "GET": (needs("read", kind), show_cancel),
                "POST": (needs("cancel", kind), cancel_job),
            },
            "Job Cancel",
        )
    return handlers


async def show_cancel(call: Call) -> Response[Any]:
    """Answer whether the job is still active."""
    async with call.read() as view:
        job = await job_row(view, call.target.id)
    return answer({"can_cancel": can_cancel(job)})


async def cancel_job(call: Call) -> Response[Any]:
    """Ask for the end of the job, and of the sync that serves it alone; 202, or 405."""
    context = context_by(call)
    async with call.read() as view:
        job = await job_row(view, call.target.id)
    if not can_cancel(job):
        raise Refusal(405, {"detail": 'Method "POST" not allowed.'})
    command = RequestCancel(requested_by=call.who.username, at=context.at)
    subject = subjects.job(call.target.id)
    done = await transact(call.services.store, subject, JOB, command, context)
    position = done.position
    launched = done.state.launched
    served = slicing.own_sync(launched) if launched is not None else None
    if served is not None:
        sync = subjects.job(served)
        own = msgspec.structs.replace(context, id=f"{context.id}-sync")
        with contextlib.suppress(Rejected):  # it may have ended
            position = (await transact(call.services.store, sync, JOB, command, own)).position
    await caught_up(call, position)
    return empty(202, position_header(position))


async def delete_job(call: Call) -> Response[Any]:
    """Take an ended job out of every read model; 204."""
    context = context_by(call)
    async with call.read() as view:
        job = await job_row(view, call.target.id)
        processed = await view.named("jobs_processed", [job["id"]])
    recently = job["finished"] and (clock.now() - job["finished"]).total_seconds() < 60  # noqa: PLR2004 - AWX's minute
    if recently and not processed:
        raise Refusal(400, {"error": "Job has not finished processing events."})
    command = Delete(requested_by=call.who.username)
    subject = subjects.job(call.target.id)
    done = await transact(call.services.store, subject, JOB, command, context)
    await caught_up(call, done.position)
    return empty(204, position_header(done.position))
