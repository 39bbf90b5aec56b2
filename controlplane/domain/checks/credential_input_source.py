"""Rules of credential input sources (``api.md`` 3.10)."""

from __future__ import annotations

from typing import Any

from controlplane.domain import credential_schema
from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts, Row

EXTERNAL = "external"
NOT_EXTERNAL = "Source must be an external credential"
NO_TARGET = "Target must be a non-external credential"


def check(draft: Draft, facts: Facts) -> None:
    """An external credential fills a declared field of one that is not external."""
    target = _type_of(draft.values["target_credential"], facts)
    source = _type_of(draft.values["source_credential"], facts)
    if target is None or source is None:
        return
    if target["kind"] == EXTERNAL:
        draft.error("target_credential", NO_TARGET)
    if source["kind"] != EXTERNAL:
        draft.error("source_credential", NOT_EXTERNAL)
    defined = sorted(field["id"] for field in target["inputs"].get("fields", ()))
    if draft.values["input_field_name"] not in defined:
        options = ", ".join(defined)
        text = f"Input field must be defined on target credential (options are {options})."
        draft.error("input_field_name", text)
    if source["kind"] == EXTERNAL:
        _metadata(draft, source)


def _type_of(credential: int, facts: Facts) -> Row | None:
    row = facts.row("credential", credential)
    return None if row is None else facts.row("credential_type", row["credential_type"])


def _metadata(draft: Draft, source: Row) -> None:
    """Check what the lookup is told, by the external type's own ``metadata`` fields."""
    inputs, given = source["inputs"], draft.values["metadata"]
    fields = {field["id"]: field for field in inputs.get("metadata", ())}
    unknown = [name for name in given if name not in fields]
    if unknown:
        draft.error("metadata", credential_schema.unexpected(unknown))
        return
    wrong: dict[str, Any] = {}
    for name, value in given.items():
        if problem := credential_schema.value_problem(fields[name], value, repr(value)):
            wrong[name] = [problem]
    for name in inputs.get("required", ()):
        if name in fields and not given.get(name):
            wrong[name] = [f"required for {source['name']}"]
    if wrong:
        draft.errors["metadata"] = wrong
