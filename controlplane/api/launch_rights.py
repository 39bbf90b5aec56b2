"""Who launches uses only what he has a right to: prompts, and those of a relaunched job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api.call import Call
from controlplane.api.errors import FORBIDDEN, PermissionDenied
from controlplane.api.guards import may
from controlplane.domain import relaunch
from controlplane.domain.launch import PromptFacts, TemplateFacts
from controlplane.domain.launch_fields import ASK
from controlplane.shell import launch_lookups
from controlplane.shell.read_model import Row, View
from schemas.events.job import JobLaunched, PlaybookLaunch, WorkflowLaunch
from schemas.resource import RESOURCES

WITH_SECRETS = "Job was launched with secret prompts provided by another user."
FOREIGN_PROMPTS = "Job was launched with prompted fields you do not have access to."
UNKNOWN_PROMPTS = (
    "Job was launched with unknown prompted fields. Organization admin permissions required."
)
ORPHANED = "Job has been orphaned from its job template and organization."


async def check_prompts(
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
            await check_use(call, view, kind, numbers)


async def check_use(call: Call, view: View, kind: str, numbers: Iterable[int]) -> None:
    """Raise 403 unless the caller may use, or at least read, each of these objects."""
    verb = "use" if "use" in RESOURCES[kind].roles else "read"
    for number in numbers:
        if not await may(view, call.who, verb, kind, number):
            raise PermissionDenied


async def check_relaunch(
    call: Call, view: View, job: Row, facts: TemplateFacts | None, launched: JobLaunched
) -> None:
    """Raise 403 unless the caller may launch again what the job was launched with (AWX 4.4).

    A sliced run is what its slices are. ``facts``: of the template, None when that is gone.
    """
    if call.who.superuser:
        return
    record = (
        launched.record.sliced if isinstance(launched.record, WorkflowLaunch) else launched.record
    )
    prompted = record.prompted if isinstance(record, PlaybookLaunch) else None
    if facts is not None and await _may_again(call, view, job, facts, prompted):
        return
    organization = job["organization_id"]
    if organization is None or not await may(
        view, call.who, "run_jobs", "organization", organization
    ):
        raise PermissionDenied(_reason(facts, prompted, organization))


async def _may_again(
    call: Call, view: View, job: Row, facts: TemplateFacts, prompted: Mapping[str, Any] | None
) -> bool:
    """Return whether the right to launch the template suffices; raises 403 where nothing does."""
    if not await may(view, call.who, "start", "job_template", facts.template["id"]):
        raise PermissionDenied
    if not prompted:
        return prompted is not None
    if job["created_by"] != call.who.id and relaunch.is_secret(prompted):
        raise PermissionDenied(WITH_SECRETS)
    if relaunch.no_longer_asked(facts.template, prompted):
        return False
    return await _may_prompt(call, view, facts, prompted)


def _reason(
    facts: TemplateFacts | None, prompted: Mapping[str, Any] | None, organization: int | None
) -> str:
    if facts is None:
        return ORPHANED if organization is None else FORBIDDEN
    return UNKNOWN_PROMPTS if prompted is None else FOREIGN_PROMPTS


async def _may_prompt(
    call: Call, view: View, facts: TemplateFacts, prompted: Mapping[str, Any]
) -> bool:
    try:
        await check_prompts(
            call, view, facts, await launch_lookups.prompt_facts(view, prompted), prompted
        )
    except PermissionDenied:
        return False
    return True
