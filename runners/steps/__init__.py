"""The steps that prepare a playbook run, in order.

Each undoes itself in reverse order, prepared or not.
"""

from __future__ import annotations

from typing import Protocol

from runners.preparation import Preparation
from runners.steps import credentials, inventory, isolation, playbook, project, workspace


class Step(Protocol):
    """A module of this package."""

    def prepare(self, job: Preparation) -> None:
        """Do this step's part. Raises Unrunnable."""

    def cleanup(self, job: Preparation) -> None:
        """Undo it; harmless when it was never done."""


STEPS: tuple[Step, ...] = (workspace, credentials, project, inventory, playbook, isolation)


def prepare(job: Preparation) -> None:
    """Take every step of a playbook run. Raises Unrunnable."""
    for step in STEPS:
        step.prepare(job)


def cleanup(job: Preparation) -> None:
    """Undo every step."""
    for step in reversed(STEPS):
        step.cleanup(job)
