"""Launching system jobs: appended as any job is, run by the loop ``housekeeping``."""

from __future__ import annotations

from controlplane.domain.errors import NotFound
from controlplane.domain.job import JOB, Launch
from controlplane.shell.launch_tools import BY_HAND, How, Launched, LaunchTools, refuse_when_stopped
from controlplane.shell.read_model import View
from controlplane.shell.transact import transact
from schemas import subjects
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
        config_position=await view.value(
            "select position from checkpoint where projection = 'config'"
        ),
        impact=0,
        relaunch_of=how.relaunch_of,
    )
    done = await transact(tools.store, subjects.job(job), JOB, Launch(launched=launched), context)
    return Launched(
        job=job,
        position=done.position,
        record=launched,
        ignored_fields=None,
        repeated=not done.events,
    )
