"""What a launch is told and nobody may read: sealed for the job, opened for its relaunch."""

from __future__ import annotations

from typing import Any

import msgspec

from controlplane.domain import extra_vars
from controlplane.domain.errors import NotFound, Refused
from controlplane.domain.launch import Resolved
from controlplane.domain.survey import Sealed
from controlplane.shell.event_store import EventStore
from controlplane.shell.vault import Vault
from schemas import subjects
from schemas.events.job import JobLaunched

ERASED = "The secret answers that this job was launched with cannot be read any more."


async def sealed(vault: Vault, job: int, template: int | None, resolved: Resolved) -> str:
    """Seal for the job what nobody may read of it: passwords and secret answers."""
    secrets = dict(resolved.passwords)
    answers: dict[str, Any] = {}
    for name, value in resolved.secret_vars.items():
        opened = isinstance(value, Sealed)
        answers[name] = (
            await vault.open("job_template", template or 0, value.text) if opened else value.text
        )
    if answers:
        secrets["extra_vars"] = extra_vars.as_text(answers)
    if not secrets:
        return ""
    return await vault.seal("job", job, msgspec.json.encode(secrets).decode())


async def launch_of(store: EventStore, job: int) -> JobLaunched:
    """Return the launch of a job that exists; raises NotFound once its history is gone."""
    for record in await store.load(subjects.job(job)):
        for event in record.events:
            if isinstance(event, JobLaunched):
                return event
    raise NotFound("Job")


async def secret_answers(vault: Vault, launched: JobLaunched) -> dict[str, str]:
    """Return the secret answers that a job was launched with, in clear; raises Refused."""
    if not launched.secrets:
        return {}
    try:
        opened = await vault.open("job", launched.id, launched.secrets)
    except (KeyError, ValueError) as error:
        raise Refused({"errors": [ERASED]}) from error
    answers = extra_vars.parse(msgspec.json.decode(opened).get("extra_vars", ""))
    return {name: str(value) for name, value in answers.items()}
