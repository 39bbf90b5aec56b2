"""What AWX runs and Playlog does not run yet: its launches refuse, its jobs are not there.

A launch that would only pretend to start something is worse than none, so it says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, Missing
from controlplane.api.guards import needs
from controlplane.api.job_lists import describe_list, describe_one, list_of
from controlplane.api.routing import Endpoint, routes
from controlplane.api.tables import table_of

NO_WORKFLOWS = "Playlog does not run workflows yet."
_READ: tuple[Method, ...] = ("GET",)
_ACT: tuple[Method, ...] = ("GET", "POST")
_BELOW: Mapping[str, tuple[str, Mapping[str, tuple[Method, ...]]]] = {
    "workflow_approval": (
        "workflow_approvals",
        {"approve": _ACT, "deny": _ACT},
    ),
}
"""Kind to its plural and the methods of what stands below one of it."""
_DETAILED: Mapping[str, tuple[Method, ...]] = {
    "workflow_approval": ("GET", "DELETE"),
}
"""Kinds whose details stand here too, with their methods."""


def unrun_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of launches that refuse and of jobs that none has started."""
    read = needs("read", "job_template")
    handlers = routes(
        "/api/v2/job_templates/{key:str}/slice_workflow_jobs",
        {
            "GET": (read, list_of("workflow_job", '{t}."job_template_id" = {0}')),
            "POST": (needs("start", "job_template"), refuses(NO_WORKFLOWS)),
        },
        (read, describe_list("workflow_job")),
    )
    for unrun in _BELOW:
        handlers += _job_routes(unrun)
    return handlers


async def show_nothing(_call: Call) -> Response[Any]:
    """Answer that a launch asks for nothing."""
    return answer({})


def refuses(reason: str) -> Endpoint:
    """Return an endpoint that refuses, whatever is sent."""

    async def refuse(_call: Call) -> Response[Any]:
        raise BadRequest(reason)

    return refuse


def _job_routes(kind: str) -> list[HTTPRouteHandler]:
    """Return the detail of a kind of jobs and what stands below it; no id leads anywhere."""
    plural, below = _BELOW[kind]
    opt = needs("read", kind)
    base = f"/api/v2/{plural}/{{key:str}}"

    async def missing(_call: Call) -> Response[Any]:
        raise Missing(table_of(kind).verbose)

    handlers: list[HTTPRouteHandler] = []
    if kind in _DETAILED:
        described = (needs("read", kind, missing=True), describe_one(kind))
        handlers += routes(base, dict.fromkeys(_DETAILED[kind], (opt, missing)), described)
    for name, allowed in below.items():
        handlers += routes(f"{base}/{name}", dict.fromkeys(allowed, (opt, missing)))
    return handlers
