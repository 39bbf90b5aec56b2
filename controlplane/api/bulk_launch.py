"""Launching many templates as one workflow: checked as AWX checks it, then refused (AWX 3.48)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, PermissionDenied
from controlplane.api.guards import LOGIN, may
from controlplane.api.routing import Methods, routes
from controlplane.api.template_lists import FAMILY
from controlplane.api.unrun_routes import NO_WORKFLOWS
from controlplane.domain.field_values import reference

LIMIT = "BULK_JOB_MAX_LAUNCH"
_FIELDS = {
    "name": {"type": "string", "required": False, "label": "Name", "max_length": 512},
    "jobs": {"type": "list", "required": True, "label": "Jobs"},
    **{
        name: {"type": kind, "required": False, "label": name.replace("_", " ").capitalize()}
        for name, kind in (
            *(("description", "string"), ("extra_vars", "json"), ("organization", "id")),
            *(("inventory", "id"), ("limit", "string"), ("scm_branch", "string")),
            *(("skip_tags", "string"), ("job_tags", "string")),
        )
    },
}


def bulk_launch_routes() -> list[HTTPRouteHandler]:
    """Return the routes of bulk launches."""
    methods: Methods = {"GET": (LOGIN, show), "POST": (LOGIN, refuse)}
    return routes("/api/v2/bulk/job_launch", methods, (LOGIN, describe))


async def describe(_call: Call) -> Response[Any]:
    """Describe the body of a bulk launch."""
    return answer(options.plain("Bulk Job Launch", (), {"GET": {}, "POST": _FIELDS}))


async def show(_call: Call) -> Response[Any]:
    """Say how jobs would be launched in bulk."""
    detail = "Bulk launch jobs with this endpoint. POST {jobs: [{unified_job_template, ...}]}."
    return answer({"detail": detail})


async def refuse(call: Call) -> Response[Any]:
    """Check what is to be launched, then say that no workflow runs yet."""
    jobs = (await call.body()).get("jobs")
    if not isinstance(jobs, list) or not jobs:
        text = "This field is required." if jobs is None else "Expected a list of items."
        raise BadRequest({"jobs": [text if jobs != [] else "This list may not be empty."]})
    limit = call.services.settings_store.integer(LIMIT)
    if len(jobs) > limit:
        raise BadRequest({"jobs": [f"Number of jobs exceeds system setting {LIMIT}: {limit}"]})
    errors = [_wrong(job) for job in jobs]
    if any(errors):
        raise BadRequest({"jobs": errors})
    numbers = sorted({reference(job["unified_job_template"]) or 0 for job in jobs})
    async with call.read() as view:
        known = await view.named("launchable_templates", numbers)
        missing = sorted(set(numbers) - {row["id"] for row in known})
        if missing:
            raise BadRequest(
                {"jobs": [f'Invalid pk "{each}" - object does not exist.' for each in missing]}
            )
        for number in numbers:
            if not await may(view, call.who, "start", FAMILY, number):
                raise PermissionDenied
    raise BadRequest(NO_WORKFLOWS)


def _wrong(job: Any) -> dict[str, Any]:
    if not isinstance(job, dict):
        return {"non_field_errors": ["Invalid data. Expected a dictionary."]}
    if job.get("unified_job_template") is None:
        return {"unified_job_template": ["This field is required."]}
    number = reference(job["unified_job_template"])
    if number is None or not 0 < number < 2**63:
        return {"unified_job_template": ["A valid integer is required."]}
    return {}
