"""Schedules: a look ahead, and the time zones there are (AWX 4.9)."""

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
from controlplane.api.guards import LOGIN
from controlplane.api.job_schedule_routes import job_schedule_handlers
from controlplane.api.routing import routes
from controlplane.domain import recurrence
from controlplane.domain.facts import plain
from ops import clock

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
        *job_schedule_handlers(),
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


async def zones(_call: Call) -> Response[Any]:
    """Answer the names of time zones that rules may name."""
    return answer({"zones": sorted(zoneinfo.available_timezones()), "links": _links()})


@functools.cache
def _links() -> dict[str, str]:
    """Return the zones that are other names of one."""
    text = resources.files("tzdata.zoneinfo").joinpath("tzdata.zi").read_text()
    lines = (line.split() for line in text.splitlines() if line.startswith("L "))
    return {alias: zone for _, zone, alias in lines}
