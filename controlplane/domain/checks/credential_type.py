"""Rules of custom credential types (``api.md`` 3.9)."""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.domain import credential_schema
from controlplane.domain.checks.draft import Draft
from controlplane.domain.errors import Denied, Refused
from controlplane.domain.facts import Facts, Row

CUSTOM_KINDS = ("cloud", "net")
IN_USE = {"detail": "Modifications to inputs are not allowed for credential types that are in use"}
CANNOT_DELETE = {"detail": "Credential types that are in use cannot be deleted"}


def check(draft: Draft, facts: Facts) -> None:
    """Check kind, inputs and injectors of a custom type; managed ones are not changed."""
    if draft.before is not None and draft.before.get("managed"):
        raise Denied
    if draft.values["kind"] not in CUSTOM_KINDS:
        draft.error("kind", f"Must be 'cloud' or 'net', not {draft.values['kind']}")
    if draft.before is not None and draft.changed("inputs") and _used(draft.id, facts):
        raise Refused(IN_USE, 403)
    inputs, injectors = draft.values["inputs"], draft.values["injectors"]
    wrong = credential_schema.input_problems(inputs)
    if wrong:
        draft.errors["inputs"] = wrong
        return
    fields = [{"type": "string", **field} for field in inputs.get("fields", ())]
    draft.values["inputs"] = {**inputs, "fields": fields} if "fields" in inputs else inputs
    wrong = credential_schema.injector_problems(injectors, inputs)
    if wrong:
        draft.errors["injectors"] = wrong


def delete(object_id: int, row: Row, facts: Facts) -> Iterable[str]:
    """Refuse to delete a managed type or one in use."""
    if row.get("managed"):
        raise Denied
    if _used(object_id, facts):
        raise Refused(CANNOT_DELETE, 403)
    return ()


def _used(number: int, facts: Facts) -> bool:
    return bool(facts.find("credential", ("credential_type",), (number,)))
