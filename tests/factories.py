"""One constructor for each thing; a test sets only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controlplane.domain.job import ReportFinished
from schemas.envelope import SYSTEM, Context
from schemas.events.job import (
    JobLaunched,
    NamedRef,
    PlaybookLaunch,
    ProjectUpdateLaunch,
)
from schemas.output import AttemptFinished
from schemas.status import LaunchType

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def context(number: str = "m1") -> Context:
    """A transaction's context."""
    return Context(id=number, at=NOW, actor=SYSTEM, correlation=number)


def launched(job: int = 1, **changes: Any) -> JobLaunched:
    """A launched playbook run of template 7 on project 2 and inventory 3."""
    values: dict[str, Any] = {
        "id": job,
        "name": "deploy",
        "created": NOW,
        "organization": 1,
        "template": 7,
        "launch_type": LaunchType.MANUAL,
        "launched_by": NamedRef(type="user", id=1, name="admin"),
        "record": PlaybookLaunch(
            job_template=7, inventory=3, project=2, playbook="site.yml", host_count=2
        ),
        "config_position": 1,
        "depends": ("job_template:7", "project:2", "inventory:3", "organization:1"),
        "impact": 3,
    }
    return JobLaunched(**{**values, **changes})


def update_launched(job: int = 1, project: int = 2, **changes: Any) -> JobLaunched:
    """A launched project update."""
    record = ProjectUpdateLaunch(project=project, scm_type="git", scm_url="file:///repo")
    return launched(
        job, **{"record": record, "template": project, "impact": 1, "depends": (), **changes}
    )


def finished(attempt: int = 1, status: str = "successful", **changes: Any) -> ReportFinished:
    """A runner's last report."""
    values: dict[str, Any] = {
        "at": NOW,
        "runner": "r1",
        "started": NOW,
        "status": status,
        "rc": 0,
        "last_counter": 9,
    }
    return ReportFinished(attempt=attempt, report=AttemptFinished(**{**values, **changes}))
