"""From a project's settings to the launch of its update. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from controlplane.domain import task_impact
from schemas.events.job import JobLaunched, NamedRef, ProjectUpdateLaunch
from schemas.events.resource import ResourceCreated, ResourceUpdated
from schemas.registry import Event
from schemas.status import LaunchType

SCM_FIELDS = frozenset(
    {
        *("scm_type", "scm_url", "scm_branch", "scm_refspec", "scm_track_submodules"),
        *("credential", "scm_clean", "scm_delete_on_update"),
    }
)
"""A change of one of these starts an update (AWX 3.11)."""


def changed_sources(events: Iterable[Event]) -> Iterator[int]:
    """Yield the projects whose source these events make or change: each is updated at once."""
    for event in events:
        match event:
            case ResourceCreated(kind="project", id=number, values=values):
                if values.get("scm_type"):
                    yield number
            case ResourceUpdated(kind="project", id=number, changes=changes):
                if SCM_FIELDS & changes.keys():
                    yield number
            case _:
                continue


def update_cause(position: int, project: int) -> str:
    """Return the key under which a change of a project, at its CONFIG position, has its update."""
    return f"project-update-{position}-{project}"


def update_of(
    job: int,
    project: Mapping[str, Any],
    *,
    created: datetime,
    launch_type: LaunchType,
    launched_by: NamedRef,
    config_position: int,
) -> JobLaunched:
    """Return the launch of a project's update; ``project`` is its row or values with its ``id``."""
    organization = project.get("organization")
    credential = project.get("credential")
    named = {"project": project["id"], "organization": organization, "credential": credential}
    return JobLaunched(
        id=job,
        name=project["name"],
        description=project.get("description", ""),
        created=created,
        organization=organization,
        template=project["id"],
        launch_type=launch_type,
        launched_by=launched_by,
        created_by=launched_by.id if launched_by.type == "user" else None,
        record=ProjectUpdateLaunch(
            project=project["id"],
            scm_type=project["scm_type"],
            scm_url=project["scm_url"],
            scm_branch=project.get("scm_branch", ""),
            scm_refspec=project.get("scm_refspec", ""),
            scm_clean=project.get("scm_clean", False),
            scm_track_submodules=project.get("scm_track_submodules", False),
            scm_delete_on_update=project.get("scm_delete_on_update", False),
            credential=credential,
        ),
        config_position=config_position,
        depends=tuple(f"{kind}:{number}" for kind, number in named.items() if number),
        impact=task_impact.PROJECT_UPDATE,
        timeout_s=project.get("timeout", 0),
    )
