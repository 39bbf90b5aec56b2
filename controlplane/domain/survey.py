"""Surveys: the questions of a template, and the answers that a launch gives (``api.md`` 4.3).

Pure; the sentences are AWX's. A password's default is kept sealed and its answers are secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from controlplane.domain.errors import Refused
from controlplane.domain.facts import Unsealed, decoded, plain
from controlplane.domain.field_values import ENCRYPTED

TYPES: dict[str, type] = {
    "text": str,
    "textarea": str,
    "password": str,
    "multiplechoice": str,
    "multiselect": str,
    "integer": int,
    "float": float,
}
"""Question type to the type of its default."""
CHOSEN = ("multiplechoice", "multiselect")
QUESTIONS_MAX = 1000
BOUND_MAX = 2**63
"""Numbers in a survey stay below this, so that everything that stores them can."""
_PARTS = (("name", str, "string"), ("description", str, "string"), ("spec", list, "list of items"))
_NEEDED = ("type", "question_name", "variable", "required")

Question = Mapping[str, Any]


class Sealed(Struct, frozen=True):
    """A secret as it is stored with its template."""

    text: str


def questions(template: Mapping[str, Any]) -> list[Question]:
    """Return the questions that a launch of a template asks; none while its survey is off."""
    if not template.get("survey_enabled"):
        return []
    found: list[Question] = decoded(template["survey_spec"]).get("spec", [])
    return found


def checked(given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return a survey as it is stored; raises Refused."""
    for name, wanted, label in _PARTS:
        if name not in given:
            raise _wrong(f"'{name}' missing from survey spec.")
        if not isinstance(given[name], wanted):
            got = type(given[name]).__name__
            raise _wrong(f"Expected {label} for field '{name}', received {got} type.")
    items = given["spec"]
    if not items:
        raise _wrong("'spec' doesn't contain any items.")
    if len(items) > QUESTIONS_MAX:
        raise _wrong(f"A survey has at most {QUESTIONS_MAX} questions.")
    if not plain(given):
        raise _wrong("Null characters are not allowed.")
    old = {each["variable"]: each for each in before.get("spec", [])}
    seen: set[str] = set()
    stored = [_question(index, item, old, seen) for index, item in enumerate(items)]
    return {"name": given["name"], "description": given["description"], "spec": stored}


