"""What AWX runs and Playlog does not run yet: its launches refuse, its jobs are not there.

A launch that would only pretend to start something is worse than none, so it says what is missing.
"""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest
from controlplane.api.guards import needs
from controlplane.api.job_lists import describe_one, show_job
from controlplane.api.routing import Endpoint, routes

NO_SYSTEM_JOBS = "Playlog does not run system jobs yet."


def unrun_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of launches that refuse and of jobs that none has started."""
    read = needs("read", "system_job_template")
    return [
        *routes(
            "/api/v2/system_job_templates/{key:str}/launch",
            {
                "GET": (read, show_nothing),
                "POST": (needs("start", "system_job_template"), refuses(NO_SYSTEM_JOBS)),
            },
            "System Job Template Launch",
        ),
        *_job_routes("system_job", "system_jobs"),
        *_job_routes("inventory_update", "inventory_updates", "stdout", "credentials"),
        *_job_routes("ad_hoc_command", "ad_hoc_commands", "stdout"),
        *_nothing("ad_hoc_command", "ad_hoc_commands", "relaunch"),
    ]


async def show_nothing(_call: Call) -> Response[Any]:
    """Answer that a launch asks for nothing."""
    return answer({})


def refuses(reason: str) -> Endpoint:
    """Return an endpoint that refuses, whatever is sent."""

    async def refuse(_call: Call) -> Response[Any]:
        raise BadRequest(reason)

    return refuse


def _job_routes(kind: str, plural: str, *more: str) -> list[HTTPRouteHandler]:
    """Return the detail of a kind of jobs and what stands below it; there is none to show."""
    opt = needs("read", kind)
    base = f"/api/v2/{plural}/{{key:str}}"
    described = (needs("read", kind, missing=True), describe_one(kind))
    return [
        *routes(base, {"GET": (opt, show_job), "DELETE": (opt, show_job)}, described),
        *routes(f"{base}/cancel", {"GET": (opt, show_job), "POST": (opt, show_job)}),
        *routes(f"{base}/events", {"GET": (opt, show_job)}),
        *routes(f"{base}/notifications", {"GET": (opt, show_job)}),
        *(each for name in more for each in routes(f"{base}/{name}", {"GET": (opt, show_job)})),
    ]


def _nothing(kind: str, plural: str, name: str) -> list[HTTPRouteHandler]:
    """Return a path below jobs that takes a POST too."""
    opt = needs("read", kind)
    return routes(
        f"/api/v2/{plural}/{{key:str}}/{name}", {"GET": (opt, show_job), "POST": (opt, show_job)}
    )
