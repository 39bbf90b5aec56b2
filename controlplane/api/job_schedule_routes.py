"""A schedule made of a job: off, monthly, with what the job was prompted for (AWX 4.4)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest
from controlplane.api.guards import needs
from controlplane.api.launch_answers import job_row
from controlplane.api.launch_rights import check_relaunch
from controlplane.api.resource_writes import append_object, created_answer, made_in
from controlplane.api.routing import routes
from controlplane.api.writes import caught_up, submit, together
from controlplane.domain.facts import Given
from controlplane.domain.field_values import ENCRYPTED
from controlplane.domain.prompts import ASKED_AT_LAUNCH
from controlplane.domain.resource import Link
from controlplane.shell import launch_lookups, launch_secrets
from controlplane.shell.read_model import Row, View
from ops import clock
from schemas.events.job import JobLaunched, PlaybookLaunch
from schemas.resource import RESOURCES

KIND = "schedule"
MISSING = {"error": "Information needed to schedule this job is missing."}
UNKNOWN = {"all": "Unknown, job may have been ran before launch configurations were saved."}
_LISTS = ("credentials", "labels", "instance_groups")
_SHOWN = {
    "inventory": "inventory",
    "execution_environment": "execution_environment",
    "credentials": "credential",
    "labels": "label",
    "instance_groups": "instance_group",
}
"""Prompt to the kind of what its ids stand for: it is shown with its name."""


def job_schedule_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of schedules made of jobs."""
    return routes(
        "/api/v2/jobs/{key:str}/create_schedule",
        {
            "GET": (needs("read", "job"), show_create),
            "POST": (needs("start", "job"), create_from_job),
        },
        "Job Create Schedule",
    )


async def show_create(call: Call) -> Response[Any]:
    """Answer whether a schedule can be made of a job, and what it would prompt."""
    async with call.read() as view:
        _, _, template, prompted = await _job(call, view)
        if template is None:
            return answer({"can_schedule": False, "prompts": {}})
        if prompted is None:
            return answer({"can_schedule": False, "prompts": UNKNOWN})
        prompts = {name: await _named(view, name, each) for name, each in prompted.items()}
    return answer({"can_schedule": True, "prompts": prompts})


async def create_from_job(call: Call) -> Response[Any]:
    """Make the schedule: 201, or 403 where its maker may not use what the job was given."""
    async with call.read() as view:
        job, launched, template, prompted = await _job(call, view)
        if template is None or prompted is None:
            raise BadRequest(MISSING)
        facts = await launch_lookups.template_facts(view, template)
        await check_relaunch(call, view, job, facts, launched)
        numbers = prompted.get("credentials", [])
        credentials = await launch_lookups.credential_facts(view, numbers)
        if any(each.asks for each in credentials):
            raise BadRequest({"error": ASKED_AT_LAUNCH})
        secret = await launch_secrets.secret_answers(call.services.vault, launched)
        body = {
            **{name: each for name, each in prompted.items() if name not in _LISTS},
            "name": await _name(view, job["id"]),
            "rrule": f"{clock.now():DTSTART:%Y%m%dT%H%M%SZ} RRULE:FREQ=MONTHLY;INTERVAL=1",
            "unified_job_template": template["id"],
            "enabled": False,
        }
    told = body.pop("extra_vars", {})
    body["extra_data"] = {name: secret.get(name, value) for name, value in told.items()}
    known = dict.fromkeys(sorted(secret.keys() & told.keys()), ENCRYPTED)
    body["survey_passwords"] = Given(known)
    resource = RESOURCES[KIND]
    appended = await append_object(call, resource, body)
    made = made_in(appended) or 0
    for relation in _LISTS:
        for target in prompted.get(relation, ()):
            link = Link(kind=KIND, id=made, relation=relation, target=target)
            await caught_up(call, await submit(call, together([link], call.services)))
    return await created_answer(call, resource, appended)


async def _job(
    call: Call, view: View
) -> tuple[Row, JobLaunched, Row | None, Mapping[str, Any] | None]:
    """Return a job, its launch, its template if that is still there, and its prompts if known."""
    job = await job_row(view, call.target.id)
    launched = await launch_secrets.launch_of(call.services.store, job["id"])
    template = await view.named_row("job_template_for_launch", job["job_template_id"])
    record = launched.record
    prompted = record.prompted if isinstance(record, PlaybookLaunch) else None
    return job, launched, template, prompted


async def _named(view: View, prompt: str, value: Any) -> Any:
    """Return a prompt as it is shown: ids with the names of what they stand for."""
    kind = _SHOWN.get(prompt)
    if kind is None:
        return value
    numbers = value if isinstance(value, list) else [value]
    rows = await view.fetch(
        f'select "id", "name" from "{kind}" where "id" = any($1::bigint[]) order by "id"',  # noqa: S608 - kinds from above
        numbers,
    )
    found = [dict(row) for row in rows]
    return found if isinstance(value, list) else next(iter(found), None)


async def _name(view: View, job: int) -> str:
    """Return a name that no schedule has yet."""
    first = f"Auto-generated schedule from job {job}"
    rows = await view.fetch('select "name" from "schedule" where starts_with("name", $1)', first)
    taken = {row["name"] for row in rows}
    others = (f"{first} - number {number}" for number in itertools.count(1))
    return first if first not in taken else next(each for each in others if each not in taken)
