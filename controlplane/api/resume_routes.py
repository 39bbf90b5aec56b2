"""Going on with a failed job at its failed task, where nothing before it would be missing."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import nats.errors
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from nats.js.errors import Error as JetStreamError

from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, Busy
from controlplane.api.guards import needs
from controlplane.api.launch_answers import job_row, launched, once
from controlplane.api.relaunch_routes import run_again
from controlplane.api.routing import routes
from controlplane.domain import launch, resume
from controlplane.domain.resume import Resumption
from controlplane.shell import launch_lookups
from controlplane.shell.project_content import verified
from controlplane.shell.project_texts import TextsUnknown, project_texts
from controlplane.shell.read_model import Row
from controlplane.shell.run_facts import TooMuch, run_facts
from schemas.events.job import PlaybookLaunch, ProjectContent

HOSTS_SHOWN = 1000
_SAME = ("playbook", "project", "inventory", "job_type", "job_tags", "skip_tags")
"""What a template must still say: another playbook or other hosts are no continuation."""
_COLUMNS = {"project": "project_id", "inventory": "inventory_id"}
_NOT_YET = "The job's events are not all there yet."
_SLICE = "The job is one slice of several."
_UNVERIFIED = "The job's revision has not been verified by who signs the project now."


def resume_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of resuming."""
    return routes(
        "/api/playlog/jobs/{key:str}/resume",
        {
            "GET": (needs("read", "job"), show_resumption),
            "POST": (needs("start", "job"), once(resume_job)),
        },
        "Job Resume",
    )


async def show_resumption(call: Call) -> Response[Any]:
    """Answer whether the job can be resumed, where and on which hosts, or why not."""
    job, found = await _found(call)
    async with call.read() as view:
        credentials = await launch_lookups.credential_facts(view, job["credentials"])
    shown = sorted(found.failed_at.items())[:HOSTS_SHOWN]
    return answer(
        {
            "can_resume": not found.reasons,
            "reasons": list(found.reasons),
            "start_at_task": found.start_at_task,
            "limit": found.limit,
            "failed_at": dict(shown),
            "failed_hosts": len(found.failed_at),
            "scm_revision": job["scm_revision"],
            "passwords_needed_to_start": launch.passwords_needed(tuple(credentials)),
        }
    )


async def resume_job(call: Call) -> Response[Any]:
    """Launch the rest of a failed job, at the revision it ran; 201, or 400 with the reasons."""
    body = await call.body()
    job, found = await _found(call)
    if found.reasons:
        raise BadRequest({"errors": list(found.reasons)})

    def rest(record: PlaybookLaunch) -> PlaybookLaunch:
        for name in _SAME:
            if getattr(record, name) != job[_COLUMNS.get(name, name)]:
                raise BadRequest({"errors": [f"The job template has another {name} now."]})
        content = ProjectContent(
            content=job["project_content"],
            revision=job["scm_revision"],
            galaxy=job["galaxy_content"],
        )
        start = found.start_at_task or record.start_at_task
        return msgspec.structs.replace(record, start_at_task=start, pinned=content)

    changes = {} if found.limit == job["limit_"] else {"limit": found.limit}
    async with call.read() as view:
        done = await run_again(call, view, job, body, changes, rest)
    return await launched(call, done, "job")


async def _found(call: Call) -> tuple[Row, Resumption]:
    """Return a job and how it can go on; raises Busy while contents cannot be read."""
    async with call.read() as view:
        job = await job_row(view, call.target.id)
        if job["finished"] and not await view.named("jobs_processed", [job["id"]]):
            return job, Resumption(reasons=(_NOT_YET,))
        if job["job_slice_count"] > 1:
            return job, Resumption(reasons=(_SLICE,))
        project = await view.row('select * from "project" where "id" = $1', job["project_id"])
        if project is not None and not await verified(view, project, job["project_content"]):
            return job, Resumption(reasons=(_UNVERIFIED,))
        try:
            run = await run_facts(view, job)
        except TooMuch as error:
            return job, Resumption(reasons=(resume.sentence(str(error)),))
    if run.status != "failed" or not run.failures:
        return job, resume.resumption(run, {})
    try:
        texts = await project_texts(call.services.launch_tools.blobs, job["project_content"])
    except TextsUnknown as error:
        return job, Resumption(reasons=(resume.sentence(str(error)),))
    except (nats.errors.Error, JetStreamError, TimeoutError) as error:
        raise Busy("The content store is not available.") from error
    return job, await asyncio.to_thread(resume.resumption, run, texts)
