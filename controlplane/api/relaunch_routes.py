"""Running a job again with its own prompts: on all hosts or on those that failed (AWX 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, Missing
from controlplane.api.guards import needs
from controlplane.api.job_render import can_cancel
from controlplane.api.launch_answers import context_by, job_row, launched, once
from controlplane.api.launch_options import ALL_HOSTS, RELAUNCH_ACTIONS, RELAUNCH_HOSTS
from controlplane.api.launch_rights import check_prompts, check_relaunch
from controlplane.api.routing import routes
from controlplane.domain import launch, relaunch
from controlplane.domain.field_values import missing_pk
from controlplane.domain.launch import PromptFacts, Resolved, TemplateFacts
from controlplane.domain.launch_fields import ASK, FIELD_READERS, choice
from controlplane.domain.prompts import NOT_ASKED
from controlplane.shell import launch_lookups, launch_secrets, launching
from controlplane.shell.launch_tools import How, Launched
from controlplane.shell.read_model import Row, View
from schemas.events.job import JobLaunched, PlaybookLaunch
from schemas.status import LaunchType

_hosts_asked = choice(*RELAUNCH_HOSTS)
NO_CREDENTIAL = "A credential of the job no longer exists."


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
        credentials = await launch_lookups.credential_facts(view, job["credentials"])
        counts: Any = "Relaunch by host status not available until job finishes running."
        if not can_cancel(job):
            counts = {
                status: len(await _hosts(view, job, status)) for status in (ALL_HOSTS, "failed")
            }
    return answer(
        {
            "passwords_needed_to_start": launch.passwords_needed(tuple(credentials)),
            "retry_counts": counts,
        }
    )


async def relaunch_job(call: Call) -> Response[Any]:
    """Run a job again with its own prompts, on all hosts or on some of them; 201."""
    body = await call.body()
    changes, errors = _changes(body)
    if errors:
        raise BadRequest(errors)
    hosts = body.get("hosts")
    async with call.read() as view:
        job = await job_row(view, call.target.id)
        if job["dry_run"]:
            raise BadRequest({"errors": ["A dry run is not run again: launch its template."]})
        if hosts and hosts != ALL_HOSTS:
            changes["limit"] = await _limit(view, job, hosts)
        done = await run_again(call, view, job, body, changes)
    return await launched(call, done, "job")


async def run_again(
    call: Call,
    view: View,
    job: Row,
    body: Mapping[str, Any],
    changes: Mapping[str, Any],
    adjusted: Callable[[PlaybookLaunch], PlaybookLaunch] = lambda record: record,
) -> Launched:
    """Launch a job again, with these prompts changed; ``body`` holds its passwords.

    ``adjusted`` has the last word on the launch record.

    Raises Refusal or Rejected, what the caller may not do included.
    """
    before = await launch_secrets.launch_of(call.services.store, job["id"])
    if not isinstance(before.record, PlaybookLaunch):
        raise Missing
    template = await view.named_row("job_template_for_launch", job["job_template_id"])
    facts = None if template is None else await launch_lookups.template_facts(view, template)
    await check_relaunch(call, view, job, facts, before)
    secret = await launch_secrets.secret_answers(call.services.vault, before)
    if facts is None or before.record.prompted is None:
        alone = {"job_template": None} if facts is None else {}
        resolved = await _copied(view, before, secret, body, {**changes, **alone})
        facts = _nameless(before, facts)
    else:
        prompted = {**before.record.prompted, **changes}
        prompts = await launch_lookups.prompt_facts(view, prompted)
        await _check_changes(call, view, facts, prompts, changes)
        _check_credentials(prompted, prompts, changed="credentials" in changes)
        resolved = relaunch.again(facts, before.record, prompted, secret, prompts, body)
    resolved = msgspec.structs.replace(resolved, record=adjusted(resolved.record))
    return await launching.launch_template(
        call.services.launch_tools,
        view,
        facts,
        resolved,
        context_by(call),
        how=How(launch_type=LaunchType.RELAUNCH, relaunch_of=job["id"], whole=True),
    )


def _changes(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a body changes of the prompts, and what is wrong with it."""
    changes: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    if body.get("hosts"):
        _, problem = _hosts_asked(body["hosts"])
        if problem:
            errors["hosts"] = [problem]
    for name in ("job_type", "credentials"):
        if body.get(name) is not None:
            value, problem = FIELD_READERS[name](body[name])
            if problem:
                errors[name] = [problem]
            changes[name] = value
    if not isinstance(body.get("credential_passwords", {}), dict):
        errors["credential_passwords"] = ["Expected an object."]
    return changes, errors


