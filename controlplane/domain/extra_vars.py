"""Variables as text: parsing JSON or YAML, merging with AWX's precedence."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotVariables(Exception):
    """The text is no JSON or YAML object; the message is AWX's."""


def parse(text: str | dict[str, Any] | None) -> dict[str, Any]:
    """Return the variables that a JSON or YAML text (or an object) holds; empty text holds none.

    Raises NotVariables (AWX's ``parse_yaml_or_json`` texts).
    """
    if text is None:
        return {}
    if not isinstance(text, str):
        return _object(text)
    if not text.strip():
        return {}
    try:
        return _object(msgspec.json.decode(text))
    except msgspec.DecodeError as error:
        json_error = str(error)
    try:
        value = yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader, the C one where built
    except (yaml.YAMLError, ValueError, RecursionError) as error:
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
    return {str(key): each for key, each in value.items()}
