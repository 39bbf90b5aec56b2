"""Launching, relaunching, cancelling and deleting: what starts and ends unified jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import job_lists, options
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import PermissionDenied, Refusal
from controlplane.api.guards import may, needs
from controlplane.api.job_render import PLURAL, can_cancel, url_of
from controlplane.api.launch_options import LAUNCH_ACTIONS, RELAUNCH_ACTIONS, launch_info
from controlplane.api.routing import routes
from controlplane.api.writes import POSITION, context_of
from controlplane.domain import launch
from controlplane.domain.job import JOB, Delete, RequestCancel
from controlplane.domain.launch import PromptFacts, TemplateFacts
from controlplane.domain.launch_fields import ASK
from controlplane.shell import launching
from controlplane.shell.launching import How, Launched
from controlplane.shell.read_model import Row, View
from controlplane.shell.transact import transact
from ops import clock
from schemas import subjects
from schemas.envelope import Actor, Context
from schemas.resource import RESOURCES
from schemas.status import LaunchType

JOBS = "jobs"
IDEMPOTENCY_KEY = "Idempotency-Key"


def launch_handlers() -> list[HTTPRouteHandler]:
    """Return the routes that start and end unified jobs."""
    start, read = needs("start", "job_template"), needs("read", "job_template")
    handlers = routes(
        "/api/v2/job_templates/{key:str}/launch",
        {"GET": (read, show_launch), "POST": (start, launch_job)},
        (needs("read", "job_template", missing=True), describe_launch),
    )
    update = needs("start", "project")
    handlers += routes(
        "/api/v2/projects/{key:str}/update",
        {"GET": (needs("read", "project"), show_update), "POST": (update, launch_update)},
        "Project Update",
    )
    relaunch = needs("start", "job")
    handlers += routes(
        "/api/v2/jobs/{key:str}/relaunch",
        {"GET": (needs("read", "job"), show_relaunch), "POST": (relaunch, relaunch_job)},
        (needs("read", "job", missing=True), describe_relaunch),
    )
    for kind, plural in PLURAL.items():
        base = f"/api/v2/{plural}/{{key:str}}"
        handlers += routes(
            base,
            {
                "GET": (needs("read", kind), job_lists.show_job),
                "DELETE": (needs("delete", kind), delete_job),
            },
            (needs("read", kind, missing=True), job_lists.describe_one(kind)),
        )
        handlers += routes(
            f"{base}/cancel",
            {
                "GET": (needs("read", kind), show_cancel),
                "POST": (needs("cancel", kind), cancel_job),
            },
            "Job Cancel",
        )
    return handlers


async def describe_launch(_call: Call) -> Response[Any]:
    """Answer what a launch takes."""
    return answer(options.plain("Job Template Launch", (), LAUNCH_ACTIONS))


async def describe_relaunch(_call: Call) -> Response[Any]:
    """Answer what a relaunch takes."""
    return answer(options.plain("Job Relaunch", (), RELAUNCH_ACTIONS))


async def show_launch(call: Call) -> Response[Any]:
    """Answer what the template asks for and its defaults."""
    async with call.read() as view:
        template = await _template(view, call.target.id)
        facts = await launching.template_facts(view, template)
        info = await launch_info(view, facts)
    return answer(info)


async def launch_job(call: Call) -> Response[Any]:
    """Launch a job template with its prompts; 201 with the job."""
    body = await call.body()
    context = _context(call)
    async with call.read() as view:
        template = await _template(view, call.target.id)
        facts = await launching.template_facts(view, template)
        prompts = await launching.prompt_facts(view, body)
        await _check_prompts(call, view, facts, prompts, body)
        resolved = launch.resolve(facts, body, prompts)
        done = await launching.launch_template(
            call.services.launch_tools,
            view,
            facts,
            resolved,
            context,
            how=How(idempotency_key=call.request.headers.get(IDEMPOTENCY_KEY, "")),
        )
    return await _launched(call, done, "job", with_ignored=True)


async def show_update(call: Call) -> Response[Any]:
    """Answer whether the project has a source to update from."""
    async with call.read() as view:
        row = await view.row('select "scm_type" from "project" where "id" = $1', call.target.id)
    return answer({"can_update": bool(row and row["scm_type"])})


async def launch_update(call: Call) -> Response[Any]:
    """Start an update of an scm project; 202 with the update."""
    context = _context(call)
    async with call.read() as view:
        row = await view.row('select * from "project" where "id" = $1', call.target.id)
        if row is None or not row["scm_type"]:
            raise Refusal(405, {"detail": 'Method "POST" not allowed.'})
        tools = call.services.launch_tools
        done = await launching.launch_project_update(tools, view, row, context)
    return await _launched(call, done, "project_update", status=202)


async def show_relaunch(call: Call) -> Response[Any]:
    """Answer which passwords a relaunch needs and how many hosts it can run on."""
    async with call.read() as view:
        job = await _job(view, call.target.id)
        template = await _template_of(view, job)
        facts = await launching.template_facts(view, template)
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
    context = _context(call)
    async with call.read() as view:
        job = await _job(view, call.target.id)
        template = await _template_of(view, job)
        await _check_as_it_was(call, view, job, template)
        limit = job["limit_"] if hosts != "failed" else await _failed_limit(view, job)
        facts = await _as_it_was(view, job, template)
        given = {name: body[name] for name in body if name not in ASK and name != "hosts"}
        resolved = launch.resolve(facts, given, PromptFacts())
        record = msgspec.structs.replace(resolved.record, limit=limit)
        secret = await launching.secret_variables(call.services.launch_tools, job["id"])
        resolved = msgspec.structs.replace(resolved, record=record, secret_vars=secret)
        done = await launching.launch_template(
            call.services.launch_tools,
            view,
            facts,
            resolved,
            context,
            how=How(launch_type=LaunchType.RELAUNCH, relaunch_of=job["id"]),
        )
    return await _launched(call, done, "job")


async def show_cancel(call: Call) -> Response[Any]:
    """Answer whether the job is still active."""
    async with call.read() as view:
        job = await _job(view, call.target.id)
    return answer({"can_cancel": can_cancel(job)})


async def cancel_job(call: Call) -> Response[Any]:
    """Ask for the job's end; 202, or 405 when it has ended."""
    context = _context(call)
    async with call.read() as view:
        job = await _job(view, call.target.id)
    if not can_cancel(job):
        raise Refusal(405, {"detail": 'Method "POST" not allowed.'})
    command = RequestCancel(requested_by=call.who.username, at=context.at)
    subject = subjects.job(call.target.id)
    done = await transact(call.services.store, subject, JOB, command, context)
    await _caught_up(call, done.position)
    return empty(202, _position(done.position))


