"""The update that a new or changed scm project gets at once, so that the answer shows it."""

from __future__ import annotations

import structlog

from controlplane.api.call import Call
from controlplane.api.error_answers import TEMPORARY
from controlplane.domain.errors import Rejected
from controlplane.domain.project_update import can_update, changed_sources
from controlplane.shell import update_launching
from controlplane.shell.config_writer import Appended

_log = structlog.get_logger()
_LEFT_TO_THE_LOOP: tuple[type[BaseException], ...] = (*TEMPORARY, Rejected)


async def start(call: Call, appended: Appended) -> None:
    """Launch the updates that a transaction causes and wait until they can be read.

    The transaction stands already: what fails here is left to the loop that does the same.
    """
    for project in changed_sources(appended.events):
        try:
            await _start(call, appended, project)
        except _LEFT_TO_THE_LOOP as error:
            _log.warning("update left to the loop", project=project, error=type(error).__name__)


async def _start(call: Call, appended: Appended, project: int) -> None:
    async with call.read() as view:
        row = await view.row('select t.* from "project" t where t."id" = $1', project)
        if row is None or not can_update(row):
            return
    done = await update_launching.update_changed_project(
        call.services.launch_tools, row, appended.context, appended.position
    )
    within_s = call.services.settings.write_wait_s
    await call.services.catch_up.wait("jobs", done.position, within_s)
