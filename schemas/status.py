"""AWX's status words for unified jobs; legal moves live in ``controlplane.domain.job``."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The status of a unified job as AWX's clients know it (``api.md`` 4.1)."""

    NEW = "new"
    """The row is made but lacks start data."""
    PENDING = "pending"
    """Waits for a dependency, a limit or capacity; ``job_explanation`` says which."""
    WAITING = "waiting"
    """Placed: an instance group is chosen and the work order is out."""
    RUNNING = "running"
    """A runner claimed the attempt and has started it."""
    SUCCESSFUL = "successful"
    """The playbook ended with return code 0."""
    FAILED = "failed"
    """The playbook ran and failed, or timed out."""
    ERROR = "error"
    """The job could not be run, or its runner was lost."""
    CANCELED = "canceled"
    """Ended by a cancel request."""


ACTIVE = frozenset({Status.NEW, Status.PENDING, Status.WAITING, Status.RUNNING})
TERMINAL = frozenset({Status.SUCCESSFUL, Status.FAILED, Status.ERROR, Status.CANCELED})
FAILED = frozenset({Status.FAILED, Status.ERROR, Status.CANCELED})


class JobKind(StrEnum):
    """The kinds of unified job; the value is AWX's ``type``."""

    JOB = "job"
    PROJECT_UPDATE = "project_update"
    INVENTORY_UPDATE = "inventory_update"
    AD_HOC_COMMAND = "ad_hoc_command"
    WORKFLOW_JOB = "workflow_job"
    SYSTEM_JOB = "system_job"


class LaunchType(StrEnum):
    """How a unified job came to be (``api.md`` LAUNCHTYPE)."""

    MANUAL = "manual"
    RELAUNCH = "relaunch"
    CALLBACK = "callback"
    SCHEDULED = "scheduled"
    DEPENDENCY = "dependency"
    WORKFLOW = "workflow"
    WEBHOOK = "webhook"
    SYNC = "sync"
    SCM = "scm"
