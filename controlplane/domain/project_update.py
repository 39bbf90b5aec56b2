"""From a project's settings to the launch of its update. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from controlplane.domain import task_impact
from schemas.events.job import JobLaunched, NamedRef, ProjectUpdateLaunch
from schemas.events.resource import ResourceCreated, ResourceUpdated
from schemas.registry import Event
from schemas.status import FAILED, LaunchType, Status

INSIGHTS = "insights"
NO_INSIGHTS = "Playlog does not fetch playbooks from Red Hat Insights."
NOBODY = NamedRef(type="")
"""Updates that jobs cause are launched by nobody."""
SCM_FIELDS = frozenset(
    {
        *("scm_type", "scm_url", "scm_branch", "scm_refspec", "scm_track_submodules"),
        *("credential", "scm_clean", "scm_delete_on_update", "signature_validation_credential"),
    }
)
"""A change of one of these starts an update (AWX 3.11).

That of who signs is ours: what is here already has not been verified by the new key.
"""


def changed_sources(events: Iterable[Event]) -> Iterator[int]:
    """Yield the projects whose source these events make or change: each is updated at once."""
    for event in events:
        match event:
            case ResourceCreated(kind="project", id=number, values=values):
                if can_update(values):
                    yield number
            case ResourceUpdated(kind="project", id=number, changes=changes):
                if SCM_FIELDS & changes.keys():
                    yield number
            case _:
                continue


def update_cause(position: int, project: int) -> str:
    """Return the key under which a change of a project, at its CONFIG position, has its update."""
    return f"project-update-{position}-{project}"


def can_update(project: Mapping[str, Any]) -> bool:
    """Tell whether a project has a source that can be fetched."""
    return project["scm_type"] not in {"", INSIGHTS}


def is_stale(project: Mapping[str, Any], newest: Mapping[str, Any] | None, now: datetime) -> bool:
    """Tell whether a job of a project is to wait for a new update of it (AWX 4.5).

    ``newest`` is its newest update by ``status``, ``finished`` and ``depends``; one that is under
    way is shared, if it verifies what it fetches as the project asks for by now.
    """
    if newest is None or Status(newest["status"]) in FAILED:
        return True
    signer = signer_key(project)
    if signer is not None and signer not in newest["depends"]:
        return True
    if newest["finished"] is None:
        return False
    kept: datetime = newest["finished"]
    return kept + timedelta(seconds=project["scm_update_cache_timeout"]) <= now


def signer_key(project: Mapping[str, Any]) -> str | None:
    """Return what an update depends on that verifies the project's signature; None without one."""
    signer = project.get("signature_validation_credential")
    return f"credential:{signer}" if signer and can_update(project) else None


def other_branch(project: Mapping[str, Any], branch: str) -> str:
    """Return the branch that a job wants, when it is another than the project's; else nothing."""
    wanted = branch and project["allow_override"] and can_update(project)
    return branch if wanted and branch != project["scm_branch"] else ""


def job_tags(project: Mapping[str, Any]) -> str:
    """Return what an update does, in the words of AWX's playbook."""
    tags = [f"update_{project['scm_type']}", "install_roles", "install_collections"]
    if project.get("signature_validation_credential"):
        tags.append("validation_gpg_public_key")
    if project.get("scm_delete_on_update"):
        tags.append("delete")
    return ",".join(tags)


def sync_of(update: JobLaunched, branch: str) -> JobLaunched:
    """Return an update as the sync of one job that runs another branch: the project stays as is."""
    record = update.record
    if not isinstance(record, ProjectUpdateLaunch):
        raise TypeError("only an update becomes a sync")
    tags = [each for each in record.job_tags.split(",") if each != "delete"]
    changed = {"scm_branch": branch, "job_type": "run", "job_tags": ",".join(tags)}
    return msgspec.structs.replace(
        update,
        launch_type=LaunchType.SYNC,
        impact=task_impact.PROJECT_SYNC,
        record=msgspec.structs.replace(record, **changed),
    )


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
    signer = project.get("signature_validation_credential")
    named = [("project", project["id"]), ("organization", organization)]
    named += [("credential", credential), ("credential", signer)]
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
            job_tags=job_tags(project),
            local_path=project.get("local_path", ""),
            signature_validation_credential=signer,
        ),
        config_position=config_position,
        depends=tuple(f"{kind}:{number}" for kind, number in named if number),
        impact=task_impact.PROJECT_UPDATE,
        timeout_s=project.get("timeout", 0),
    )
