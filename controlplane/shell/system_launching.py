"""Launching system jobs: appended as any job is, run by the loop ``housekeeping``."""

from __future__ import annotations

from controlplane.domain.errors import NotFound
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
from schemas.events.job import JobLaunched, NamedRef, SystemJobLaunch


async def launch_system_job(
    tools: LaunchTools,
    view: View,
    template: int,
    variables: str,
    context: Context,
    how: How = BY_HAND,
) -> Launched:
    """Append a system job; raises NotFound, and Unavailable with nothing stored."""
    await refuse_when_stopped(view)
    row = await view.row('select * from "system_job_template" where "id" = $1', template)
    if row is None:
        raise NotFound("System Job Template")
    job = await tools.job_number()
    actor = context.actor
    launched = JobLaunched(
        id=job,
        name=row["name"],
        description=row["description"],
        created=context.at,
        organization=None,
        template=template,
        launch_type=how.launch_type,
        launched_by=how.launched_by or NamedRef(type=actor.kind, id=actor.id, name=actor.name),
        created_by=actor.id if actor.kind == "user" else None,
        record=SystemJobLaunch(
            system_job_template=template, job_type=row["job_type"], extra_vars=variables
        ),
        config_position=await view.config_position(),
        impact=0,
        relaunch_of=how.relaunch_of,
    )
    return await append(tools, launched, context)
