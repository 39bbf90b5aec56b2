"""Job template: a playbook of a project, an inventory and how to run the one on the other."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from schemas.resource import (
    Choices,
    Help,
    Hidden,
    Json,
    ReadOnly,
    Ref,
    Related,
    Secret,
    Unique,
    resource,
)
from schemas.resources.choices import JOB_TYPES, VERBOSITIES, WEBHOOK_SERVICES
from schemas.resources.notified import NOTIFIED
from schemas.resources.schedule import SCHEDULES


@resource(
    kind="job_template",
    plural="job_templates",
    verbose="Job Template",
    sequence="unified_job_template",
    unique=(
        Unique(
            fields=("name", "organization"),
            message="JobTemplate with this (name, organization) combination already exists.",
        ),
    ),
    related=(
        Related(name="credentials", kind="credential", attach=True, ordered=True),
        Related(name="labels", kind="label", attach=True, create=True),
        Related(name="instance_groups", kind="instance_group", attach=True, ordered=True),
        *NOTIFIED,
        SCHEDULES,
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "jobs": "jobs",
        "launch": "launch",
        "access_list": "access_list",
        "object_roles": "object_roles",
        "survey_spec": "survey_spec",
        "webhook_key": "webhook_key",
        "slice_workflow_jobs": "slice_workflow_jobs",
        "copy": "copy",
    },
    roles=("admin", "execute", "read"),
    capabilities=("edit", "delete", "start", "schedule", "copy"),
    named_url=("name", "organization.name"),
    copyable=True,
    job_holder=True,
    job_kind="job",
)
class JobTemplate(Struct, frozen=True, kw_only=True):
    """The settings of a job template; ``organization`` is its project's."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    job_type: Annotated[str, Choices(JOB_TYPES)] = "run"
    inventory: Annotated[int | None, Ref("inventory")] = None
    project: Annotated[int | None, Ref("project")] = None
    playbook: Annotated[str, Meta(max_length=1024)] = ""
    scm_branch: Annotated[
        str,
        Meta(max_length=1024),
        Help(
            "Branch to use in job run. Project default used if blank. Only allowed if project"
            " allow_override field is set to true.",
            "SCM Branch",
        ),
    ] = ""
    forks: Annotated[int, Meta(ge=0)] = 0
    limit: str = ""
    verbosity: Annotated[int, Choices(VERBOSITIES)] = 0
    extra_vars: Annotated[str, Json("text")] = ""
    job_tags: str = ""
    force_handlers: bool = False
    skip_tags: Annotated[str, Meta(max_length=1024)] = ""
    start_at_task: Annotated[str, Meta(max_length=1024)] = ""
    timeout: Annotated[
        int, Help("The amount of time (in seconds) to run before the task is canceled.")
    ] = 0
    use_fact_cache: Annotated[
        bool, Help("If enabled, the service will act as an Ansible Fact Cache Plugin.")
    ] = False
    organization: Annotated[
        int | None,
        Ref("organization"),
        ReadOnly(),
        Help("The organization used to determine access to this template."),
    ] = None
    execution_environment: Annotated[
        int | None,
        Ref("execution_environment"),
        Help("The container image to be used for execution."),
    ] = None
    host_config_key: Annotated[str, Meta(max_length=1024)] = ""
    ask_scm_branch_on_launch: bool = False
    ask_diff_mode_on_launch: bool = False
    ask_variables_on_launch: bool = False
    ask_limit_on_launch: bool = False
    ask_tags_on_launch: bool = False
    ask_skip_tags_on_launch: bool = False
    ask_job_type_on_launch: bool = False
    ask_verbosity_on_launch: bool = False
    ask_inventory_on_launch: bool = False
    ask_credential_on_launch: bool = False
    ask_execution_environment_on_launch: bool = False
    ask_labels_on_launch: bool = False
    ask_forks_on_launch: bool = False
    ask_job_slice_count_on_launch: bool = False
    ask_timeout_on_launch: bool = False
    ask_instance_groups_on_launch: bool = False
    survey_enabled: bool = False
    become_enabled: bool = False
    diff_mode: Annotated[
        bool,
        Help(
            "If enabled, textual changes made to any templated files on the host are shown in"
            " the standard output"
        ),
    ] = False
    allow_simultaneous: bool = False
    custom_virtualenv: Annotated[str | None, ReadOnly()] = None
    job_slice_count: Annotated[
        int,
        Meta(ge=0),
        Help("The number of jobs to slice into at runtime."),
    ] = 1
    survey_spec: Annotated[dict[str, Any], Json("object", sealed=True), Hidden(), ReadOnly()] = (
        field(default_factory=dict)
    )
    webhook_key: Annotated[str, Secret(), Hidden(), ReadOnly()] = ""
    webhook_service: Annotated[
        str, Choices(WEBHOOK_SERVICES), Help("Service that webhook requests will be accepted from")
    ] = ""
    webhook_credential: Annotated[
        int | None,
        Ref("credential"),
        Help("Personal Access Token for posting back the status to the service API"),
    ] = None
    prevent_instance_group_fallback: Annotated[
        bool,
        Help(
            "If enabled, the job template will prevent adding any inventory or organization"
            " instance groups to the list of preferred instances groups to run on."
        ),
    ] = False
