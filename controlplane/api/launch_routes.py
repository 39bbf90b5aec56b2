"""Launching job templates and updates of projects."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, Missing, Refusal
from controlplane.api.guards import needs
from controlplane.api.launch_answers import context_by, kind_launched, launched, once
from controlplane.api.launch_options import LAUNCH_ACTIONS, launch_info
from controlplane.api.launch_rights import check_prompts
from controlplane.api.routing import routes
from controlplane.domain import launch, project_update
from controlplane.shell import launch_lookups, launching, update_launching
from controlplane.shell.read_model import Row, View


def launch_handlers() -> list[HTTPRouteHandler]:
    """Return the routes that start jobs and project updates."""
    start, read = needs("start", "job_template"), needs("read", "job_template")
    handlers = routes(
        "/api/v2/job_templates/{key:str}/launch",
        {"GET": (read, show_launch), "POST": (start, once(launch_job, ignored_fields))},
        (needs("read", "job_template", missing=True), describe_launch),
    )
    update = needs("start", "project")
    handlers += routes(
        "/api/v2/projects/{key:str}/update",
        {
            "GET": (needs("read", "project"), show_update),
            "POST": (update, once(launch_update, status=202)),
        },
        "Project Update",
    )
    return handlers


async def describe_launch(_call: Call) -> Response[Any]:
    """Answer what a launch takes."""
    return answer(options.plain("Job Template Launch", (), LAUNCH_ACTIONS))


async def show_launch(call: Call) -> Response[Any]:
    """Answer what the template asks for and its defaults."""
    async with call.read() as view:
        template = await _template(view, call.target.id)
        facts = await launch_lookups.template_facts(view, template)
        info = await launch_info(view, facts)
    return answer(info)


async def launch_job(call: Call) -> Response[Any]:
    """Launch a job template with its prompts; 201 with the job."""
    body = _modern(await call.body())
    context = context_by(call)
    async with call.read() as view:
        template = await _template(view, call.target.id)
        facts = await launch_lookups.template_facts(view, template)
        prompts = await launch_lookups.prompt_facts(view, body)
        await check_prompts(call, view, facts, prompts, body)
        resolved = launch.resolve(facts, body, prompts)
        done = await launching.launch_template(
            call.services.launch_tools,
            view,
            facts,
            resolved,
            context,
        )
    return await launched(call, done, kind_launched(done), with_ignored=True)


async def ignored_fields(call: Call) -> dict[str, Any]:
    """Return what a launch's body gives without being asked."""
    async with call.read() as view:
        template = await _template(view, call.target.id)
        facts = await launch_lookups.template_facts(view, template)
    return launch.ignored_fields(facts, _modern(await call.body()))


def _modern(body: dict[str, Any]) -> dict[str, Any]:
    """Return a launch body whose inventory has the name that it has now."""
    old = {"inventory": body["inventory_id"]} if "inventory_id" in body else {}
    return {**old, **body}


async def show_update(call: Call) -> Response[Any]:
    """Answer whether the project has a source to update from."""
    async with call.read() as view:
        row = await view.row('select "scm_type" from "project" where "id" = $1', call.target.id)
    return answer({"can_update": bool(row and project_update.can_update(row))})


async def launch_update(call: Call) -> Response[Any]:
    """Start an update of an scm project; 202 with the update."""
    context = context_by(call)
    async with call.read() as view:
        row = await view.row('select * from "project" where "id" = $1', call.target.id)
        if row is None or not row["scm_type"]:
            raise Refusal(405, {"detail": 'Method "POST" not allowed.'})
        if not project_update.can_update(row):
            raise BadRequest(project_update.NO_INSIGHTS)
        tools = call.services.launch_tools
        done = await update_launching.launch_project_update(tools, view, row, context)
    return await launched(call, done, "project_update", status=202)


async def _template(view: View, number: int) -> Row:
    row = await view.named_row("job_template_for_launch", number)
    if row is None:
        raise Missing
    return row
