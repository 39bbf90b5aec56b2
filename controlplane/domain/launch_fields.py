"""Readers of launch body fields: the value in its type, or AWX's message why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.domain import extra_vars
from controlplane.domain.facts import plain
from controlplane.domain.numerals import whole

Read = tuple[Any, str]
"""(value, "") or (None, message)."""
NULL = "This field may not be null."
INTEGER_MAX = 2**31 - 1


def text(value: Any) -> Read:
    """Read a string; numbers are taken as their text."""
    if value is None:
        return None, NULL
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None, "Not a valid string."
    if not plain(value):
        return None, "Null and surrogate characters are not allowed."
    return str(value).strip(), ""


def integer(value: Any) -> Read:
    """Read a non-negative integer, also from a numeric string."""
    number, problem = seconds(value)
    if not problem and number < 0:
        return None, "Ensure this value is greater than or equal to 0."
    return number, problem


def seconds(value: Any) -> Read:
    """Read a time limit: any integer, for below 0 is no limit."""
    if value is None:
        return None, NULL
    try:
        number = int(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or abs(number) > INTEGER_MAX:
        return None, "A valid integer is required."
    return number, ""


def boolean(value: Any) -> Read:
    """Read a boolean as AWX's clients send it: true, 1, "yes" and their opposites."""
    if value is None:
        return None, NULL
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    word = str(value).lower()
    if word not in words:
        return None, "Must be a valid boolean."
    return words[word], ""


def choice(*allowed: Any) -> Callable[[Any], Read]:
    """Return a reader for one of these values."""

    def read(value: Any) -> Read:
        if value is None:
            return None, NULL
        for each in allowed:
            if value == each or str(value) == str(each):
                return each, ""
        return None, f'"{value}" is not a valid choice.'

    return read


def primary_key(value: Any) -> Read:
    """Read an id; null stands for none."""
    if value is None or value == "":
        return None, ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None, f"Incorrect type. Expected pk value, received {type(value).__name__}."
    number = whole(value) if isinstance(value, str) else value
    if number is None:
        return None, f"Incorrect type. Expected pk value, received {type(value).__name__}."
    return number, ""


def primary_keys(value: Any) -> Read:
    """Read a list of ids, without repetitions, in the order given."""
    if value is None:
        return None, NULL
    if not isinstance(value, list):
        return None, f'Expected a list of items but got type "{type(value).__name__}".'
    ids: list[int] = []
    for each in value:
        number, problem = primary_key(each)
        if problem or number is None:
            return None, problem or NULL
        ids.append(number)
    return list(dict.fromkeys(ids)), ""


def variables(value: Any) -> Read:
    """Read variables: an object, or JSON or YAML text of one."""
    try:
        return extra_vars.parse(value), ""
    except extra_vars.NotVariables as error:
        return None, str(error)


ASK = {
    "extra_vars": "ask_variables_on_launch",
    "limit": "ask_limit_on_launch",
    "scm_branch": "ask_scm_branch_on_launch",
    "job_tags": "ask_tags_on_launch",
    "skip_tags": "ask_skip_tags_on_launch",
    "job_type": "ask_job_type_on_launch",
    "verbosity": "ask_verbosity_on_launch",
    "diff_mode": "ask_diff_mode_on_launch",
    "forks": "ask_forks_on_launch",
    "job_slice_count": "ask_job_slice_count_on_launch",
    "timeout": "ask_timeout_on_launch",
    "inventory": "ask_inventory_on_launch",
    "execution_environment": "ask_execution_environment_on_launch",
    "credentials": "ask_credential_on_launch",
    "labels": "ask_labels_on_launch",
    "instance_groups": "ask_instance_groups_on_launch",
}
"""Prompt field to the template's flag that allows it."""

FIELD_READERS: dict[str, Callable[[Any], Read]] = {
    "extra_vars": variables,
    "limit": text,
    "scm_branch": text,
    "job_tags": text,
    "skip_tags": text,
    "job_type": choice("run", "check"),
    "verbosity": choice(0, 1, 2, 3, 4, 5),
    "diff_mode": boolean,
    "forks": integer,
    "job_slice_count": integer,
    "timeout": seconds,
    "inventory": primary_key,
    "execution_environment": primary_key,
    "credentials": primary_keys,
    "labels": primary_keys,
    "instance_groups": primary_keys,
}
