"""From the credentials of an attempt to what its supervisor is told in confidence.

Fields that external secret stores fill are looked up here, in the agent and just before the start:
what they hold never passes through the control plane.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ops import clock
from ops.lookups import LookupFailed, look_up
from runners import certificates
from runners.injectors import Fields, Injected, NotInjectable, inject, whole_lines
from runners.order_spec import OBJECT
from runners.spec import GalaxyServer, Secrets
from schemas.work import FieldLookup, JobSecrets, RegistryLogin, UsedCredential

LOOKUP_S = 60.0
"""A lookup, logins included, may take this long."""


class Unusable(Exception):
    """The attempt cannot start with these credentials; the text says which and why."""

    def __init__(self, explanation: str, status: str = "error") -> None:
        """``status`` as in a report."""
        super().__init__(explanation)
        self.status = status


def needs_lookup(told: JobSecrets) -> bool:
    """Tell whether an external secret store has to be asked."""
    return any(each.lookups for each in told.credentials)


async def looked_up(told: JobSecrets) -> JobSecrets:
    """Return the credentials with every field filled. Raises Unusable."""
    filled = [await _filled(each) for each in told.credentials]
    return msgspec.structs.replace(told, credentials=tuple(filled))


async def _filled(credential: UsedCredential) -> UsedCredential:
    values = {each.field: await _found(credential, each) for each in credential.lookups}
    return msgspec.structs.replace(credential, inputs={**credential.inputs, **values}, lookups=())


async def _found(credential: UsedCredential, asked: FieldLookup) -> str:
    try:
        async with asyncio.timeout(LOOKUP_S):
            return await look_up(asked.lookup)
    except LookupFailed as error:
        why = str(error)
    except TimeoutError:
        why = f"no answer within {LOOKUP_S:.0f} s"
    raise Unusable(
        f"The field {asked.field!r} of credential {credential.name!r} could not be looked up by"
        f" credential {asked.source!r}: {why}"
    )


def secrets_of(told: JobSecrets, kind: str = "job") -> Secrets:
    """Return the supervisor's form of an attempt's secrets.

    ``kind`` as a payload says it. Raises Unusable, msgspec.DecodeError.
    """
    _check_required(told, kind)
    found: dict[str, Any] = {}
    injected, mask = Injected(), list[str]()
    for credential in told.credentials:
        fields = Fields(credential)
        mask += [fields.text(name) for name in fields.secret_names()]
        if (own := _OWN.get(credential.namespace)) is not None:
            own(fields, found)
        try:
            inject(credential, injected, inventory_update=kind == "inventory_update")
        except NotInjectable as error:
            raise Unusable(str(error)) from None
    return Secrets(
        **found,
        env=injected.env,
        shown_env=injected.shown_env,
        files=injected.files,
        injected_vars=injected.extra_vars,
        extra_vars=OBJECT.decode(told.extra_vars) if told.extra_vars else {},
        mask=tuple(each for each in mask if each),
    )


def _check_required(told: JobSecrets, kind: str) -> None:
    """Refuse a credential that lacks what its type requires, in AWX's words."""
    for credential in told.credentials:
        if missing := Fields(credential).missing():
            text = (
                f"{kind.replace('_', ' ').title()} cannot start because Credential"
                f" {credential.name} does not provide one or more required fields"
                f" ({', '.join(missing)})."
            )
            raise Unusable(text, "failed")


def _machine(fields: Fields, found: dict[str, Any]) -> None:
    certificate = whole_lines(fields.text("ssh_public_key_data"))
    if ended := certificates.ended(certificate, clock.now()):
        name, when = fields.credential.name, ended.isoformat(timespec="seconds")
        raise Unusable(f"The SSH certificate of credential {name!r} expired at {when}")
    found |= {
        "username": fields.text("username"),
        "password": fields.text("password"),
        "ssh_key": whole_lines(fields.text("ssh_key_data")),
        "ssh_key_passphrase": fields.text("ssh_key_unlock"),
        "ssh_certificate": certificate,
        "become_method": fields.text("become_method"),
        "become_username": fields.text("become_username"),
        "become_password": fields.text("become_password"),
    }


def _vault(fields: Fields, found: dict[str, Any]) -> None:
    found.setdefault("vaults", {})[fields.text("vault_id")] = fields.text("vault_password")


def _source_control(fields: Fields, found: dict[str, Any]) -> None:
    found |= {
        "scm_username": fields.text("username"),
        "scm_password": fields.text("password"),
        "scm_key": fields.text("ssh_key_data"),
        "scm_key_passphrase": fields.text("ssh_key_unlock"),
    }


def _registry(fields: Fields, found: dict[str, Any]) -> None:
    found["registry"] = RegistryLogin(
        host=fields.text("host"),
        username=fields.text("username"),
        password=fields.text("password"),
        verify_ssl=fields.flag("verify_ssl"),
    )


def _galaxy(fields: Fields, found: dict[str, Any]) -> None:
    server = GalaxyServer(
        url=fields.text("url"), auth_url=fields.text("auth_url"), token=fields.text("token")
    )
    found["galaxy"] = (*found.get("galaxy", ()), server)


def _signer(fields: Fields, found: dict[str, Any]) -> None:
    found["gpg_public_key"] = fields.text("gpg_public_key")


_OWN = {
    "galaxy_api_token": _galaxy,
    "gpg_public_key": _signer,
    "registry": _registry,
    "scm": _source_control,
    "ssh": _machine,
    "vault": _vault,
}
"""Types that have their own ways into a job, by namespace; the others inject."""
