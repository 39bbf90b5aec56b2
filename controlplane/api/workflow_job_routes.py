"""Workflow jobs, so far sliced runs: what they were launched with, and running them again."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import job_lists
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest
from controlplane.api.guards import needs
from controlplane.api.launch_answers import context_by, job_row, launched, once
from controlplane.api.launch_rights import check_relaunch
from controlplane.api.routing import routes
from controlplane.api.unrun_routes import NO_WORKFLOWS
from controlplane.domain import launch
from controlplane.domain.errors import Invalid
from controlplane.domain.facts import Unsealed
from controlplane.domain.slicing import effective_count
from controlplane.shell import launch_lookups, launch_secrets, launching
from controlplane.shell.launch_tools import How, LaunchTools
from controlplane.shell.read_model import Row, View
from schemas.events.job import PlaybookLaunch, WorkflowLaunch
from schemas.status import LaunchType

KIND = "workflow_job"
ORPHANED = "Cannot relaunch slice workflow job orphaned from job template."
RECOUNTED = "Cannot relaunch sliced workflow job after slice count has changed."


def workflow_job_handlers() -> list[HTTPRouteHandler]:
    """Return the routes below a workflow job."""
    read = needs("read", KIND)
    handlers = job_lists.used_handlers("workflow_jobs", KIND, "labels", "label")
    handlers += routes(
        "/api/v2/workflow_jobs/{key:str}/relaunch",
        {"GET": (read, show_relaunch), "POST": (needs("start", KIND), once(relaunch))},
        "Workflow Job Relaunch",
    )
    return handlers


async def show_relaunch(_call: Call) -> Response[Any]:
    """Answer that a relaunch asks for nothing but passwords, which the launch names."""
    return answer({})


async def relaunch(call: Call) -> Response[Any]:
    """Run the slices again as they were, when there would be as many; 201."""
    body = await call.body()
    tools = call.services.launch_tools
    async with call.read() as view:
        before = await launch_secrets.launch_of(tools.store, call.target.id)
        record = before.record
        if not isinstance(record, WorkflowLaunch) or record.sliced is None:
            raise BadRequest(NO_WORKFLOWS)
        template = await view.named_row("job_template_for_launch", record.job_template)
        if template is None:
            raise BadRequest(ORPHANED)
        facts = await launch_lookups.template_facts(view, template)
        await check_relaunch(call, view, await job_row(view, before.id), facts, before)
        await _same_count(tools, view, template, record)
        passwords, missing = await _passwords(view, record.sliced, body)
        if missing:
            raise Invalid({"passwords_needed_to_start": missing})
        answers = await launch_secrets.secret_answers(tools.vault, before)
        resolved = launch.Resolved(
            record=msgspec.structs.replace(
                record.sliced,
                allow_simultaneous=record.allow_simultaneous,
                pinned=None,
                project_update=None,
            ),
            timeout_s=record.slice_timeout_s,
            instance_groups=before.instance_groups,
            ignored_fields={},
            passwords=passwords,
            secret_vars={name: Unsealed(value) for name, value in answers.items()},
        )
        how = How(launch_type=LaunchType.RELAUNCH, relaunch_of=before.id)
        done = await launching.launch_template(
            tools, view, facts, resolved, context_by(call), how=how
        )
    return await launched(call, done, KIND)


async def _same_count(
    tools: LaunchTools, view: View, template: Row, record: WorkflowLaunch
) -> None:
    """Raise BadRequest when the template would be cut into another number of slices now."""
    content = await launching.content_of(tools, view, record.inventory)
    hosts = 0 if content is None else content.hosts
    if effective_count(template["job_slice_count"], hosts) != len(record.slice_jobs):
        raise BadRequest(RECOUNTED)


async def _passwords(
    view: View, record: PlaybookLaunch, body: dict[str, Any]
) -> tuple[dict[str, str], list[str]]:
    facts = await launch_lookups.credential_facts(view, record.credentials)
    if len(facts) != len(record.credentials):
        raise Invalid({"errors": ["A credential of the job no longer exists."]})
    return launch.passwords_given(tuple(facts), body)
