"""From what is asked for to an ad hoc command's launch record, or AWX's words why not. Pure.

``api.md`` 3.23.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from controlplane.domain import extra_vars, field_values
from controlplane.domain.errors import Invalid
from controlplane.domain.launch import CredentialFact
from schemas.ad_hoc import FIELDS
from schemas.events.job import AdHocLaunch

NO_INVENTORY = "No valid inventory."
NO_MACHINE = "You must provide a machine / SSH credential."
BLANK = "This field cannot be blank."
NEEDING_ARGS = frozenset({"command", "shell"})
RESERVED = "ansible_"
"""Variables that start so steer Ansible itself."""
NO_JINJA = "Inline Jinja variables are not allowed."
_JINJA = re.compile(r"\{\{[^}]+\}\}|\{%[^%]+%\}")
Errors = dict[str, list[str]]


def check(
    body: Mapping[str, Any],
    modules: Collection[str],
    credential: CredentialFact | None,
    known: Collection[str],
) -> AdHocLaunch:
    """Return the launch record of a command; raises Invalid with AWX's words.

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
    values["module_name"] = values["module_name"] or "command"
    given = extra_vars.parse(field_values.variables(values["extra_vars"]))
    values["extra_vars"] = extra_vars.as_text(given) if given else ""
    return AdHocLaunch(**values)


def passwords(body: Mapping[str, Any], credential: CredentialFact | None) -> dict[str, str]:
    """Return what the body gives of the passwords that the credential asks for."""
    asks = () if credential is None else credential.asks
    return {name: body[name] for name in asks}


def without_jinja(module_args: str, allowed: str) -> None:
    """Raise ValueError where arguments hold templates and these are not ``always`` allowed."""
    if allowed != "always" and _JINJA.search(module_args):
        raise ValueError(NO_JINJA)


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
