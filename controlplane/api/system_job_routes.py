"""Launching system jobs: housekeeping that the control plane does itself (``api.md`` 3.40)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer
from controlplane.api.guards import needs
from controlplane.api.launch_answers import context_by, launched, once
from controlplane.api.routing import routes
from controlplane.domain import housekeeping
from controlplane.shell.system_launching import launch_system_job

KIND = "system_job_template"


def system_job_handlers() -> list[HTTPRouteHandler]:
    """Return the route that launches a system job."""
    return routes(
        "/api/v2/system_job_templates/{key:str}/launch",
        {
            "GET": (needs("read", KIND), show_launch),
            "POST": (needs("start", KIND), once(launch, ignored_fields)),
        },
        "System Job Template Launch",
    )


async def show_launch(_call: Call) -> Response[Any]:
    """Answer that a launch asks for nothing."""
    return answer({})


async def launch(call: Call) -> Response[Any]:
    """Launch a system job; 201 with the job."""
    body = await call.body()
    variables = housekeeping.variables(body.get("extra_vars"))
    async with call.read() as view:
        tools = call.services.launch_tools
        done = await launch_system_job(tools, view, call.target.id, variables, context_by(call))
    return await launched(call, done, "system_job", with_ignored=True)


async def ignored_fields(_call: Call) -> dict[str, Any] | None:
    """Return AWX's null: nothing is ignored here."""
    return None
