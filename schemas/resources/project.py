"""Project: where playbooks come from, a directory of the machine or a git repository."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Choices, Help, ReadOnly, Ref, Related, Unique, resource
from schemas.resources.notified import NOTIFIED
from schemas.resources.schedule import SCHEDULES


@resource(
    kind="project",
    plural="projects",
    verbose="Project",
    sequence="unified_job_template",
    unique=(
        Unique(
            fields=("name", "organization"),
            message="Project with this (name, organization) combination already exists.",
        ),
    ),
    related=(
        Related(name="job_templates", kind="job_template", through="project"),
        SCHEDULES,
        Related(name="scm_inventory_sources", kind="inventory_source", through="source_project"),
        *NOTIFIED,
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "teams": "teams",
        "playbooks": "playbooks",
        "inventory_files": "inventories",
        "update": "update",
        "project_updates": "project_updates",
        "access_list": "access_list",
        "object_roles": "object_roles",
        "copy": "copy",
    },
    roles=("admin", "use", "update", "read"),
    order=("id",),
    capabilities=("edit", "delete", "copy", "start", "schedule"),
    summary=("id", "name", "description", "status", "scm_type", "allow_override"),
    named_url=("name", "organization.name"),
    copyable=True,
    job_holder=True,
    job_kind="project_update",
)
class Project(Struct, frozen=True, kw_only=True):
    """The settings of a project; its status and content come from its updates."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    local_path: Annotated[
        str,
        Meta(max_length=1024),
        Help(
            "Local path (relative to PROJECTS_ROOT) containing playbooks and related files for"
            " this project."
        ),
    ] = ""
    scm_type: Annotated[
        str,
        Choices(
            (
                ("", "Manual"),
                ("git", "Git"),
                ("svn", "Subversion"),
                ("insights", "Red Hat Insights"),
                ("archive", "Remote Archive"),
            )
        ),
        Help("Specifies the source control system used to store the project.", "SCM Type"),
    ] = ""
    scm_url: Annotated[
        str,
        Meta(max_length=1024),
        Help("The location where the project is stored.", "SCM URL"),
    ] = ""
    scm_branch: Annotated[
        str,
        Meta(max_length=256),
        Help("Specific branch, tag or commit to checkout.", "SCM Branch"),
    ] = ""
    scm_refspec: Annotated[
        str,
        Meta(max_length=1024),
        Help("For git projects, an additional refspec to fetch.", "SCM refspec"),
    ] = ""
    scm_clean: Annotated[bool, Help("Discard any local changes before syncing the project.")] = (
        False
    )
    scm_track_submodules: Annotated[
        bool, Help("Track submodules latest commits on defined branch.")
    ] = False
    scm_delete_on_update: Annotated[bool, Help("Delete the project before syncing.")] = False
    credential: Annotated[int | None, Ref("credential")] = None
    timeout: Annotated[
        int, Help("The amount of time (in seconds) to run before the task is canceled.")
    ] = 0
    organization: Annotated[
        int | None,
        Ref("organization", on_delete="cascade"),
        Help("The organization used to determine access to this template."),
    ] = None
    scm_update_on_launch: Annotated[
        bool, Help("Update the project when a job is launched that uses the project.")
    ] = False
    scm_update_cache_timeout: Annotated[
        int,
        Meta(ge=0),
        Help(
            "The number of seconds after the last project update ran that a new project update"
            " will be launched as a job dependency."
        ),
    ] = 0
    allow_override: Annotated[
        bool,
        Help("Allow changing the SCM branch or revision in a job template that uses this project."),
    ] = False
    custom_virtualenv: Annotated[str | None, ReadOnly()] = None
    default_environment: Annotated[
        int | None,
        Ref("execution_environment"),
        Help("The default execution environment for jobs run using this project."),
    ] = None
    signature_validation_credential: Annotated[
        int | None,
        Ref("credential"),
        Help("An optional credential used for validating files in the project."),
    ] = None