async def delete_job(call: Call) -> Response[Any]:
    """Take an ended job out of every read model; 204."""
    context = _context(call)
    async with call.read() as view:
        job = await _job(view, call.target.id)
        processed = await view.named("jobs_processed", [job["id"]])
    recently = job["finished"] and (clock.now() - job["finished"]).total_seconds() < 60  # noqa: PLR2004 - AWX's minute
    if recently and not processed:
        raise Refusal(400, {"error": "Job has not finished processing events."})
    command = Delete(requested_by=call.who.username)
    subject = subjects.job(call.target.id)
    done = await transact(call.services.store, subject, JOB, command, context)
    await _caught_up(call, done.position)
    return empty(204, _position(done.position))


async def _launched(
    call: Call, done: Launched, kind: str, *, status: int = 201, with_ignored: bool = False
) -> Response[Any]:
    """Answer the new job once the read model holds it, else from its launch record."""
    caught = await _caught_up(call, done.position)
    head: dict[str, Any] = {kind: done.job}
    if with_ignored:
        head["ignored_fields"] = done.ignored_fields
    if caught:
        async with call.read() as view:
            head |= await job_lists.job_body(call.who, view, kind, done.job)
    else:
        head |= {
            "id": done.job,
            "type": kind,
            "url": url_of(kind, done.job),
            "status": "pending",
            "name": done.record.name if done.record else "",
            "related": {},
            "summary_fields": {},
        }
    headers = {**_position(done.position), "Location": url_of(kind, done.job)}
    return answer(head, status, headers)


async def _caught_up(call: Call, position: int) -> bool:
    within_s = call.services.settings.write_wait_s
    return await call.services.catch_up.wait(JOBS, position, within_s)


def _position(position: int) -> dict[str, str]:
    return {POSITION: f"{JOBS}:{position}"}


def _context(call: Call) -> Context:
    return context_of(Actor(kind="user", name=call.who.username, id=call.who.id))


async def _template(view: View, number: int) -> Row:
    row = await view.named_row("job_template_for_launch", number)
    if row is None:
        raise Refusal(404, {"detail": "Not found."})
    return row


async def _job(view: View, number: int) -> Row:
    row = await view.named_row("job_by_id", number)
    if row is None:
        raise Refusal(404, {"detail": "Not found."})
    return row


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
    facts = await launching.template_facts(view, row)
    credentials = await launching.credential_facts(view, job["credentials"])
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


async def _check_prompts(
    call: Call, view: View, facts: TemplateFacts, prompts: PromptFacts, body: Mapping[str, Any]
) -> None:
    """Raise 403 unless the caller may use everything that it names in prompts."""
    used = {
        "inventory": ("inventory", prompts.inventories),
        "credentials": (
            "credential",
            {each.id for each in prompts.credentials} - {each.id for each in facts.credentials},
        ),
        "instance_groups": ("instance_group", set(prompts.instance_groups)),
        "labels": ("label", prompts.labels - set(facts.labels)),
        "execution_environment": ("execution_environment", prompts.execution_environments),
    }
    for name, (kind, numbers) in used.items():
        if name in body and facts.template[ASK[name]]:
            await _check_use(call, view, kind, numbers)


async def _check_use(call: Call, view: View, kind: str, numbers: Iterable[int]) -> None:
    """Raise 403 unless the caller may use, or at least read, each of these objects."""
    verb = "use" if "use" in RESOURCES[kind].roles else "read"
    for number in numbers:
        if not await may(view, call.who, verb, kind, number):
            raise PermissionDenied


async def _check_as_it_was(call: Call, view: View, job: Row, template: Row) -> None:
    """Raise 403 unless the caller may use what the job ran with beyond its template's own."""
    facts = await launching.template_facts(view, template)
    if job["inventory_id"] is not None and job["inventory_id"] != template["inventory"]:
        await _check_use(call, view, "inventory", [job["inventory_id"]])
    own = {each.id for each in facts.credentials}
    await _check_use(call, view, "credential", set(job["credentials"]) - own)
