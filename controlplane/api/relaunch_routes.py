"""Running a job again with its own prompts: on all hosts or on those that failed (AWX 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options
from controlplane.api.call import Call, answer
from controlplane.api.errors import Refusal
from controlplane.api.guards import needs
from controlplane.api.job_render import can_cancel
from controlplane.api.launch_answers import context_by, job_row, launched, once
from controlplane.api.launch_options import RELAUNCH_ACTIONS
from controlplane.api.launch_rights import check_as_it_was
from controlplane.api.routing import routes
from controlplane.domain import launch
from controlplane.domain.launch import PromptFacts, TemplateFacts
from controlplane.domain.launch_fields import ASK
from controlplane.shell import launch_lookups, launch_secrets, launching
from controlplane.shell.launching import How
from controlplane.shell.read_model import Row, View
from schemas.status import LaunchType


def relaunch_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of relaunches of jobs."""
    return routes(
        "/api/v2/jobs/{key:str}/relaunch",
        {
            "GET": (needs("read", "job"), show_relaunch),
            "POST": (needs("start", "job"), once(relaunch_job)),
        },
        (needs("read", "job", missing=True), describe_relaunch),
    )


async def describe_relaunch(_call: Call) -> Response[Any]:
    """Answer what a relaunch takes."""
    return answer(options.plain("Job Relaunch", (), RELAUNCH_ACTIONS))


async def show_relaunch(call: Call) -> Response[Any]:
    """Answer which passwords a relaunch needs and how many hosts it can run on."""
    async with call.read() as view:
        job = await job_row(view, call.target.id)
        template = await _template_of(view, job)
        facts = await launch_lookups.template_facts(view, template)
        failed = await view.named("failed_hosts", job["id"], job["attempt"])
        result = await view.named("job_results", [job["id"]])
    counts: Any = "Relaunch by host status not available until job finishes running."
    if not can_cancel(job):
        everyone = sum(_counts(result).values())
        counts = {"all": everyone, "failed": len(failed)}
    return answer(
        {
            "passwords_needed_to_start": launch.passwords_needed(facts.credentials),
            "retry_counts": counts,
        }
    )


async def relaunch_job(call: Call) -> Response[Any]:
    """Run a job again with its own prompts, on all hosts or the failed ones; 201."""
    body = await call.body()
    hosts = body.get("hosts", "all")
    if hosts not in ("all", "failed", None, ""):
        raise Refusal(400, {"hosts": [f'"{hosts}" is not a valid choice.']})
    context = context_by(call)
    async with call.read() as view:
        job = await job_row(view, call.target.id)
        if job["dry_run"]:
            raise Refusal(400, {"errors": ["A dry run is not run again: launch its template."]})
        template = await _template_of(view, job)
        await check_as_it_was(call, view, job, template)
        limit = job["limit_"] if hosts != "failed" else await _failed_limit(view, job)
        facts = await _as_it_was(view, job, template)
        given = {name: body[name] for name in body if name not in ASK and name != "hosts"}
        resolved = launch.resolve(facts, given, PromptFacts())
        record = msgspec.structs.replace(resolved.record, limit=limit)
        secret = await launch_secrets.secret_variables(
            call.services.store, call.services.vault, job["id"]
        )
        resolved = msgspec.structs.replace(resolved, record=record, secret_vars=secret)
        done = await launching.launch_template(
            call.services.launch_tools,
            view,
            facts,
            resolved,
            context,
            how=How(launch_type=LaunchType.RELAUNCH, relaunch_of=job["id"]),
        )
    return await launched(call, done, "job")


async def _template_of(view: View, job: Row) -> Row:
    row = await view.named_row("job_template_for_launch", job["job_template_id"])
    if row is None:
        raise Refusal(400, {"errors": ["Job Template is missing or undefined."]})
    return row


async def _as_it_was(view: View, job: Row, template: Row) -> TemplateFacts:
    """Return the template with the values that the job ran with."""
    names = (
        *("job_type", "scm_branch", "forks", "verbosity", "extra_vars", "job_tags", "skip_tags"),
        *("diff_mode", "playbook", "timeout", "start_at_task", "force_handlers"),
        *("become_enabled", "use_fact_cache"),
    )
    row: Mapping[str, Any] = {
        **dict(template),
        **{name: job[name] for name in names},
        "limit": job["limit_"],
        "inventory": job["inventory_id"],
        "project": job["project_id"],
        "survey_enabled": False,
    }
    facts = await launch_lookups.template_facts(view, row)
    credentials = await launch_lookups.credential_facts(view, job["credentials"])
    if len(credentials) != len(job["credentials"]):
        raise Refusal(400, {"errors": ["A credential of the job no longer exists."]})
    return msgspec.structs.replace(
        facts, credentials=tuple(credentials), labels=tuple(job["labels"])
    )


async def _failed_limit(view: View, job: Row) -> str:
    failed = await view.named("failed_hosts", job["id"], job["attempt"])
    if not failed:
        text = "Cannot relaunch because previous job had 0 failed hosts."
        raise Refusal(400, {"hosts": text})
    return ",".join(row["host_name"] for row in failed)


def _counts(results: list[Row]) -> dict[str, int]:
    if not results or not results[0]["host_status_counts"]:
        return {}
    counts: dict[str, int] = msgspec.json.decode(results[0]["host_status_counts"])
    return counts
