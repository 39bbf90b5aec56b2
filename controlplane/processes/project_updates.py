"""A new project, or one whose source changed, is updated at once.

One job for each change (AWX 3.11). The API starts it with its answer; whoever comes first wins.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from controlplane.domain.job import Launch
from controlplane.domain.project_update import (
    can_update,
    changed_sources,
    update_cause,
    update_of,
)
from controlplane.processes import position
from controlplane.processes.loop import Tools
from controlplane.shell.launch_keys import LaunchKeys
from controlplane.shell.resource_fold import resource_values
from ops import pull
from schemas.envelope import Recorded
from schemas.events.job import NamedRef
from schemas.status import LaunchType
from schemas.streams import CONFIG

log = structlog.get_logger()

_MAY_CONCERN = (b'"project.', b'"blob":"')
"""In the message of a transaction about a project: a tag, or a body that stands elsewhere."""


class ProjectUpdates:
    """The loop; see the module."""

    name = "project_updates"
    singleton = True

    async def run(self, tools: Tools) -> None:
        """Follow CONFIG from the last handled position until cancelled."""
        after = await position.load(tools.connection, self.name)
        async for messages in pull.follow(tools.connection, CONFIG.name, after, batch=100):
            for message in messages:
                if not any(mark in message.data for mark in _MAY_CONCERN):
                    continue
                record = await tools.store.decode(message)
                for project in projects_to_update(record):
                    await self._launch(tools, record, project)
            if messages:
                await position.save(tools.connection, self.name, messages[-1].sequence)

    async def _launch(self, tools: Tools, record: Recorded, project: int) -> None:
        values = await resource_values(tools.store, "project", project)
        if values is None or not can_update(values):
            return
        keys = LaunchKeys(tools.connection, tools.numbers)
        cause = update_cause(record.sequence, project)
        job, _ = await keys.job_for(cause)
        actor = record.context.actor
        launched = update_of(
            job,
            {**values, "id": project},
            created=record.context.at,
            launch_type=LaunchType.MANUAL,
            launched_by=NamedRef(type=actor.kind, id=actor.id, name=actor.name),
            config_position=record.sequence,
        )
        await tools.job(
            self.name,
            job,
            Launch(launched=launched),
            message_id=cause,
            traceparent=record.context.traceparent,
        )
        log.info("project update", project=project, job=job)


def projects_to_update(record: Recorded) -> Iterator[int]:
    """Yield the projects whose source a transaction made or changed."""
    return changed_sources(record.events)
