"""Variables as text: parsing JSON or YAML, merging with AWX's precedence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

import msgspec
import yaml

from schemas.yaml_text import UNREADABLE

DEPTH_MAX = 200
VALUES_MAX = 1_000_000
CHARACTERS_MAX = 64 * 1024 * 1024
"""What a text may grow to once its YAML aliases are written out; they multiply, and may recur."""
YAML_VALUES_MAX = 200_000
"""Values that a YAML text may seem to have: each takes microseconds, and everybody waits."""
_SEPARATORS = (",", ":", "\n", "[", "{", "- ", "? ")
"""What stands between any two values of a YAML text."""
_SIXTIETHS = re.compile(r"(?::[0-5]?[0-9]){16}")
"""A number in base 60, as YAML 1.1 has it: reading a long one takes the square of its length."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotVariables(Exception):
    """The text is no JSON or YAML object; the message is AWX's."""


def parse(text: str | dict[str, Any] | None) -> dict[str, Any]:
    """Return the variables that a JSON or YAML text (or an object) holds; empty text holds none.

    Raises NotVariables (AWX's ``parse_yaml_or_json`` texts).
    """
    if not text:
        return {}
    if not isinstance(text, str):
        return _object(text)
    if not text.strip():
        return {}
    try:
        return _object(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        json_error = str(error)
    try:
        _check_number(text)
        value = yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader, the C one where built
    except UNREADABLE as error:
        message = f"Cannot parse as JSON (error: {json_error}) or YAML (error: {error})."
        raise NotVariables(message) from error
    return _object({} if value is None else value)


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return the layers merged, later ones over earlier ones (not deep.

    AWX replaces whole values).
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    return merged


def as_text(values: dict[str, Any]) -> str:
    """Return variables as the JSON text that jobs carry.

    Dates and other YAML types become strings.
    """
    return msgspec.json.encode(values, enc_hook=str).decode()


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = f"Input type `{type(value).__name__}` is not a dictionary"
        raise NotVariables(message)
    _check_extent(value)
    found = {str(key): each for key, each in value.items()}
    try:
        as_text(found)
    except (TypeError, ValueError) as error:
        message = f"Cannot be written as JSON (error: {error})."
        raise NotVariables(message) from error
    return found


def _check_number(text: str) -> None:
    """Raise ValueError for a YAML text that would take long to read."""
    if sum(map(text.count, _SEPARATORS)) > YAML_VALUES_MAX:
        message = f"more than {YAML_VALUES_MAX} values are taken as JSON only"
        raise ValueError(message)
    if _SIXTIETHS.search(text):
        message = "a number in base 60 is too long"
        raise ValueError(message)


def _check_extent(value: Any) -> None:
    """Walk level by level, so that neither a cycle nor a bomb of aliases is ever written out."""
    level, characters = [value], 0
    for _ in range(DEPTH_MAX):
        level = list(islice(chain.from_iterable(map(_below, level)), VALUES_MAX + 1))
        characters += sum(len(each) for each in level if isinstance(each, str))
        if len(level) > VALUES_MAX or characters > CHARACTERS_MAX:
            raise NotVariables("Variables are too large once their aliases are written out.")
        if not level:
            return
    raise NotVariables(f"Variables are nested deeper than {DEPTH_MAX} levels.")


def _below(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return chain(value.keys(), value.values())
    return value if isinstance(value, list | tuple | set) else ()
