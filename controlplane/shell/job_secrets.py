"""The secrets of one attempt, read from the log at its claim: Postgres is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from controlplane.shell.credential_values import ASK, lookups, opened, type_of
from controlplane.shell.event_store import EventStore
from controlplane.shell.resource_fold import SEEDED, linked, resource_values
from controlplane.shell.vault import Vault
from schemas.events.job import (
    AdHocLaunch,
    InventoryUpdateLaunch,
    JobLaunched,
    PlaybookLaunch,
    ProjectUpdateLaunch,
)
from schemas.work import JobSecrets, UsedCredential

_ANSWERS = {
    "ssh": {
        "password": "ssh_password",
        "ssh_key_unlock": "ssh_key_unlock",
        "become_password": "become_password",
    },
    "vault": {"vault_password": "vault_password"},
}
"""Fields that may be asked for at launch, by namespace: the names of their answers."""


async def job_secrets(store: EventStore, vault: Vault, launched: JobLaunched) -> JobSecrets:
    """Return what an attempt of this launch needs in clear.

    Raises Unavailable when log or keys cannot be read. A credential that is gone is left out, one
    whose key was erased leaves its fields empty.
    """
    given: dict[str, str] = {}
    if launched.secrets:
        given = msgspec.json.decode(await vault.open("job", launched.id, launched.secrets))
    found = [await _used(store, vault, each, given) for each in await _numbers(store, launched)]
    return JobSecrets(
        credentials=tuple(each for each in found if each is not None),
        extra_vars=given.get("extra_vars", ""),
    )


async def _numbers(store: EventStore, launched: JobLaunched) -> list[int]:
    """Return the credentials that a job uses, in the order in which they are given."""
    record, environment = launched.record, launched.environment
    puller = environment.credential if environment else None
    pulling = [] if puller is None else [puller]
    match record:
        case PlaybookLaunch():
            return [*record.credentials, *pulling]
        case ProjectUpdateLaunch():
            signer = record.signature_validation_credential
            named = [each for each in (record.credential, signer) if each is not None]
            return [*named, *await _galaxies(store, launched.organization)]
        case AdHocLaunch() | InventoryUpdateLaunch():
            return pulling if record.credential is None else [record.credential, *pulling]
        case _:
            return []


async def _galaxies(store: EventStore, organization: int | None) -> list[int]:
    if organization is None:
        return []
    return await linked(store, "organization", organization, "galaxy_credentials")


async def _used(
    store: EventStore, vault: Vault, number: int, given: Mapping[str, str]
) -> UsedCredential | None:
    values = await resource_values(store, "credential", number)
    if values is None:
        values = await resource_values(store, "credential", number, SEEDED)
    if values is None:
        return None
    kind = await type_of(store, values)
    inputs = await opened(vault, number, values["inputs"], kind)
    return UsedCredential(
        id=number,
        name=values["name"],
        namespace=kind.get("namespace") or "",
        type_name=kind.get("name", ""),
        schema=kind.get("inputs", {}),
        injectors=kind.get("injectors", {}),
        inputs=_answered(inputs, kind.get("namespace") or "", given),
        lookups=tuple(await lookups(store, vault, number)),
    )


def _answered(
    inputs: Mapping[str, Any], namespace: str, given: Mapping[str, str]
) -> dict[str, Any]:
    """Put the answers of a launch where a credential asks for them."""
    vault_id = str(inputs.get("vault_id") or "")
    answered = dict(inputs)
    for field, name in _ANSWERS.get(namespace, {}).items():
        if inputs.get(field) == ASK:
            suffix = f".{vault_id}" if vault_id and namespace == "vault" else ""
            answered[field] = given.get(name + suffix, "")
    return answered
