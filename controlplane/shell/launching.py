"""Launching: stores content and secrets of a resolved launch, and appends its job."""

from __future__ import annotations

import msgspec
import nats.errors
from nats.js.errors import Error as JetStreamError

from controlplane.domain import launch, slicing
from controlplane.domain.errors import Unavailable
from controlplane.domain.launch import Resolved, TemplateFacts
from controlplane.shell import environments, launch_lookups, launch_secrets, project_content
from controlplane.shell.inventory_content import InventoryContent, inventory_content
from controlplane.shell.inventory_launching import updates_before
from controlplane.shell.known_facts import known_facts
from controlplane.shell.launch_tools import (
    BY_HAND,
    How,
    Launched,
    LaunchTools,
    append,
    refuse_when_stopped,
)
from controlplane.shell.numbers import UNIFIED_JOB, WORKFLOW_JOB_NODE
from controlplane.shell.read_model import View
from schemas.envelope import Context
from schemas.events.job import JobLaunched, NamedRef, PlaybookLaunch


async def launch_template(
    tools: LaunchTools,
    view: View,
    facts: TemplateFacts,
    resolved: Resolved,
    context: Context,
    *,
    how: How = BY_HAND,
) -> Launched:
    """Append the job of a resolved launch; raises Unavailable with nothing stored."""
    await refuse_when_stopped(view)
    actor = context.actor
    job = await tools.job_number()
    needed = await project_content.needed(tools, view, resolved.record, context)
    record = needed.record
    updates: tuple[int, ...] = ()
    if not how.updated:
        updates = await updates_before(tools, view, record.inventory, context)
    content = await content_of(tools, view, record.inventory)
    record = msgspec.structs.replace(
        record,
        inventory_content=content.digest if content else "",
        host_count=content.hosts if content else 0,
        runtime_vars=await launch_lookups.runtime_vars(view, facts.template, record, context),
    )
    if record.use_fact_cache:
        within = () if record.inventory is None else (record.inventory,)
        known = await known_facts(tools.blobs, view, within, tools.smart_hosts, context)
        record = msgspec.structs.replace(record, facts=known)
    launched = JobLaunched(
        id=job,
        name=f"{facts.template['name']}{' (dry run)' if record.dry_run else ''}",
        description=facts.template["description"],
        created=context.at,
        organization=facts.template["organization"],
        template=None if record.dry_run else facts.template["id"],
        launch_type=how.launch_type,
        launched_by=how.launched_by or NamedRef(type=actor.kind, id=actor.id, name=actor.name),
        created_by=actor.id if actor.kind == "user" else None,
        record=record,
        config_position=await view.config_position(),
        depends=await launch_lookups.depends(view, facts.template, record),
        instance_groups=resolved.instance_groups
        or await launch_lookups.groups(
            view, facts.template["id"], record.inventory, facts.template["organization"]
        ),
        impact=launch.impact(record, how.launch_type),
        timeout_s=resolved.timeout_s,
        secrets=await launch_secrets.sealed(tools.vault, job, facts.template["id"], resolved),
        relaunch_of=how.relaunch_of,
        waits_for=(*needed.waits_for, *updates),
    )
    launched = await environments.settled(view, launched)
    launched = await _sliced(tools, launched, how)
    return await append(tools, launched, context, resolved.ignored_fields)


async def content_of(
    tools: LaunchTools, view: View, inventory: int | None
) -> InventoryContent | None:
    """Return the stored content of an inventory; raises Unavailable."""
    if inventory is None:
        return None
    try:
        return await inventory_content(tools.blobs, view, inventory, tools.smart_hosts)
    except (nats.errors.Error, JetStreamError, TimeoutError) as error:
        raise Unavailable("The content store is not available.") from error


async def _sliced(tools: LaunchTools, launched: JobLaunched, how: How) -> JobLaunched:
    """Return the sliced run that stands for a launch on several slices; else the launch itself."""
    record = launched.record
    if not isinstance(record, PlaybookLaunch) or record.job_slice_count <= 1:
        return launched
    if record.job_slice_number or record.dry_run:
        return launched
    count = slicing.effective_count(record.job_slice_count, record.host_count)
    if count == 1 or how.whole:
        whole = msgspec.structs.replace(record, job_slice_count=1)
        return msgspec.structs.replace(launched, record=whole)
    jobs = await tools.numbers.take(UNIFIED_JOB, count)
    nodes = await tools.numbers.take(WORKFLOW_JOB_NODE, count)
    return slicing.sliced(launched, jobs, nodes)
