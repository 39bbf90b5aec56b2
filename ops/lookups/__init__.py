"""Looking secrets up in external stores: on a runner for a job, in the API for a test.

``await look_up(lookup)`` returns the text or raises LookupFailed with a sentence free of secrets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ops.lookups import aws, azure, centrify, cyberark, hashivault, thycotic
from ops.lookups.http import LookupFailed, Transport
from schemas.work import Lookup

__all__ = ["LookupFailed", "look_up"]

Asking = Callable[
    [Mapping[str, Any], Mapping[str, Any], Transport | None],
    Awaitable[str],
]

STORES: Mapping[str, Asking] = {
    "aim": cyberark.provided,
    "aws_secretsmanager_credential": aws.secret_value,
    "azure_kv": azure.secret_value,
    "centrify_vault_kv": centrify.password,
    "conjur": cyberark.variable,
    "hashivault_kv": hashivault.key_value,
    "hashivault_ssh": hashivault.signed_key,
    "thycotic_dsv": thycotic.vault_field,
    "thycotic_tss": thycotic.server_field,
}
"""Namespace of the credential type to what asks such a store."""


async def look_up(lookup: Lookup, transport: Transport | None = None) -> str:
    """Return what a lookup finds; ``transport`` stands in for the network.

    Raises LookupFailed, whatever goes wrong: another error's text might repeat a secret.
    """
    asking = STORES.get(lookup.store)
    if asking is None:
        raise LookupFailed(f"secrets of {lookup.store!r} cannot be looked up")
    try:
        return await asking(lookup.inputs, lookup.metadata, transport)
    except LookupFailed:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        raise LookupFailed(f"the lookup broke ({type(error).__name__})") from None
