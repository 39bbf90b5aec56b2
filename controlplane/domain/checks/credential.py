"""Rules of credentials: one owner, inputs by the type's schema.

Secrets kept apart (``api.md`` 3.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from controlplane.domain import credential_schema, ssh_keys
from controlplane.domain.checks.draft import Draft
from controlplane.domain.errors import Denied
from controlplane.domain.facts import Facts, Row, Unsealed
from controlplane.domain.field_values import ENCRYPTED
from schemas.events.access import RoleAssigned, RoleGranted
from schemas.registry import Event
from schemas.role_definitions import definition_of

ASK = "ASK"
OWNERS = ("user", "team", "organization")
_KEY_MARKS = ("-----BEGIN ", "$encrypted$")
TYPE_FIXED = (
    "You cannot change the credential type of the credential, as it may break the functionality"
    " of the resources using it."
)


def check(draft: Draft, facts: Facts) -> None:
    """Check owner, type and inputs; mark secret inputs that must be sealed.

    A body names ``user`` or ``team`` only when it creates; later they are ignored.
    """
    if draft.before is not None and draft.before.get("managed"):
        raise Denied
    if draft.before is None:
        _check_owner(draft, facts)
    else:
        draft.values |= {name: draft.before[name] for name in ("user", "team")}
        if draft.changed("credential_type") and _in_use(draft.id, facts):
            draft.error("credential_type", TYPE_FIXED)
    kind = facts.row("credential_type", draft.values["credential_type"])
    if kind is None:
        return
    draft.values["kind"] = kind["namespace"] or kind["kind"]
    draft.values["cloud"] = kind["kind"] == "cloud"
    draft.values["kubernetes"] = kind["kind"] == "kubernetes"
    if "inputs" in draft.given or draft.creating:
        _check_inputs(draft, kind)


def delete(object_id: int, row: Row, facts: Facts) -> Iterable[str]:
    """Refuse to delete a managed credential."""
    del object_id, facts
    if row.get("managed"):
        raise Denied
    return ()


def _in_use(number: int, facts: Facts) -> bool:
    return bool(facts.holders("job_template", "credentials", number)) or bool(
        facts.find("project", ("credential",), (number,))
    )


def _check_owner(draft: Draft, facts: Facts) -> None:
    given = [name for name in OWNERS if draft.values[name] is not None]
    if not given:
        draft.error("detail", "Missing 'user', 'team', or 'organization'.")
    elif len(given) > 1:
        named = ", ".join(sorted(given))
        draft.error(
            "detail",
            "Only one of 'user', 'team', or 'organization' should be provided, received"
            f" {named} fields.",
        )
    elif draft.values["team"] is not None:
        team = facts.row("team", draft.values["team"])
        if team is not None:
            draft.values["organization"] = team["organization"]


def _check_inputs(draft: Draft, kind: Row) -> None:
    schema: Mapping[str, Any] = kind["inputs"]
    fields = {field["id"]: field for field in schema.get("fields", ())}
    before = {} if draft.before is None else draft.before["inputs"]
    inputs: dict[str, Any] = {}
    problems: dict[str, list[str]] = {}
    unknown = [name for name in draft.values["inputs"] if name not in fields]
    if unknown:
        draft.error("inputs", credential_schema.unexpected(unknown))
        return
    for name, value in draft.values["inputs"].items():
        problem = _problem(fields[name], value)
        if problem:
            problems[name] = [problem]
        else:
            inputs[name] = _stored(fields[name], value, before.get(name, ""))
    problems = {**_combination(kind, draft.values["inputs"]), **problems}
    if problems:
        draft.errors["inputs"] = problems
    else:
        draft.values["inputs"] = inputs


def _stored(field: Mapping[str, Any], value: Any, before: Any) -> Any:
    if value == ENCRYPTED:
        return before
    if field.get("secret") and value not in ("", ASK):
        return Unsealed(str(value))
    return value


def _problem(field: Mapping[str, Any], value: Any) -> str:
    """Return why a value does not fit its field, in the words of AWX's schema check.

    A secret is not repeated, not even to who sent it: answers are logged by proxies and clients.
    """
    shown = ENCRYPTED if field.get("secret") else repr(value)
    problem = credential_schema.value_problem(field, value, shown)
    if problem:
        return problem
    if field["id"] == "vault_id" and "@" in value:
        return "@ is not an allowed character"
    if field.get("format") == "ssh_private_key" and value and not _is_key(value):
        return "Invalid certificate or key"
    return ""


def _combination(kind: Row, inputs: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong with fields that depend on one another."""
    problems: dict[str, list[str]] = {}
    labels = {field["id"]: field["label"] for field in kind["inputs"].get("fields", ())}
    for name, needed in kind["inputs"].get("dependencies", {}).items():
        lacking = [labels[each] for each in needed if inputs.get(name) and not inputs.get(each)]
        if lacking:
            problems[name] = [f'cannot be set unless "{lacking[0]}" is set']
    key = inputs.get("ssh_key_data")
    if kind["managed"] and "ssh_key_unlock" in labels and isinstance(key, str):
        locked = ssh_keys.locked(key)
        if locked is True and not inputs.get("ssh_key_unlock"):
            problems["ssh_key_unlock"] = ["must be set when SSH key is encrypted."]
        elif locked is False and inputs.get("ssh_key_unlock"):
            problems["ssh_key_unlock"] = ["should not be set when SSH key is not encrypted."]
    return problems


def _is_key(value: str) -> bool:
    return value.lstrip().startswith(_KEY_MARKS) or value == ASK


def consequences(draft: Draft, _facts: Facts) -> Iterator[Event]:
    """Let the user whose credential it is administer it."""
    if draft.creating and draft.values["user"] is not None:
        owner = draft.values["user"]
        yield RoleGranted(user=owner, kind="credential", object_id=draft.id, role="admin")
    if draft.creating and draft.values["team"] is not None:
        yield RoleAssigned(
            definition=definition_of("credential", "admin"),
            team=draft.values["team"],
            kind="credential",
            object_id=draft.id,
        )