def shown(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a survey as it is read: no password default is."""
    if not spec:
        return {}
    asked = [
        {**each, "default": ENCRYPTED} if _is_secret(each) and each.get("default") else each
        for each in spec["spec"]
    ]
    return {**spec, "spec": asked}


def secret_variables(asked: Iterable[Question]) -> frozenset[str]:
    """Return the variables whose answers are secret."""
    return frozenset(each["variable"] for each in asked if _is_secret(each))


def needed(asked: Iterable[Question]) -> list[str]:
    """Return the variables that a launch must answer."""
    return [each["variable"] for each in asked if each["required"]]


def wrong_answers(
    asked: Iterable[Question], given: Mapping[str, Any], *, required: bool = True
) -> dict[str, list[str]]:
    """Return what is wrong with answers, by variable."""
    found = {each["variable"]: list(_wrong_answer(each, given, required)) for each in asked}
    return {name: messages for name, messages in found.items() if messages}


def answered(asked: Iterable[Question], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that a survey makes of its defaults and of good answers.

    Secret answers are ``Unsealed``; a secret default is ``Sealed``, as it is stored.
    """
    found: dict[str, Any] = {}
    for each in asked:
        name, default = each["variable"], each.get("default")
        value = given.get(name)
        if _is_secret(each):
            if value not in (None, "", ENCRYPTED):
                found[name] = Unsealed(str(value))
            elif default:
                found[name] = Sealed(default)
        elif name in given:
            if value is not None and (value != "" or each["required"]):
                found[name] = value
        elif default not in (None, "") and not any(_wrong_answer(each, {name: default}, True)):
            found[name] = default
    return found


def _is_secret(question: Question) -> bool:
    return bool(question["type"] == "password")


def _wrong(message: str) -> Refused:
    return Refused({"error": message})


def _question(index: int, item: Any, old: Mapping[str, Question], seen: set[str]) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise _wrong(f"Survey question {index} is not a json object.")
    for name in _NEEDED:
        if name not in item:
            raise _wrong(f"'{name}' missing from survey question {index}")
        wanted, label = (bool, "boolean") if name == "required" else (str, "string")
        if not isinstance(item[name], wanted):
            raise _wrong(f"'{name}' in survey question {index} expected to be {label}.")
    if item["variable"] in seen:
        raise _wrong(f"'variable' '{item['variable']}' duplicated in survey question {index}.")
    seen.add(item["variable"])
    if item["type"] not in TYPES:
        raise _wrong(
            f"'{item['type']}' in survey question {index} is not one of"
            f" '{', '.join(TYPES)}' allowed question types."
        )
    stored = dict(item)
    _check_default(index, stored)
    _check_bounds(index, stored)
    if stored["type"] in CHOSEN:
        _check_choices(index, stored)
    _keep_secret(index, stored, old.get(stored["variable"], {}))
    return stored


def _check_default(index: int, item: dict[str, Any]) -> None:
    default, kind = item.get("default", ""), item["type"]
    if default in ("", None):
        return
    fits = isinstance(default, TYPES[kind]) and not isinstance(default, bool)
    if isinstance(default, int | float) and not abs(default) < BOUND_MAX:
        fits = False
    if not fits:
        label = kind if kind in ("integer", "float") else "string"
        raise _wrong(f"Default value {default} in survey question {index} expected to be {label}.")


def _check_bounds(index: int, item: dict[str, Any]) -> None:
    for name in ("min", "max"):
        bound = item.get(name)
        good = isinstance(bound, int) and not isinstance(bound, bool) and abs(bound) < BOUND_MAX
        if bound is not None and not good:
            raise _wrong(f"The {name} limit in survey question {index} expected to be integer.")


def _check_choices(index: int, item: dict[str, Any]) -> None:
    choices = item.get("choices")
    if isinstance(choices, str):
        item["choices"] = choices = "\n".join(_lines(choices))
    if not choices or not isinstance(choices, str | list):
        raise _wrong(f"Survey question {index} of type {item['type']} must specify choices.")
    if not isinstance(item.get("default"), str):
        return
    defaults = _lines(item["default"])
    item["default"] = "\n".join(defaults)
    if item["type"] == "multiplechoice" and len(defaults) > 1:
        raise _wrong("Multiple Choice (Single Select) can only have one default value.")
    if any(each not in _choices(item) for each in defaults):
        raise _wrong("Default choice must be answered from the choices listed.")


def _keep_secret(index: int, item: dict[str, Any], before: Question) -> None:
    default = item.get("default")
    if not isinstance(default, str):
        return
    if default.startswith(ENCRYPTED):
        if not _is_secret(item):
            raise _wrong(
                f"{ENCRYPTED} is a reserved keyword for password question defaults,"
                f" survey question {index} is type {item['type']}."
            )
        if not (before and _is_secret(before) and "default" in before):
            raise _wrong(
                f"{ENCRYPTED} is a reserved keyword, may not be used for new default"
                f" in position {index}."
            )
        item["default"] = before["default"]
    elif _is_secret(item) and default:
        item["default"] = Unsealed(default)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _choices(item: Question) -> list[Any]:
    choices = item["choices"]
    return _lines(choices) if isinstance(choices, str) else list(choices)


def _wrong_answer(item: Question, given: Mapping[str, Any], required: bool) -> Iterator[str]:  # noqa: FBT001 - a part of the question
    name = item["variable"]
    if _is_secret(item) and given.get(name) == ENCRYPTED:
        if required and item["required"] and item.get("default") in (None, ""):
            yield f"'{name}' value missing"
        return
    if name not in given:
        if required and item["required"]:
            yield f"'{name}' value missing"
        return
    if given[name] in ("", None) and not item["required"]:
        return
    yield from _KINDS[item["type"]](item, given[name])


def _wrong_text(item: Question, value: Any) -> Iterator[str]:
    name = item["variable"]
    said = "(secret)" if _is_secret(item) else value
    if not isinstance(value, str):
        yield f"Value {said} for '{name}' expected to be a string."
        return
    low, high = item.get("min"), item.get("max")
    if low is not None and len(value) < low:
        yield (
            f"'{name}' value {said} is too small (length is {len(value)} must be at least {low})."
        )
    if high is not None and len(value) > high:
        yield f"'{name}' value {said} is too large (must be no more than {high})."


def _wrong_integer(item: Question, value: Any) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield f"Value {value} for '{item['variable']}' expected to be an integer."
        return
    yield from _wrong_size(item, value)


def _wrong_float(item: Question, value: Any) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield f"Value {value} for '{item['variable']}' expected to be a numeric type."
        return
    yield from _wrong_size(item, value)


def _wrong_size(item: Question, value: float) -> Iterator[str]:
    name, low, high = item["variable"], item.get("min"), item.get("max")
    if low is not None and value < low:
        yield f"'{name}' value {value} is too small (must be at least {low})."
    if high is not None and value > high:
        yield f"'{name}' value {value} is too large (must be no more than {high})."


def _wrong_choice(item: Question, value: Any) -> Iterator[str]:
    choices = _choices(item)
    if value not in choices:
        yield f"Value {value} for '{item['variable']}' expected to be one of {choices}."


def _wrong_choices(item: Question, value: Any) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"'{item['variable']}' value is expected to be a list."
        return
    for each in value:
        yield from _wrong_choice(item, each)


_KINDS: dict[str, Callable[[Question, Any], Iterator[str]]] = {
    "text": _wrong_text,
    "textarea": _wrong_text,
    "password": _wrong_text,
    "integer": _wrong_integer,
    "float": _wrong_float,
    "multiplechoice": _wrong_choice,
    "multiselect": _wrong_choices,
}
