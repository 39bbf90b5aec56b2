"""What every launch works with and answers, whatever kind of job it makes."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from controlplane.domain.errors import Unavailable
from controlplane.domain.job import JOB, Launch
from controlplane.shell.inventory_content import SmartHosts
from controlplane.shell.launch_keys import Request
from controlplane.shell.numbers import UNIFIED_JOB
from controlplane.shell.project_content import ContentTools
from controlplane.shell.read_model import View
from controlplane.shell.transact import transact
from controlplane.shell.vault import Vault
from schemas import subjects
from schemas.envelope import Context
from schemas.events.job import JobLaunched, NamedRef
from schemas.status import LaunchType


class LaunchTools(ContentTools, frozen=True, kw_only=True):
    """What a launch works with."""

    vault: Vault
    smart_hosts: SmartHosts
    request: Request | None = None
    """The request that launches, when its caller gave it a key: sent again it makes no other."""

    async def job_number(self) -> int:
        """Return the id of the job that is launched now; raises Unavailable and KeyTaken."""
        if self.request is None:
            return (await self.numbers.take(UNIFIED_JOB))[0]
        return await self.keys.job_of(self.request)


class How(Struct, frozen=True, kw_only=True):
    """What kind of launch this is: by hand, again, or by something else."""

    launch_type: LaunchType = LaunchType.MANUAL
    relaunch_of: int | None = None
    launched_by: NamedRef | None = None
    """What launched it when nobody did: the template itself, for webhooks and callbacks."""
    whole: bool = False
    """Never sliced: one job, whatever the template says."""
    updated: bool = False
    """The inventory's sources were updated for this launch: they are not again."""


BY_HAND = How()
STOPPED = "The read model of jobs is stopped; `playlog status` says why."


class Launched(Struct, frozen=True, kw_only=True):
    """A job that exists: its id, JOBS position, launch record and the body's ignored fields."""

    job: int
    position: int
    record: JobLaunched | None
    ignored_fields: dict[str, Any] | None
    """None for what takes no prompts."""
    repeated: bool = False


async def refuse_when_stopped(view: View) -> None:
    """Raise Unavailable while the projection of JOBS is stopped: nobody would see the job."""
    stopped = await view.value(
        "select 1 from projection_state where projection = 'jobs'"
        " and state in ('stopped', 'truncated')"
    )
    if stopped:
        raise Unavailable(STOPPED)


async def append(
    tools: LaunchTools,
    launched: JobLaunched,
    context: Context,
    ignored_fields: dict[str, Any] | None = None,
) -> Launched:
    """Append the job of a launch; one that stands already is answered as repeated."""
    subject = subjects.job(launched.id)
    done = await transact(tools.store, subject, JOB, Launch(launched=launched), context)
    return Launched(
        job=launched.id,
        position=done.position,
        record=launched,
        ignored_fields=ignored_fields,
        repeated=not done.events,
    )
