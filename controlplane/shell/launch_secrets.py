"""What a launch is told and nobody may read: sealed for the job, opened for its relaunch."""

from __future__ import annotations

from typing import Any

import msgspec

from controlplane.domain import extra_vars
from controlplane.domain.facts import Unsealed
from controlplane.domain.launch import Resolved
from controlplane.domain.survey import Sealed
from controlplane.shell.event_store import EventStore
from controlplane.shell.vault import Vault
from schemas import subjects
from schemas.events.job import JobLaunched


async def sealed(vault: Vault, job: int, template: int, resolved: Resolved) -> str:
    """Seal for the job what nobody may read of it: passwords and secret answers."""
    secrets = dict(resolved.passwords)
    answers: dict[str, Any] = {}
    for name, value in resolved.secret_vars.items():
        opened = isinstance(value, Sealed)
        answers[name] = (
            await vault.open("job_template", template, value.text) if opened else value.text
        )
    if answers:
        secrets["extra_vars"] = extra_vars.as_text(answers)
    if not secrets:
        return ""
    return await vault.seal("job", job, msgspec.json.encode(secrets).decode())


async def secret_variables(
    store: EventStore, vault: Vault, job: int
) -> dict[str, Unsealed | Sealed]:
    """Return the secret answers that a job was launched with, in clear.

    Raises KeyError or ValueError when they cannot be opened any more.
    """
    history = await store.load(subjects.job(job))
    launched = next(
        (event for each in history for event in each.events if isinstance(event, JobLaunched)), None
    )
    if launched is None or not launched.secrets:
        return {}
    secrets = msgspec.json.decode(await vault.open("job", job, launched.secrets))
    answers = extra_vars.parse(secrets.get("extra_vars", ""))
    return {name: Unsealed(str(value)) for name, value in answers.items()}
