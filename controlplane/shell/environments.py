"""Looks up the execution environment that a job is launched with."""

from __future__ import annotations

import msgspec

from controlplane.domain.isolation import Environments
from controlplane.shell.read_model import Row, View
from schemas.events.job import (
    Environment,
    JobLaunched,
    ProjectUpdateLaunch,
    inventory_of,
    project_of,
)

DEFAULT = "DEFAULT_EXECUTION_ENVIRONMENT"


async def settled(view: View, launched: JobLaunched) -> JobLaunched:
    """Return a launch with its execution environment as it is now; the job keeps it so."""
    record = launched.record
    if isinstance(record, ProjectUpdateLaunch):
        return launched
    found = await resolved(
        view,
        getattr(record, "execution_environment", None),
        project_of(record),
        launched.organization,
        inventory_of(record),
    )
    if found is None:
        return launched
    kept = Environment(**{name: found[name] for name in Environment.__struct_fields__})
    return msgspec.structs.replace(launched, environment=kept)


async def resolved(
    view: View,
    chosen: int | None,
    project: int | None,
    organization: int | None,
    inventory: int | None,
) -> Row | None:
    """Return the environment that holds for a job; None: that of its runner."""
    row = await view.named_row("environment_choices", project, organization, inventory, DEFAULT)
    choices = dict(row) if row is not None else {}
    default = choices.pop("installation", None)
    installation = None if default is None else msgspec.json.decode(default)
    number = Environments(**choices, job=chosen, installation=installation).resolved()
    if number is None:
        return None
    return await view.named_row("environment_for_launch", number)
