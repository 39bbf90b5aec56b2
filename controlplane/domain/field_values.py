"""From a value in a request body to the value of a declared field, or AWX's words why not."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from typing import Any

from controlplane.domain import extra_vars
from controlplane.domain.facts import Hashed, plain
from controlplane.domain.numerals import whole
from schemas.resource import Field

NULL = "This field may not be null."
BLANK = "This field may not be blank."
REQUIRED = "This field is required."
NUL = "Null characters are not allowed."
SURROGATE = "Surrogate characters are not allowed."
ENCRYPTED = "$encrypted$"
"""What a secret reads as; written back it keeps what is stored."""

INT_MAX = 2**31 - 1
ID_MAX = 2**63 - 1

_INTEGER = re.compile(r"^\s*([+-]?\d{1,400})(\.0*)?\s*$")
_TRUE = frozenset({"t", "y", "yes", "true", "on", "1"})
_FALSE = frozenset({"f", "n", "no", "false", "off", "0"})


class Unreadable(Exception):
    """The value does not fit the field; the message is AWX's."""


def read(field: Field, raw: Any) -> Any:
    """Return the value of a field that a body gives it; raises Unreadable."""
    if isinstance(raw, Hashed):
        return raw.digest
    if raw is None:
        return _of_null(field)
    return _READERS[field.base](field, raw)


def _of_null(field: Field) -> Any:
    """Return what null means: AWX takes it for an empty text or false where it is no value."""
    if field.nullable:
        return None
    if field.base == "bool":
        return False
    if field.base == "str" and field.secret is None:
        if field.meta is not None and field.meta.min_length:
            raise Unreadable("This field cannot be blank.")
        return _READERS["str"](field, "")
    if field.base == "json" and (field.json is None or field.json.form == "text"):
        return ""
    raise Unreadable(NULL)


def reference(value: Any) -> int | None:
    """Return the id in a body's value; None when there is none or it is no id.

    Rights are checked on what this returns, so nothing else may read a reference.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return whole(value.strip()) if isinstance(value, str) else None


def missing_pk(value: Any) -> str:
    """Return the message for a reference to an object that does not exist."""
    return f'Invalid pk "{value}" - object does not exist.'


def _text(field: Field, raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise Unreadable("Not a valid string.")
    text = str(raw) if field.secret is not None else str(raw).strip()
    _check_characters(text)
    if field.choices is not None:
        return str(_choice(field, text))
    if not text and field.meta is not None and field.meta.min_length:
        raise Unreadable(BLANK)
    _check_length(field, text)
    return text


def _check_characters(text: str) -> None:
    if not plain(text):
        raise Unreadable(NUL if "\x00" in text else SURROGATE)


def _check_length(field: Field, text: str) -> None:
    limit = field.meta.max_length if field.meta is not None else None
    if limit is not None and len(text) > limit:
        raise Unreadable(f"Ensure this field has no more than {limit} characters.")


def _choice(field: Field, raw: Any) -> Any:
    pairs = field.choices.pairs if field.choices is not None else ()
    for value, _label in pairs:
        if raw == value or str(raw) == str(value):
            return value
    if raw == "" and field.base == "str" and (field.default == "" or field.nullable):
        return raw
    raise Unreadable(f'"{raw}" is not a valid choice.')


def _integer(field: Field, raw: Any) -> int:
    if field.choices is not None:
        return int(_choice(field, raw))
    match = _INTEGER.match(str(raw)) if isinstance(raw, int | float | str) else None
    if match is None:
        raise Unreadable("A valid integer is required.")
    number = int(match.group(1))
    low = field.meta.ge if field.meta is not None and field.meta.ge is not None else -INT_MAX - 1
    high = field.meta.le if field.meta is not None and field.meta.le is not None else INT_MAX
    if number < low:
        raise Unreadable(f"Ensure this value is greater than or equal to {low}.")
    if number > high:
        raise Unreadable(f"Ensure this value is less than or equal to {high}.")
    return number


def _boolean(_field: Field, raw: Any) -> bool:
    word = str(raw).lower() if isinstance(raw, str | int) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Unreadable("Must be a valid boolean.")


def _float(_field: Field, raw: Any) -> float:
    try:
        return float(raw)
    except (TypeError, ValueError) as error:
        raise Unreadable("A valid number is required.") from error


def _id(field: Field, raw: Any) -> int | None:
    if raw == "" and field.nullable:
        return None
    if raw == "":
        raise Unreadable(NULL)
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise Unreadable(_not_pk(raw))
    if isinstance(raw, str) and not re.fullmatch(r"\s*-?\d{1,400}\s*", raw):
        raise Unreadable(_not_pk(raw))
    number = reference(raw)
    if number is None or not 0 < number <= ID_MAX:
        raise Unreadable(missing_pk(raw))
    return number


def _not_pk(raw: Any) -> str:
    return f"Incorrect type. Expected pk value, received {type(raw).__name__}."


def _json(field: Field, raw: Any) -> Any:
    if field.json is None or field.json.form == "text":
        return variables(raw)
    wanted = type(field.default) if field.default is not None else typing.get_origin(field.type)
    if not isinstance(raw, wanted):
        got = type(raw).__name__
        if wanted is list:
            raise Unreadable(f'Expected a list of items but got type "{got}".')
        raise Unreadable(f"{got} provided, expected {wanted.__name__}")
    if not plain(raw):
        raise Unreadable(NUL)
    return raw


def variables(raw: Any) -> str:
    """Keep variables as written, once they are known to be an object; raises Unreadable."""
    if not isinstance(raw, str):
        raise Unreadable("Not a valid string.")
    _check_characters(raw)
    try:
        extra_vars.parse(raw)
    except extra_vars.NotVariables as error:
        text = str(error)
        if not text.startswith("Cannot parse"):
            text = f"Cannot parse as JSON (error: {text}) or YAML (error: {text})."
        raise Unreadable(text) from error
    return raw


def _time(_field: Field, _raw: Any) -> Any:
    raise Unreadable("Set by the system.")


_READERS: dict[str, Callable[[Field, Any], Any]] = {
    "str": _text,
    "int": _integer,
    "bool": _boolean,
    "float": _float,
    "id": _id,
    "json": _json,
    "time": _time,
}
