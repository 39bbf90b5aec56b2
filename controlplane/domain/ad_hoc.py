"""Whether an ad hoc command could run as it is asked for (``api.md`` 3.23). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from controlplane.domain import extra_vars, field_values
from controlplane.domain.errors import Invalid
from controlplane.domain.launch import CredentialFact
from schemas.ad_hoc import FIELDS

NO_INVENTORY = "No valid inventory."
NO_MACHINE = "You must provide a machine / SSH credential."
BLANK = "This field cannot be blank."
NEEDING_ARGS = frozenset({"command", "shell"})
RESERVED = "ansible_"
"""Variables that start so steer Ansible itself."""
Errors = dict[str, list[str]]


def check(
    body: Mapping[str, Any],
    modules: Collection[str],
    credential: CredentialFact | None,
    known: Collection[str],
) -> None:
    """Raise Invalid with AWX's words unless a command could run.

    ``known`` names the references in the body that lead to something.
    """
    missing_passwords(body, credential)
    values: dict[str, Any] = {}
    errors: Errors = {}
    for name, field in FIELDS.items():
        try:
            given = body.get(name, field.default)
            values[name] = field_values.read(field, given)
        except field_values.Unreadable as error:
            errors[name] = [str(error)]
            continue
        if field.ref is not None and values[name] is not None and name not in known:
            errors[name] = [field_values.missing_pk(values[name])]
    if not errors:
        errors = _problems(values, modules, credential)
    if errors:
        raise Invalid(errors)


def missing_passwords(body: Mapping[str, Any], credential: CredentialFact | None) -> None:
    """Raise Invalid when a password that the credential asks for is not in the body."""
    asks = () if credential is None else credential.asks
    if not all(isinstance(body.get(name), str) and body[name] for name in asks):
        raise Invalid({"passwords_needed_to_start": list(asks)})


def _problems(
    values: Mapping[str, Any], modules: Collection[str], credential: CredentialFact | None
) -> Errors:
    errors: Errors = {}
    module = values["module_name"] or "command"
    if module not in modules:
        errors["module_name"] = [f'"{module}" is not a valid choice.']
    if module in NEEDING_ARGS and not values["module_args"]:
        errors["module_args"] = [f"No argument passed to {module} module."]
    if values["inventory"] is None:
        errors["inventory"] = [NO_INVENTORY]
    if credential is None:
        errors["credential"] = [BLANK]
    elif credential.kind != "ssh":
        errors["credential"] = [NO_MACHINE]
    if wrong := _variables(values["extra_vars"]):
        errors["extra_vars"] = [wrong]
    return errors


def _variables(text: str) -> str:
    try:
        names = extra_vars.parse(field_values.variables(text))
    except field_values.Unreadable as error:
        return str(error)
    reserved = sorted((name for name in names if str(name).startswith(RESERVED)), reverse=True)
    if not reserved:
        return ""
    return f"{', '.join(reserved)} are prohibited from use in ad hoc commands."
