"""Launching inventory updates: by hand, and those that a job waits for before it starts."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from controlplane.domain import inventory_update
from controlplane.domain.errors import NotFound
from controlplane.domain.inventory_update import Around
from controlplane.shell import environments, launch_lookups, project_content, update_launching
from controlplane.shell.inventory_content import inventory_content
from controlplane.shell.known_facts import known_facts
from controlplane.shell.launch_tools import Launched, LaunchTools, append, refuse_when_stopped
from controlplane.shell.read_model import Row, View
from ops import clock, ids
from schemas.envelope import Context
from schemas.events.job import NamedRef, PlaybookLaunch, ProjectContent
from schemas.status import ACTIVE, LaunchType, Status


async def launch_inventory_update(
    tools: LaunchTools, view: View, source: int, context: Context
) -> Launched:
    """Append an update of a source; raises Unavailable, or Refused, with nothing stored."""
    await refuse_when_stopped(view)
    row = await _source(view, source)
    return await _launch(tools, view, row, context, LaunchType.MANUAL, await tools.job_number())


async def updates_before(
    tools: LaunchTools, view: View, inventory: int | None, context: Context
) -> tuple[int, ...]:
    """Return the updates that a job on an inventory waits for, those launched that are due.

    Whoever launches at the same moment waits for the same ones.
    """
    if inventory is None:
        return ()
    found: list[int] = []
    for last in await view.named("sources_on_launch", inventory):
        row = await _source(view, last["id"])
        if not inventory_update.can_update(row):
            continue
        if inventory_update.is_due(last, last["update_cache_timeout"], clock.now()):
            cause = f"inventory-update-after-{last['last_job'] or 0}-of-{row['id']}"
            job, _ = await tools.keys.job_for(cause)
            own = msgspec.structs.replace(context, id=ids.new_id())
            await _launch(tools, view, row, own, LaunchType.DEPENDENCY, job)
            found.append(job)
        elif Status(last["status"]) in ACTIVE:
            found.append(last["last_job"])
    return tuple(found)


async def _source(view: View, number: int) -> Row:
    row = await view.named_row("source_for_launch", number)
    if row is None:
        raise NotFound("Inventory Source")
    return row


async def _launch(
    tools: LaunchTools,
    view: View,
    row: Row,
    context: Context,
    launch_type: LaunchType,
    job: int,
) -> Launched:
    actor = context.actor
    read = await _project(tools, view, row, context)
    waits_for = [*read.waits_for]
    inputs: list[tuple[int, str]] = []
    facts = ""
    if row["source"] == "constructed":
        for each in await view.named("input_inventories_of", row["inventory"]):
            waits_for += await updates_before(tools, view, each["target"], context)
            content = await inventory_content(tools.blobs, view, each["target"], tools.smart_hosts)
            inputs.append((each["target"], content.digest))
        numbers = [number for number, _ in inputs]
        facts = await known_facts(tools.blobs, view, numbers, tools.smart_hosts, context)
    groups = await launch_lookups.groups(view, None, row["inventory"], row["organization"])
    launched = inventory_update.update_of(
        row,
        Around(
            job=job,
            created=context.at,
            launch_type=launch_type,
            launched_by=NamedRef(type=actor.kind, id=actor.id, name=actor.name),
            config_position=await view.config_position(),
            groups=groups,
            input_inventories=tuple(number for number, _ in inputs),
            inputs=tuple(content for _, content in inputs),
            facts=facts,
            project_update=read.update,
            pinned=read.pinned,
            waits_for=tuple(dict.fromkeys(waits_for)),
        ),
    )
    launched = await environments.settled(view, launched)
    return await append(tools, launched, context, {})


class _Read(Struct, frozen=True, kw_only=True):
    """Which content of a project an update reads, and what it waits for."""

    update: int | None = None
    pinned: ProjectContent | None = None
    waits_for: tuple[int, ...] = ()


async def _project(tools: LaunchTools, view: View, row: Row, context: Context) -> _Read:
    """Launch what brings the content of a source's project: as for a job that runs it."""
    if row["source"] != "scm":
        return _Read()
    project = row["source_project"]
    asked = PlaybookLaunch(
        job_template=None,
        inventory=None,
        project=project,
        playbook="",
        scm_branch=row["scm_branch"],
    )
    plain = msgspec.structs.replace(context, id=ids.new_id())
    found = await project_content.needed(tools, view, asked, plain)
    update = found.record.project_update or next(iter(found.waits_for), None)
    if update is None and found.record.pinned is None:
        update = await _first_content(tools, view, project, plain)
    waits_for = {*found.waits_for, *(() if update is None else (update,))}
    return _Read(update=update, pinned=found.record.pinned, waits_for=tuple(sorted(waits_for)))


async def _first_content(
    tools: LaunchTools, view: View, project: int, context: Context
) -> int | None:
    """Return the update of a project that has no content yet, launched if none is under way."""
    known = await view.named_row("project_for_launch", project)
    if known is None or known["content"]:
        return None
    if known["current_job"] is not None:
        return int(known["current_job"])
    row = await view.row('select * from "project" where "id" = $1', project)
    if row is None:
        raise NotFound("Project")
    plain = msgspec.structs.replace(tools, request=None)
    own = msgspec.structs.replace(context, id=ids.new_id())
    return (await update_launching.launch_project_update(plain, view, row, own)).job
