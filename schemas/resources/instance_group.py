"""Instance group: instances that jobs are placed on together."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from schemas.resource import Help, Json, Ref, Related, Unique, resource


@resource(
    kind="instance_group",
    plural="instance_groups",
    verbose="Instance Group",
    unique=(
        Unique(
            fields=("name",), key="name", message="Instance group with this Name already exists."
        ),
    ),
    related=(Related(name="instances", kind="instance", attach=True),),
    extra_links={
        "jobs": "jobs",
        "access_list": "access_list",
        "object_roles": "object_roles",
    },
    roles=("admin", "use", "read"),
    search=("name",),
    summary=("id", "name", "is_container_group"),
    named_url=("name",),
    job_holder=True,
)
class InstanceGroup(Struct, frozen=True, kw_only=True):
    """The state of an instance group; its instances and their load are facts of their own."""

    name: Annotated[str, Meta(min_length=1, max_length=250)]
    max_concurrent_jobs: Annotated[
        int,
        Meta(ge=0),
        Help("Maximum number of concurrent jobs to run on a group. Zero: no maximum."),
    ] = 0
    max_forks: Annotated[
        int, Meta(ge=0), Help("Maximum number of forks to execute on a group. Zero: no maximum.")
    ] = 0
    is_container_group: Annotated[
        bool, Help("Instances of this group run as containers in a Kubernetes cluster.")
    ] = False
    credential: Annotated[int | None, Ref("credential")] = None
    policy_instance_percentage: Annotated[int, Meta(ge=0, le=100)] = 0
    policy_instance_minimum: Annotated[int, Meta(ge=0)] = 0
    policy_instance_list: Annotated[
        list[Any],
        Json("object"),
        Help("List of exact-match Instances that will be assigned to this group"),
    ] = []
    pod_spec_override: str = ""
