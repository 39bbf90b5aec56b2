"""Schedule: when a template, project or source is to be run, and with which prompts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from schemas.resource import Help, ReadOnly, Ref, Related, Unique, resource
from schemas.resources.prompts import PROMPTED, Prompts

SCHEDULES = Related(name="schedules", kind="schedule", through="unified_job_template", create=True)
"""The sub-list of everything that can be scheduled."""


@resource(
    kind="schedule",
    plural="schedules",
    verbose="Schedule",
    unique=(
        Unique(
            fields=("unified_job_template", "name"),
            message="Schedule with this Unified job template and Name already exists.",
        ),
    ),
    related=PROMPTED,
    extra_links={"unified_jobs": "jobs"},
    order=("id",),
    summary=("id", "name", "description", "next_run"),
)
class Schedule(Prompts, frozen=True, kw_only=True):
    """A rule and what it starts; the times follow from the rule."""

    rrule: Annotated[str, Help("A value representing the schedules iCal recurrence rule.")]
    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    unified_job_template: Annotated[int, Ref("unified_job_template", on_delete="cascade")]
    enabled: Annotated[bool, Help("Enables processing of this schedule.")] = True
    dtstart: Annotated[
        datetime | None,
        ReadOnly(),
        Help("The first occurrence of the schedule occurs on or after this time."),
    ] = None
    dtend: Annotated[
        datetime | None,
        ReadOnly(),
        Help("The last occurrence of the schedule occurs before this time."),
    ] = None
    next_run: Annotated[
        datetime | None,
        ReadOnly(),
        Help("The next time that the scheduled action will run."),
    ] = None
