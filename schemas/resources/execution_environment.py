"""Execution environment: a container image that jobs may run in."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Choices, Help, ReadOnly, Ref, Unique, resource


@resource(
    kind="execution_environment",
    plural="execution_environments",
    verbose="Execution Environment",
    unique=(
        Unique(
            fields=("name",),
            key="name",
            message="Execution environment with this Name already exists.",
        ),
    ),
    extra_links={
        "unified_job_templates": "unified_job_templates",
        "activity_stream": "activity_stream",
        "copy": "copy",
    },
    parent="organization",
    order=("-created",),
    capabilities=("edit", "delete", "copy"),
    summary=("id", "name", "description", "image"),
    named_url=("name",),
    copyable=True,
)
class ExecutionEnvironment(Struct, frozen=True, kw_only=True):
    """The state of an execution environment."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    organization: Annotated[
        int | None,
        Ref("organization", on_delete="cascade"),
        Help("The organization used to determine access to this execution environment."),
    ] = None
    image: Annotated[
        str,
        Meta(min_length=1, max_length=1024),
        Help("The full image location, including the container registry, image name, and tag."),
    ]
    managed: Annotated[bool, ReadOnly()] = False
    credential: Annotated[int | None, Ref("credential")] = None
    pull: Annotated[
        str,
        Choices(
            (
                ("always", "Always pull container before running."),
                ("missing", "Only pull the image if not present before running."),
                ("never", "Never pull container before running."),
            )
        ),
        Help("Pull image before running?"),
    ] = ""
