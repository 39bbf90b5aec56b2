"""What a launch would do, without doing it: resolved here, and read by Ansible on a runner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler
from msgspec.structs import replace

from controlplane.api import job_output, stdout
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, Missing, Refusal
from controlplane.api.guards import needs
from controlplane.api.job_render import can_cancel, url_of
from controlplane.api.launch_answers import context_by, job_row, launched
from controlplane.api.launch_rights import check_prompts
from controlplane.api.routing import routes
from controlplane.domain import launch, plan_listing
from controlplane.domain.errors import Invalid
from controlplane.domain.launch import PromptFacts, Resolved, TemplateFacts
from controlplane.shell import dry_run, launch_lookups, launching
from controlplane.shell.read_model import Row, View

PLAN_CHARACTERS_MAX = 8_000_000
SAID_MAX = 50
"""Lines of errors, and of warnings, that a plan shows."""
PASSWORDS = "passwords_needed_to_start"
_SHOWN = (
    *("playbook", "job_type", "scm_branch", "limit", "job_tags", "skip_tags", "start_at_task"),
    *("forks", "verbosity", "diff_mode", "become_enabled", "extra_vars", "execution_environment"),
    *("labels", "job_slice_count"),
)


def dry_run_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of dry runs."""
    return [
        *routes(
            "/api/playlog/job_templates/{key:str}/dry_run",
            {"POST": (needs("start", "job_template"), try_launch)},
            "Job Template Dry Run",
        ),
        *routes(
            "/api/playlog/jobs/{key:str}/plan",
            {"GET": (needs("read", "job"), show_plan)},
            "Job Plan",
        ),
    ]


async def try_launch(call: Call) -> Response[Any]:
    """Answer what a launch with this body would run, on what, or why it would be refused.

    With ``plan`` a runner lists plays, hosts and tasks as well: 202 with its job.
    """
    body = await call.body()
    plan = body.pop("plan", False)
    if not isinstance(plan, bool):
        raise BadRequest({"plan": ["Must be a valid boolean."]})
    async with call.read() as view:
        template = await view.named_row("job_template_for_launch", call.target.id)
        if template is None:
            raise Missing
        facts = await launch_lookups.template_facts(view, template)
        prompts = await launch_lookups.prompt_facts(view, body)
        await check_prompts(call, view, facts, prompts, body)
        resolved, refused = _resolved(facts, body, prompts)
        shown = {
            "job_template": {"id": template["id"], "name": template["name"]},
            "would_launch": not refused,
            "refused": refused,
            "ignored_fields": launch.ignored_fields(facts, body),
            PASSWORDS: launch.passwords_needed(facts.credentials),
        }
        if resolved is not None:
            shown |= await _told(call, view, facts, resolved)
        if not plan or resolved is None or refused:
            return answer(shown, 400 if plan and refused else 200)
        record = replace(resolved.record, dry_run=True, job_slice_count=1, allow_simultaneous=True)
        done = await launching.launch_template(
            call.services.launch_tools,
            view,
            facts,
            replace(resolved, record=record),
            context_by(call),
        )
    job = await launched(call, done, "job", status=202)
    path = f"/api/playlog/jobs/{done.job}/plan/"
    shown["plan"] = {"job": done.job, "url": url_of("job", done.job), "plan": path}
    return answer(shown, 202, dict(job.headers))


def _resolved(
    facts: TemplateFacts, body: Mapping[str, Any], prompts: PromptFacts
) -> tuple[Resolved | None, dict[str, Any]]:
    """Resolve a launch as far as it goes; returns what it would be refused for as well.

    Missing passwords hide nothing of what is asked: then it is resolved as if they were given.
    """
    try:
        return launch.resolve(facts, body, prompts), {}
    except Invalid as error:
        refused = error.errors
    missing = refused.get(PASSWORDS)
    if missing is None or len(refused) > 1:
        return None, refused
    given = {**body, "credential_passwords": dict.fromkeys(missing, "-")}
    try:
        return launch.resolve(facts, given, prompts), refused
    except Invalid as error:
        return None, error.errors


async def _told(call: Call, view: View, facts: TemplateFacts, resolved: Resolved) -> dict[str, Any]:
    """Return what a resolved launch comes to."""
    record = resolved.record
    credentials = await launch_lookups.credential_facts(view, record.credentials)
    groups = resolved.instance_groups or await launch_lookups.groups(
        view, facts.template["id"], record.inventory, facts.template["organization"]
    )
    smart = call.services.launch_tools.smart_hosts
    return {
        "launch": {name: getattr(record, name) for name in _SHOWN},
        "timeout": resolved.timeout_s,
        "instance_groups": list(groups),
        PASSWORDS: launch.passwords_needed(tuple(credentials)),
        "credentials": [
            {
                "id": each.id,
                "name": each.name,
                "kind": each.kind,
                "credential_type": each.type_id,
                "passwords_needed": list(each.asks),
            }
            for each in credentials
        ],
        "project": await dry_run.project(view, record),
        "inventory": await dry_run.inventory(view, record, smart),
    }


async def show_plan(call: Call) -> Response[Any]:
    """Answer the plays, hosts and tasks that a dry run has listed, once it has ended."""
    async with call.read() as view:
        job = await job_row(view, call.target.id)
        if not job["dry_run"]:
            raise Refusal(400, {"detail": "This job is no dry run."})
        processed = bool(await view.named("jobs_processed", [job["id"]]))
    printed = plan_listing.output_of(await _lines(call, job) if processed else ())
    failed = processed and job["status"] != "successful"
    return answer(
        {
            "job": job["id"],
            "url": url_of(job["kind"], job["id"]),
            "status": job["status"],
            "finished": processed and not can_cancel(job),
            "syntax_ok": job["status"] == "successful" if processed else None,
            "explanation": job["job_explanation"],
            "errors": printed.errors[-SAID_MAX:] if failed else [],
            "warnings": printed.warnings[-SAID_MAX:],
            "plays": [] if failed else plan_listing.plays_of(printed.listing),
        }
    )


async def _lines(call: Call, job: Row) -> list[str]:
    """Return the lines of a listing, which is refused when it is beyond any use."""
    size, lines = 0, []
    async for event in job_output.pieces(call, job):
        text = stdout.plain(job_output.text_of(event))
        size += len(text)
        if size > PLAN_CHARACTERS_MAX:
            words = f"The plan is longer than {PLAN_CHARACTERS_MAX} characters: read its output."
            raise Refusal(400, {"detail": words})
        lines += text.splitlines()
    return lines
