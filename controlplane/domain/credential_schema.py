"""What a credential type says of its fields, checked; in the words of AWX's schema checks.

Three things are checked by it: a type's own ``inputs``, its ``injectors``, and the values that a
credential (or a lookup's metadata) has for its fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controlplane.domain import injector_templates

ENV_BLOCKED = frozenset(
    {
        *("VIRTUAL_ENV", "PATH", "PYTHONPATH", "JOB_ID", "INVENTORY_ID", "INVENTORY_SOURCE_ID"),
        *("INVENTORY_UPDATE_ID", "AD_HOC_COMMAND_ID", "REST_API_URL", "REST_API_TOKEN"),
        *("MAX_EVENT_RES", "CALLBACK_QUEUE", "CALLBACK_CONNECTION", "CACHE"),
        *("JOB_CALLBACK_DEBUG", "INVENTORY_HOSTVARS", "AWX_HOST", "PROJECT_REVISION"),
        "SUPERVISOR_CONFIG_PATH",
    }
)
NAME = "^[a-zA-Z_]+[a-zA-Z0-9_]*$"
FILE_NAME = r"^template(\.[a-zA-Z_]+[a-zA-Z0-9_]*)?$"
TYPES = ("string", "boolean")
FORMATS = ("ssh_private_key", "url")
TEXT_ONLY = ("choices", "multiline", "format", "secret")
"""What makes no sense for a field that is a boolean."""
Problems = list[str]

_NAMES = {str: "string", bool: "boolean", list: "array", dict: "object"}


def input_problems(inputs: Mapping[str, Any]) -> Problems:
    """Return what is wrong with a custom type's ``inputs``: its shape, else its first field."""
    if "dependencies" in inputs:
        return ["'dependencies' is not supported for custom credentials."]
    problems = [*_unknown(inputs, ("fields", "required"))]
    if "required" in inputs:
        problems += _texts(inputs["required"])
    fields = inputs.get("fields", [])
    if not isinstance(fields, list):
        return [*problems, _not(fields, list)]
    for field in fields:
        problems += _shape(field)
    return problems or _meaning(fields)


def injector_problems(injectors: Mapping[str, Any], inputs: Mapping[str, Any]) -> Problems:
    """Return what is wrong with a type's ``injectors``, given ``inputs`` that are right."""
    problems = [*_unknown(injectors, tuple(_INJECTED))]
    for name, check in _INJECTED.items():
        given = injectors.get(name, {})
        if isinstance(given, dict):
            problems += check(given)
        else:
            problems.append(_not(given, dict))
    if problems:
        return problems
    fields = [field["id"] for field in inputs.get("fields", ())]
    return injector_templates.problems(injectors, fields, _variable)


def value_problem(field: Mapping[str, Any], value: Any, shown: str) -> str:
    """Return why a value does not fit its field; it is named by ``shown``, for it may be secret."""
    if field.get("type", "string") == "boolean":
        return "" if isinstance(value, bool) else f"{shown} is not of type 'boolean'"
    if not isinstance(value, str):
        return f"{shown} is not of type 'string'"
    choices = field.get("choices")
    if choices and value not in choices:
        return f"{shown} is not one of {choices!r}"
    return ""


def unexpected(names: Iterable[str]) -> str:
    """Return the message about names that a schema does not have; there is at least one."""
    listed = [repr(name) for name in names]
    word = "was" if len(listed) == 1 else "were"
    return f"Additional properties are not allowed ({', '.join(listed)} {word} unexpected)"


def _unknown(given: Mapping[str, Any], known: Iterable[str]) -> Iterable[str]:
    names = [name for name in given if name not in known]
    if names:
        yield unexpected(names)


def _not(value: Any, wanted: type) -> str:
    return f"{value!r} is not of type '{_NAMES[wanted]}'"


def _texts(value: Any) -> Problems:
    if not isinstance(value, list):
        return [_not(value, list)]
    return [_not(each, str) for each in value if not isinstance(each, str)]


