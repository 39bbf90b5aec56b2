"""The steps that prepare a playbook run or an ad hoc command, in order.

Each undoes itself in reverse order, prepared or not.
"""

from __future__ import annotations

from typing import Protocol

from runners.preparation import Preparation
from runners.steps import (
    command,
    credentials,
    inventory,
    isolation,
    playbook,
    project,
    workspace,
)


class Step(Protocol):
    """A module of this package."""

    def prepare(self, job: Preparation) -> None:
        """Do this step's part. Raises Unrunnable."""

    def cleanup(self, job: Preparation) -> None:
        """Undo it; harmless when it was never done."""


STEPS: tuple[Step, ...] = (workspace, credentials, project, inventory, playbook, isolation)
COMMAND_STEPS: tuple[Step, ...] = (workspace, credentials, inventory, command, isolation)
"""Those of an ad hoc command, which has no project."""


def prepare(job: Preparation) -> None:
    """Take every step of a playbook run or an ad hoc command. Raises Unrunnable."""
    for step in COMMAND_STEPS if job.spec.kind == "ad_hoc_command" else STEPS:
        step.prepare(job)


def cleanup(job: Preparation) -> None:
    """Undo every step, whatever becomes of the others; raises the first error afterwards."""
    errors: list[Exception] = []
    for step in reversed(STEPS):
        try:
            step.cleanup(job)
        except Exception as error:  # noqa: BLE001 - what a job left may be anything
            errors.append(error)
    if errors:
        raise errors[0]
