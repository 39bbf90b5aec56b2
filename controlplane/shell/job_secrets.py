"""The secrets of one attempt, read from the log at its claim: Postgres is not needed."""

from __future__ import annotations

from typing import Any

import msgspec

from controlplane.shell.event_store import EventStore
from controlplane.shell.resource_fold import SEEDED, linked, resource_values
from controlplane.shell.vault import Vault
from schemas.events.job import AdHocLaunch, JobLaunched, PlaybookLaunch, ProjectUpdateLaunch
from schemas.work import GalaxyServer, JobSecrets, VaultSecret

ASK = "ASK"
_SEALED = {
    *("password", "ssh_key_data", "ssh_key_unlock", "become_password", "vault_password"),
    *("ssh_public_key_data", "token", "gpg_public_key"),
}


async def job_secrets(store: EventStore, vault: Vault, launched: JobLaunched) -> JobSecrets:
    """Return what an attempt of this launch needs in clear.

    Raises Unavailable when log or keys cannot be read. A credential that is gone, or whose key was
    erased, leaves its fields empty.
    """
    given: dict[str, str] = {}
    if launched.secrets:
        given = msgspec.json.decode(await vault.open("job", launched.id, launched.secrets))
    match launched.record:
        case PlaybookLaunch(credentials=credentials):
            found: dict[str, Any] = {}
            for number in credentials:
                kind, inputs = await _inputs(store, vault, number)
                _add(found, kind, inputs, given)
            variables = given.get("extra_vars", "")
            return JobSecrets(**found, extra_vars=variables)
        case ProjectUpdateLaunch() as update:
            return await _of_update(store, vault, launched.organization, update)
        case AdHocLaunch(credential=int(number)):
            found = {}
            kind, inputs = await _inputs(store, vault, number)
            _add(found, kind, inputs, given)
            return JobSecrets(**found)
        case _:
            return JobSecrets()


async def _of_update(
    store: EventStore, vault: Vault, organization: int | None, update: ProjectUpdateLaunch
) -> JobSecrets:
    """Return the login of a project, its organization's Galaxy servers, the key of who signs it."""
    scm = await _inputs_of(store, vault, update.credential)
    signer = await _inputs_of(store, vault, update.signature_validation_credential)
    servers: list[int] = []
    if organization is not None:
        servers = await linked(store, "organization", organization, "galaxy_credentials")
    galaxy = [await _inputs_of(store, vault, number) for number in servers]
    return JobSecrets(
        scm_username=scm.get("username", ""),
        scm_password=scm.get("password", ""),
        scm_key=scm.get("ssh_key_data", ""),
        scm_key_passphrase=scm.get("ssh_key_unlock", ""),
        galaxy=tuple(
            GalaxyServer(
                url=each["url"], auth_url=each.get("auth_url", ""), token=each.get("token", "")
            )
            for each in galaxy
            if each.get("url")
        ),
        gpg_public_key=signer.get("gpg_public_key", ""),
    )


async def _inputs_of(store: EventStore, vault: Vault, number: int | None) -> dict[str, str]:
    return {} if number is None else (await _inputs(store, vault, number))[1]


def _add(found: dict[str, Any], kind: str, inputs: dict[str, str], given: dict[str, str]) -> None:
    if kind == "ssh":
        found |= {
            "username": inputs.get("username", ""),
            "password": _asked(inputs, "password", given, "ssh_password"),
            "ssh_key": inputs.get("ssh_key_data", ""),
            "ssh_key_passphrase": _asked(inputs, "ssh_key_unlock", given, "ssh_key_unlock"),
            "become_method": inputs.get("become_method", ""),
            "become_username": inputs.get("become_username", ""),
            "become_password": _asked(inputs, "become_password", given, "become_password"),
        }
    elif kind == "vault":
        vault_id = inputs.get("vault_id", "")
        name = f"vault_password.{vault_id}" if vault_id else "vault_password"
        secret = VaultSecret(
            vault_id=vault_id, password=_asked(inputs, "vault_password", given, name)
        )
        found["vaults"] = (*found.get("vaults", ()), secret)


def _asked(inputs: dict[str, str], field: str, given: dict[str, str], name: str) -> str:
    value = inputs.get(field, "")
    return given.get(name, "") if value == ASK else value


async def _inputs(store: EventStore, vault: Vault, number: int) -> tuple[str, dict[str, str]]:
    """Return a credential's kind and its inputs with the sealed ones opened."""
    values = await resource_values(store, "credential", number)
    if values is None:
        values = await resource_values(store, "credential", number, SEEDED)
    if values is None:
        return "", {}
    opened: dict[str, str] = {}
    for name, value in values.get("inputs", {}).items():
        if not isinstance(value, str):
            continue
        if name in _SEALED and value not in ("", ASK):
            try:
                opened[name] = await vault.open("credential", number, value)
            except (KeyError, ValueError):
                opened[name] = ""
        else:
            opened[name] = value
    return str(values.get("kind") or ""), opened
