"""Launching updates of projects: by hand, and at once when a project's source has changed."""

from __future__ import annotations

import msgspec

from controlplane.domain import project_update
from controlplane.shell.launch_tools import Launched, LaunchTools, append, refuse_when_stopped
from controlplane.shell.read_model import Row, View
from schemas.envelope import Context
from schemas.events.job import NamedRef
from schemas.status import LaunchType


async def launch_project_update(
    tools: LaunchTools, view: View, project: Row, context: Context
) -> Launched:
    """Append an update of an scm project; raises Unavailable with nothing stored."""
    await refuse_when_stopped(view)
    position = await view.config_position()
    job = await tools.job_number()
    return await _update(tools, job, project, context, position)


async def update_changed_project(
    tools: LaunchTools, project: Row, context: Context, position: int
) -> Launched:
    """Append the update of a project whose source changed at a CONFIG position.

    The loop ``project_updates`` does the same: whoever comes first launches the one job.
    """
    cause = project_update.update_cause(position, project["id"])
    job, _ = await tools.keys.job_for(cause)
    return await _update(tools, job, project, msgspec.structs.replace(context, id=cause), position)


async def _update(
    tools: LaunchTools, job: int, project: Row, context: Context, position: int
) -> Launched:
    actor = context.actor
    launched = project_update.update_of(
        job,
        project,
        created=context.at,
        launch_type=LaunchType.MANUAL,
        launched_by=NamedRef(type=actor.kind, id=actor.id, name=actor.name),
        config_position=position,
    )
    return await append(tools, launched, context, {})
