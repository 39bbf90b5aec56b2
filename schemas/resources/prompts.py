"""What a launch may be asked for, as schedules and workflow nodes keep it for later."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from schemas.resource import Choices, Help, Hidden, Json, ReadOnly, Ref, Related
from schemas.resources.choices import JOB_TYPES, VERBOSITIES

PROMPTED = (
    Related(name="credentials", kind="credential", attach=True, ordered=True),
    Related(name="labels", kind="label", attach=True, create=True),
    Related(name="instance_groups", kind="instance_group", attach=True, ordered=True),
)
"""Lists that a launch may be asked for."""


class Prompts(Struct, frozen=True, kw_only=True):
    """Prompt fields; null leaves a field to the template."""

    survey_passwords: Annotated[dict[str, Any], Json("object"), Hidden(), ReadOnly()] = field(
        default_factory=dict
    )
    """Names of the secret answers in ``extra_data``."""
    extra_data: Annotated[dict[str, Any], Json("object", sealed=True)] = field(default_factory=dict)
    inventory: Annotated[
        int | None,
        Ref("inventory"),
        Help("Inventory applied as a prompt, assuming job template prompts for inventory"),
    ] = None
    scm_branch: Annotated[str | None, Meta(max_length=1024)] = None
    job_type: Annotated[str | None, Choices(JOB_TYPES)] = None
    job_tags: str | None = None
    skip_tags: str | None = None
    limit: str | None = None
    diff_mode: bool | None = None
    verbosity: Annotated[int | None, Choices(VERBOSITIES)] = None
    execution_environment: Annotated[
        int | None,
        Ref("execution_environment"),
        Help("The container image to be used for execution."),
    ] = None
    forks: Annotated[int | None, Meta(ge=0)] = None
    job_slice_count: Annotated[int | None, Meta(ge=0)] = None
    timeout: int | None = None
