"""Rules of custom credential types (``api.md`` 3.9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.domain.checks.draft import Draft
from controlplane.domain.errors import Denied, Refused
from controlplane.domain.facts import Facts, Row

CUSTOM_KINDS = ("cloud", "net")
IN_USE = {"detail": "Modifications to inputs are not allowed for credential types that are in use"}
CANNOT_DELETE = {"detail": "Credential types that are in use cannot be deleted"}
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_BLOCKED = frozenset(
    {
        *("VIRTUAL_ENV", "PATH", "PYTHONPATH", "JOB_ID", "INVENTORY_ID", "INVENTORY_SOURCE_ID"),
        *("INVENTORY_UPDATE_ID", "AD_HOC_COMMAND_ID", "REST_API_URL", "REST_API_TOKEN"),
        *("MAX_EVENT_RES", "CALLBACK_QUEUE", "CALLBACK_CONNECTION", "CACHE"),
        *("JOB_CALLBACK_DEBUG", "INVENTORY_HOSTVARS", "AWX_HOST", "PROJECT_REVISION"),
        "SUPERVISOR_CONFIG_PATH",
    }
)


def check(draft: Draft, facts: Facts) -> None:
    """Check kind, inputs and injectors of a custom type; managed ones are not changed."""
    if draft.before is not None and draft.before.get("managed"):
        raise Denied
    if draft.values["kind"] not in CUSTOM_KINDS:
        draft.error("kind", f"Must be 'cloud' or 'net', not {draft.values['kind']}")
    if draft.before is not None and draft.changed("inputs") and _used(draft.id, facts):
        raise Refused(IN_USE, 403)
    _check_inputs(draft)
    _check_injectors(draft)


def delete(object_id: int, row: Row, facts: Facts) -> Iterable[str]:
    """Refuse to delete a managed type or one in use."""
    if row.get("managed"):
        raise Denied
    if _used(object_id, facts):
        raise Refused(CANNOT_DELETE, 403)
    return ()


def _used(number: int, facts: Facts) -> bool:
    return bool(facts.find("credential", ("credential_type",), (number,)))


def _check_inputs(draft: Draft) -> None:
    inputs: dict[str, Any] = draft.values["inputs"]
    if "dependencies" in inputs:
        draft.error("inputs", "'dependencies' is not supported for custom credentials.")
    fields = inputs.get("fields", [])
    if not isinstance(fields, list):
        draft.error("inputs", f"{fields!r} is not of type 'array'")
        return
    seen: set[str] = set()
    for field in fields:
        problem = _field_problem(field, seen)
        if problem:
            draft.error("inputs", problem)
            return
    draft.values["inputs"] = {
        **inputs,
        "fields": [{"type": "string", **field} for field in fields],
    }


def _field_problem(field: Any, seen: set[str]) -> str:
    if not isinstance(field, dict):
        return f"{field!r} is not of type 'object'"
    for name in ("id", "label"):
        if name not in field:
            return f"'{name}' is a required property"
        if not isinstance(field[name], str):
            return f"{field[name]!r} is not of type 'string'"
    number = field["id"]
    if number in seen:
        return f"field IDs must be unique ({number})"
    seen.add(number)
    if number == "tower":
        return '"tower" is a reserved field name'
    return _type_problem(field, number)


def _type_problem(field: dict[str, Any], number: str) -> str:
    if not _VARIABLE.match(number):
        return f"{number} is an invalid variable name"
    if field.get("type") == "boolean":
        for name in ("secret", "choices", "multiline", "format"):
            if name in field:
                return f"{name} not allowed for boolean type ({number})"
    return ""


def _check_injectors(draft: Draft) -> None:
    injectors: dict[str, Any] = draft.values["injectors"]
    for name in injectors:
        if name not in ("file", "env", "extra_vars"):
            draft.error(
                "injectors", f"Additional properties are not allowed ('{name}' was unexpected)"
            )
    environment = injectors.get("env", {})
    if isinstance(environment, Mapping):
        for name in environment:
            _check_variable(draft, str(name))
    files = injectors.get("file", {})
    if isinstance(files, Mapping) and len(files) > 1 and "template" in files:
        draft.error("injectors", "Must use multi-file syntax when injecting multiple files")


def _check_variable(draft: Draft, name: str) -> None:
    if name.upper().startswith("ANSIBLE_"):
        draft.error(
            "injectors",
            f"Environment variable {name} may affect Ansible configuration so its use is not"
            " allowed in credentials.",
        )
    elif name in _BLOCKED:
        draft.error(
            "injectors",
            f"Environment variable {name} is not allowed to be used in credentials.",
        )