async def _limit(view: View, job: Row, status: str) -> str:
    """Return the hosts of a job that came to a status; raises Refusal where that is not known."""
    if can_cancel(job):
        text = f"Wait until job finishes before retrying on {status} hosts."
        raise BadRequest({"hosts": text})
    results = await view.named("job_results", [job["id"]])
    if not results or not results[0]["host_status_counts"]:
        text = f"Cannot retry on {status} hosts, playbook stats not available."
        raise BadRequest({"hosts": text})
    hosts = await _hosts(view, job, status)
    if not hosts:
        text = f"Cannot relaunch because previous job had 0 {status} hosts."
        raise BadRequest({"hosts": text})
    return ",".join(hosts)


async def _hosts(view: View, job: Row, status: str) -> list[str]:
    rows = await view.named("hosts_by_status", job["id"], job["attempt"], status)
    return [row["host_name"] for row in rows]


async def _copied(
    view: View,
    before: JobLaunched,
    secret: Mapping[str, str],
    body: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> Resolved:
    """Resolve a relaunch of a record as it was; raises Refusal when what it needs is gone."""
    record = before.record
    if not isinstance(record, PlaybookLaunch):
        raise Missing
    if "credentials" in changes:
        raise BadRequest({"credentials": [NOT_ASKED]})
    record = msgspec.structs.replace(record, **changes)
    credentials = await launch_lookups.credential_facts(view, record.credentials)
    known = await view.named("known_inventories", [record.inventory or 0])
    projects = await view.named("known_projects", [record.project or 0])
    if not projects:
        record = msgspec.structs.replace(record, project=None)
    gone = relaunch.missing(record, frozenset(row["id"] for row in known))
    if len(credentials) != len(record.credentials):
        gone.append(NO_CREDENTIAL)
    if gone:
        raise BadRequest({"errors": gone})
    resolved = relaunch.copied(record, tuple(credentials), secret, body)
    return msgspec.structs.replace(
        resolved, timeout_s=before.timeout_s, instance_groups=before.instance_groups
    )


def _nameless(before: JobLaunched, facts: TemplateFacts | None) -> TemplateFacts:
    """Return what a launch needs to know of a template, told by a job whose own may be gone."""
    if facts is not None:
        return facts
    row = {
        "id": None,
        "name": before.name,
        "description": before.description,
        "organization": before.organization,
        "scm_branch": "",
        "prevent_instance_group_fallback": False,
    }
    return TemplateFacts(
        template=row, credentials=(), labels=(), project_ready=True, project_allows_branch=True
    )


async def _check_changes(
    call: Call,
    view: View,
    facts: TemplateFacts,
    prompts: PromptFacts,
    changes: Mapping[str, Any],
) -> None:
    """Refuse a change that the template does not ask for, or that the caller may not use."""
    if "credentials" in changes:
        if not facts.template[ASK["credentials"]]:
            raise BadRequest({"credentials": [NOT_ASKED]})
        await check_prompts(call, view, facts, prompts, {"credentials": changes["credentials"]})


def _check_credentials(prompted: Mapping[str, Any], prompts: PromptFacts, *, changed: bool) -> None:
    """Refuse a credential that is not there: one that the body has named, or that the job had."""
    known = {each.id for each in prompts.credentials}
    unknown = [each for each in prompted.get("credentials", ()) if each not in known]
    if unknown and changed:
        raise BadRequest({"credentials": [missing_pk(unknown[0])]})
    if unknown:
        raise BadRequest({"errors": [NO_CREDENTIAL]})
