"""What a job needs of its project before it can run: an update first, another branch, a directory.

A job of a project that is updated at each launch waits for one update, which all jobs share that
come meanwhile. A job of another branch waits for a sync of its own, unless it names a commit that
was fetched before: then it needs nobody. A manual project's directory is packed at launch.

Where a project names who signs it, only what an update has verified by that credential is run.
"""

from __future__ import annotations

import msgspec
import nats.errors
from msgspec import Struct
from nats.js.errors import Error as JetStreamError

from controlplane.domain import project_update
from controlplane.domain.errors import Refused, Unavailable
from controlplane.domain.job import JOB, JobState, Launch
from controlplane.shell.event_store import EventStore
from controlplane.shell.launch_keys import LaunchKeys
from controlplane.shell.manual_projects import ManualProjects
from controlplane.shell.numbers import UNIFIED_JOB, Numbers
from controlplane.shell.read_model import Row, View
from controlplane.shell.transact import transact
from ops import tree_archive
from ops.blobs import Blobs
from schemas import subjects
from schemas.envelope import Context
from schemas.events.job import JobLaunched, PlaybookLaunch, ProjectContent
from schemas.status import LaunchType


class ContentTools(Struct, frozen=True, kw_only=True):
    """What brings a project's content."""

    store: EventStore
    numbers: Numbers
    keys: LaunchKeys
    blobs: Blobs
    manual: ManualProjects


class Needed(Struct, frozen=True, kw_only=True):
    """The launch record with what is known of its content, and the updates it waits for."""

    record: PlaybookLaunch
    waits_for: tuple[int, ...] = ()


async def needed(
    tools: ContentTools, view: View, record: PlaybookLaunch, context: Context
) -> Needed:
    """Launch the updates that a job needs. Raises Unavailable, Refused."""
    if record.pinned is not None:
        return Needed(record=record)
    project = None
    if record.project is not None:
        project = await view.row('select * from "project" where "id" = $1', record.project)
    if project is None:
        return Needed(record=record)
    if not project["scm_type"]:
        pinned = await _directory(tools, project)
        return Needed(record=msgspec.structs.replace(record, pinned=pinned))
    waits_for = await _updated_first(tools, view, project, context)
    branch = project_update.other_branch(project, record.scm_branch)
    if not branch:
        return Needed(record=record, waits_for=waits_for)
    signer = project_update.signer_key(project)
    known = await view.named_row("content_of_commit", project["id"], branch, signer)
    if known is not None:
        pinned = ProjectContent(
            content=known["project_content"],
            revision=known["scm_revision"],
            galaxy=known["galaxy_content"],
        )
        return Needed(record=msgspec.structs.replace(record, pinned=pinned), waits_for=waits_for)
    job = (await tools.numbers.take(UNIFIED_JOB))[0]
    update = await _update(view, job, project, context)
    sync = msgspec.structs.replace(context, id=f"project-sync-{job}")
    await _launch(tools, project_update.sync_of(update, branch), sync)
    fetched = msgspec.structs.replace(record, project_update=job)
    return Needed(record=fetched, waits_for=(*waits_for, job))


async def _updated_first(
    tools: ContentTools, view: View, project: Row, context: Context
) -> tuple[int, ...]:
    """Return the update that a job waits for, launched unless one is under way."""
    if not project_update.can_update(project):
        return ()
    if not project["scm_update_on_launch"] and await verified(view, project, None):
        return ()
    newest = await view.named_row("newest_update", project["id"])
    if newest is not None and not project_update.is_stale(project, newest, context.at):
        return () if newest["finished"] else (newest["id"],)
    # Who comes at the same time sees the same newest update, and so shares the next one.
    cause = f"project-dependency-{project['id']}-{newest['id'] if newest else 0}"
    while True:
        job, _ = await tools.keys.job_for(cause)
        update = await _update(view, job, project, context)
        state = await _launch(tools, update, msgspec.structs.replace(context, id=cause))
        if not state.deleted:
            return (job,)
        # The one that followed then was deleted since: the newest is the same again.
        cause = f"project-dependency-{project['id']}-{job}"


async def verified(view: View, project: Row, content: str | None) -> bool:
    """Tell whether a content of a project, None for its newest, may run: who signs has signed it.

    Without anybody who signs, everything may.
    """
    signer = project_update.signer_key(project)
    if signer is None:
        return True
    return bool(await view.named("content_verified", project["id"], signer, content))


async def _update(view: View, job: int, project: Row, context: Context) -> JobLaunched:
    return project_update.update_of(
        job,
        project,
        created=context.at,
        launch_type=LaunchType.DEPENDENCY,
        launched_by=project_update.NOBODY,
        config_position=await view.config_position(),
    )


async def _launch(tools: ContentTools, update: JobLaunched, context: Context) -> JobState:
    subject = subjects.job(update.id)
    done = await transact(tools.store, subject, JOB, Launch(launched=update), context)
    return done.state


async def _directory(tools: ContentTools, project: Row) -> ProjectContent:
    """Return the content of a manual project as it is now."""
    try:
        digest = await tools.manual.pack(project["local_path"], tools.blobs)
    except FileNotFoundError as error:
        text = f"The project's directory {project['local_path']!r} is missing."
        raise Refused({"project": [text]}) from error
    except (nats.errors.Error, JetStreamError, TimeoutError) as error:
        raise Unavailable("The content store is not available.") from error
    except tree_archive.TooLarge as error:
        raise Refused({"project": ["The project's directory is too large."]}) from error
    except OSError as error:
        text = f"The project's directory cannot be read: {error.strerror or error}."
        raise Refused({"project": [text]}) from error
    return ProjectContent(content=digest)