def _shape(field: Any) -> Problems:
    """Return what is wrong with one field as a piece of JSON."""
    if not isinstance(field, dict):
        return [_not(field, dict)]
    problems = [*_unknown(field, _KEYS)]
    for name, check in _KEYS.items():
        if name in field:
            problems += check(field[name])
    return problems + [
        f"'{name}' is a required property" for name in ("id", "label") if name not in field
    ]


def _one_of(allowed: tuple[str, ...]) -> Callable[[Any], Problems]:
    def check(value: Any) -> Problems:
        return [] if value in allowed else [f"{value!r} is not one of {[*allowed]!r}"]

    return check


def _of(wanted: type) -> Callable[[Any], Problems]:
    def check(value: Any) -> Problems:
        return [] if isinstance(value, wanted) else [_not(value, wanted)]

    return check


def _identifier(value: Any) -> Problems:
    if not isinstance(value, str):
        return [_not(value, str)]
    return [] if re.match(NAME, value) else [f"{value} is an invalid variable name"]


def _choices(value: Any) -> Problems:
    problems = _texts(value)
    if problems:
        return problems
    if not value:
        return [f"{value!r} should be non-empty"]
    return [f"{value!r} has non-unique elements"] if len(set(value)) < len(value) else []


def _anything(_value: Any) -> Problems:
    return []


_KEYS: dict[str, Callable[[Any], Problems]] = {
    "type": _one_of(TYPES),
    "format": _one_of(FORMATS),
    "choices": _choices,
    "id": _identifier,
    "label": _of(str),
    "help_text": _of(str),
    "multiline": _of(bool),
    "secret": _of(bool),
    "ask_at_runtime": _of(bool),
    "default": _anything,
}


def _meaning(fields: Iterable[Mapping[str, Any]]) -> Problems:
    """Return what is wrong with fields of the right shape, among one another and in themselves."""
    seen: set[str] = set()
    for field in fields:
        name, kind = field["id"], field.get("type", "string")
        if name == "tower":
            return ['"tower" is a reserved field name']
        if name in seen:
            return [f"field IDs must be unique ({name})"]
        seen.add(name)
        default = field.get("default")
        if "default" in field and type(default) is not {"string": str, "boolean": bool}[kind]:
            return [f"{default} is not a {kind}"]
        for key in TEXT_ONLY:
            if key in field and kind != "string":
                return [f"{key} not allowed for {kind} type ({name})"]
    return []


def _files(given: Mapping[str, Any]) -> Problems:
    return [*_named(given, FILE_NAME), *_strings(given)]


def _environment(given: Mapping[str, Any]) -> Problems:
    odd = [value for value in given.values() if isinstance(value, str) and not value.isascii()]
    described = [f"{value!r} does not match '^[\\x00-\\x7F]*$'" for value in odd]
    return [*_named(given, NAME), *_strings(given), *described]


def _variables(given: Mapping[str, Any]) -> Problems:
    problems = _named(given, NAME)
    for value in given.values():
        if not isinstance(value, str | list | dict):
            problems.append(f"{value!r} is not valid under any of the given schemas")
    return problems


_INJECTED: dict[str, Callable[[Mapping[str, Any]], Problems]] = {
    "file": _files,
    "env": _environment,
    "extra_vars": _variables,
}


def _named(given: Mapping[str, Any], pattern: str) -> Problems:
    return [
        f"{name!r} does not match any of the regexes: {pattern!r}"
        for name in given
        if not re.match(pattern, name)
    ]


def _strings(given: Mapping[str, Any]) -> Problems:
    return [_not(value, str) for value in given.values() if not isinstance(value, str)]


def _variable(name: str) -> str:
    """Return why an environment variable may not be injected."""
    if name.startswith("ANSIBLE_"):
        return (
            f"Environment variable {name} may affect Ansible configuration so its use is not"
            " allowed in credentials."
        )
    if name in ENV_BLOCKED:
        return f"Environment variable {name} is not allowed to be used in credentials."
    return ""
