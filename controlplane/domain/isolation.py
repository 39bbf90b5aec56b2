"""Which jobs must be kept apart how, and which runners can (pure)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from msgspec import Struct

from schemas.events.job import JobLaunched, ProjectUpdateLaunch

CONTAINER = "container"
SANDBOX = "sandbox"
Required = Literal["", "sandbox", "environment"]
_BROUGHT_BY = {CONTAINER: "a container engine", SANDBOX: "bubblewrap"}


class Environments(Struct, frozen=True, kw_only=True):
    """The execution environments that a job might run in, nearest first; None where none is."""

    job: int | None = None
    """Chosen at launch, or the template's."""
    project: int | None = None
    organization: int | None = None
    inventory: int | None = None
    """Of the inventory's organization: for jobs that have none of their own."""
    installation: int | None = None

    def resolved(self) -> int | None:
        """Return the environment of the job; None: that of its runner."""
        places = (self.job, self.project, self.organization, self.inventory, self.installation)
        return next((each for each in places if each is not None), None)


def needs(launched: JobLaunched, required: Required) -> tuple[str, ...]:
    """Return the abilities of which a job's runner must have one; none: any runner will do."""
    if not required or isinstance(launched.record, ProjectUpdateLaunch):
        return ()
    if launched.environment is None:
        return (SANDBOX,)
    return (CONTAINER,) if required == "environment" else (CONTAINER, SANDBOX)


def able(abilities: Collection[str], needed: Collection[str]) -> bool:
    """Tell whether a runner of these abilities may be given a job."""
    return not needed or any(each in abilities for each in needed)


def lacking(groups: str, needed: Collection[str]) -> str:
    """Return why no runner of these groups may be given a job."""
    wanted = " or ".join(_BROUGHT_BY[each] for each in needed)
    return f"No enabled runner in {groups} can isolate this job: one with {wanted} is needed."
