"""Launching ad hoc commands: content and secrets stored, then the command's job appended."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from controlplane.domain.errors import Invalid
from controlplane.domain.task_impact import playbook_impact
from controlplane.shell import environments, launch_lookups, launching
from controlplane.shell.launch_tools import (
    BY_HAND,
    How,
    Launched,
    LaunchTools,
    append,
    refuse_when_stopped,
)
from controlplane.shell.read_model import View
from schemas.envelope import Context
from schemas.events.job import AdHocLaunch, JobLaunched, NamedRef


async def launch_command(
    tools: LaunchTools,
    view: View,
    record: AdHocLaunch,
    passwords: Mapping[str, str],
    context: Context,
    how: How = BY_HAND,
) -> Launched:
    """Append the job of a checked request; raises Unavailable with nothing stored."""
    await refuse_when_stopped(view)
    inventory = await view.named_row("inventory_for_script", record.inventory)
    content = await launching.content_of(tools, view, record.inventory)
    if inventory is None or content is None:
        raise Invalid({"inventory": ["No valid inventory."]})
    job = await tools.job_number()
    sealed = ""
    if passwords:
        sealed = await tools.vault.seal("job", job, msgspec.json.encode(passwords).decode())
    record = msgspec.structs.replace(
        record,
        inventory_content=content.digest,
        host_count=content.hosts,
        runtime_vars=await launch_lookups.common_vars(view, record.inventory, context),
    )
    actor = context.actor
    launched = JobLaunched(
        id=job,
        name=record.module_name,
        created=context.at,
        organization=inventory["organization"],
        template=None,
        launch_type=how.launch_type,
        launched_by=NamedRef(type=actor.kind, id=actor.id, name=actor.name),
        created_by=actor.id if actor.kind == "user" else None,
        record=record,
        config_position=await view.config_position(),
        depends=await _depends(view, record),
        instance_groups=await launch_lookups.groups(
            view, None, record.inventory, inventory["organization"]
        ),
        impact=playbook_impact(record.forks, record.host_count),
        secrets=sealed,
        relaunch_of=how.relaunch_of,
    )
    launched = await environments.settled(view, launched)
    return await append(tools, launched, context, {})


async def _depends(view: View, record: AdHocLaunch) -> tuple[str, ...]:
    """Return everything the command needs, the organizations that it would go with included."""
    credentials = [] if record.credential is None else [record.credential]
    rows = await view.named("organizations_behind", None, record.inventory, credentials)
    return (
        f"inventory:{record.inventory}",
        *(f"credential:{each}" for each in credentials),
        *(f"organization:{row['organization']}" for row in rows),
    )
