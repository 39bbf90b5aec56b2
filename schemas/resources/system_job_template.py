"""System job template: a clean-up of the deployment's own records, made by the system alone."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Choices, Help, ReadOnly, Ref, resource
from schemas.resources.notified import NOTIFIED
from schemas.resources.schedule import SCHEDULES

SYSTEM_JOB_TYPES = (
    ("cleanup_jobs", "Remove jobs older than a certain number of days"),
    (
        "cleanup_activitystream",
        "Remove activity stream entries older than a certain number of days",
    ),
    ("cleanup_sessions", "Removes expired browser sessions from the database"),
    ("cleanup_tokens", "Removes expired OAuth 2 access tokens and refresh tokens"),
)


@resource(
    kind="system_job_template",
    plural="system_job_templates",
    verbose="System Job Template",
    sequence="unified_job_template",
    related=(SCHEDULES, *NOTIFIED),
    extra_links={"jobs": "jobs", "launch": "launch"},
    capabilities=(),
    read_only=True,
    job_kind="system_job",
)
class SystemJobTemplate(Struct, frozen=True, kw_only=True):
    """What is cleaned up."""

    name: Annotated[str, Meta(min_length=1, max_length=512), ReadOnly()]
    description: Annotated[str, ReadOnly()] = ""
    execution_environment: Annotated[
        int | None,
        Ref("execution_environment"),
        ReadOnly(),
        Help("The container image to be used for execution."),
    ] = None
    job_type: Annotated[str, Choices(SYSTEM_JOB_TYPES), ReadOnly()] = ""
