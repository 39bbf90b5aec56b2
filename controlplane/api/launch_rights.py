"""Who launches uses only what he has a right to: prompts, and those of a relaunched job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api.call import Call
from controlplane.api.errors import PermissionDenied
from controlplane.api.guards import may
from controlplane.domain.launch import PromptFacts, TemplateFacts
from controlplane.domain.launch_fields import ASK
from controlplane.shell import launch_lookups
from controlplane.shell.read_model import Row, View
from schemas.resource import RESOURCES


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


async def check_as_it_was(call: Call, view: View, job: Row, template: Row) -> None:
    """Raise 403 unless the caller may use what the job ran with beyond its template's own."""
    facts = await launch_lookups.template_facts(view, template)
    if job["inventory_id"] is not None and job["inventory_id"] != template["inventory"]:
        await check_use(call, view, "inventory", [job["inventory_id"]])
    own = {each.id for each in facts.credentials}
    await check_use(call, view, "credential", set(job["credentials"]) - own)
