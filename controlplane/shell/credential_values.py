"""A credential's type and its inputs in clear, read from the log and the key store."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from controlplane.domain.checks.credential_type import CUSTOM_KINDS
from controlplane.shell.event_store import EventStore
from controlplane.shell.resource_fold import kept_with, resource_values
from controlplane.shell.seed import builtin_types
from controlplane.shell.vault import Vault
from schemas.work import FieldLookup, Lookup

ASK = "ASK"
SOURCE = "credential_input_source"
Values = Mapping[str, Any]


async def type_of(store: EventStore, credential: Values) -> Values:
    """Return a credential's type; the built-in ones stand in no message of their own.

    A credential's kind is its type's namespace, or what a custom type says. Raises Unavailable.
    """
    kind = str(credential.get("kind"))
    if kind not in CUSTOM_KINDS and kind in _builtin():
        return _builtin()[kind]
    own = await resource_values(store, "credential_type", credential["credential_type"])
    return own or _builtin().get(kind, {})


async def opened(vault: Vault, number: int, inputs: Values, kind: Values) -> dict[str, Any]:
    """Return a credential's inputs with the sealed ones opened; what was erased is empty.

    Raises Unavailable.
    """
    secret = {e["id"] for e in kind.get("inputs", {}).get("fields", ()) if e.get("secret")}
    found: dict[str, Any] = {}
    for name, value in inputs.items():
        if name in secret and isinstance(value, str) and value not in ("", ASK):
            try:
                found[name] = await vault.open("credential", number, value)
            except (KeyError, ValueError):
                found[name] = ""
        else:
            found[name] = value
    return found


async def lookups(store: EventStore, vault: Vault, number: int) -> list[FieldLookup]:
    """Return what fills fields of a credential; a source went along with its own credential.

    Raises Unavailable.
    """
    found = []
    for values in await kept_with(store, "credential", number, SOURCE):
        source = values["source_credential"]
        external = await resource_values(store, "credential", source)
        if external is None:
            continue
        kind = await type_of(store, external)
        lookup = Lookup(
            store=kind.get("namespace") or "",
            inputs=await opened(vault, source, external["inputs"], kind),
            metadata=values["metadata"],
        )
        field = values["input_field_name"]
        found.append(FieldLookup(field=field, source=external["name"], lookup=lookup))
    return found


@functools.cache
def _builtin() -> Mapping[str, Values]:
    return {each["namespace"]: each for each in builtin_types()}
