"""Schedules: a look ahead, the time zones there are, and a schedule made of a job (AWX 4.9)."""

from __future__ import annotations

import functools
import zoneinfo
from datetime import UTC
from importlib import resources
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest
from controlplane.api.guards import LOGIN, needs
from controlplane.api.resource_writes import create_object
from controlplane.api.routing import routes
from controlplane.domain import extra_vars, recurrence
from controlplane.domain.facts import plain
from controlplane.domain.launch_fields import ASK
from ops import clock
from schemas.resource import RESOURCES

PROMPTED = (
    *("limit", "scm_branch", "job_tags", "skip_tags", "job_type", "verbosity", "diff_mode"),
    *("forks", "inventory"),
)
"""Prompts of a job that a schedule of it takes over."""
SHOWN = 10
"""Times that a preview shows."""
RULE = {"type": "string", "required": True, "label": "Rrule"}


def schedule_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of schedules that declarations do not bring."""
    return [
        *routes(
            "/api/v2/schedules/preview",
            {"POST": (LOGIN, preview)},
            (LOGIN, describe_preview),
        ),
        *routes(
            "/api/v2/jobs/{key:str}/create_schedule",
            {
                "GET": (needs("read", "job"), show_create),
                "POST": (needs("start", "job"), create_from_job),
            },
            "Job Create Schedule",
        ),
        *routes("/api/v2/schedules/zoneinfo", {"GET": (LOGIN, zones)}, "Schedule Zoneinfo"),
    ]


async def describe_preview(_call: Call) -> Response[Any]:
    """Answer what a preview takes."""
    return answer(options.plain("Schedule Preview", (), {"POST": {"rrule": RULE}}))


async def preview(call: Call) -> Response[Any]:
    """Answer the next times of a rule, in its zone and in UTC; nothing is stored."""
    text = (await call.body()).get("rrule")
    if text is None:
        raise BadRequest({"rrule": ["This field is required."]})
    if not isinstance(text, str) or not plain(text):
        raise BadRequest({"rrule": ["Not a valid string."]})
    try:
        rule = recurrence.read(text)
    except recurrence.Unruly as error:
        raise BadRequest({"rrule": error.messages}) from error
    times = rule.after(min(rule.start, clock.now()), SHOWN)
    return answer({"local": times, "utc": [each.astimezone(UTC) for each in times]})


async def show_create(call: Call) -> Response[Any]:
    """Answer whether a schedule can be made of a job, and what it would prompt."""
    template, prompts = await _job_prompts(call)
    return answer({"can_schedule": template is not None, "prompts": prompts})


async def create_from_job(call: Call) -> Response[Any]:
    """Make a schedule that is off, monthly from now on, with the prompts of the job: 201."""
    template, prompts = await _job_prompts(call)
    if template is None:
        raise BadRequest({"error": "Information needed to schedule this job is missing."})
    given = dict(prompts)
    variables = given.pop("extra_vars", {})
    body = {
        **given,
        "extra_data": variables,
        "name": f"Auto-generated schedule from job {call.target.id}",
        "rrule": f"{clock.now():DTSTART:%Y%m%dT%H%M%SZ} RRULE:FREQ=MONTHLY;INTERVAL=1",
        "unified_job_template": template,
        "enabled": False,
    }
    return await create_object(call, RESOURCES["schedule"], body)


async def _job_prompts(call: Call) -> tuple[int | None, dict[str, Any]]:
    """Return a job's template, if it is still there, and what the job had been prompted for."""
    async with call.read() as view:
        job = await view.named_row("job_by_id", call.target.id)
        number = job["job_template_id"] if job is not None else None
        template = await view.named_row("job_template_for_launch", number) if number else None
    if job is None or template is None:
        return None, {}
    ran = {**dict(job), "limit": job["limit_"], "inventory": job["inventory_id"]}
    found = {
        name: ran[name] for name in PROMPTED if template[ASK[name]] and ran[name] != template[name]
    }
    own = extra_vars.parse(template["extra_vars"])
    variables = {
        name: value
        for name, value in extra_vars.parse(job["extra_vars"]).items()
        if own.get(name) != value
    }
    return number, {**found, **({"extra_vars": variables} if variables else {})}


async def zones(_call: Call) -> Response[Any]:
    """Answer the names of time zones that rules may name."""
    return answer({"zones": sorted(zoneinfo.available_timezones()), "links": _links()})


@functools.cache
def _links() -> dict[str, str]:
    """Return the zones that are other names of one."""
    text = resources.files("tzdata.zoneinfo").joinpath("tzdata.zi").read_text()
    lines = (line.split() for line in text.splitlines() if line.startswith("L "))
    return {alias: zone for _, zone, alias in lines}
