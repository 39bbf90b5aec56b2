"""Readers of setting values: each returns the value as it is used, or raises Unfit in words.

A setting is what an administrator sent as JSON, so every reader takes anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from controlplane.domain.errors import Invalid

Reader = Callable[[Any], Any]
Readers = Mapping[str, Reader]

_TRUE = (True, 1, "true", "True", "1", "yes", "on")
_FALSE = (False, 0, "false", "False", "0", "no", "off")
USER = "%(user)s"
"""Placeholder for the name that somebody gives at login."""


class Unfit(ValueError):
    """A value does not fit its setting; the text goes to whoever set it."""


def text(value: Any) -> str:
    """Return a string; null counts as empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unfit("Not a valid string.")
    if "\x00" in value:
        raise Unfit("Null characters are not allowed.")
    if any("\ud800" <= each <= "\udfff" for each in value):
        raise Unfit("Not a valid string.")
    return value


def required_text(value: Any) -> str:
    """Return a string that is not empty."""
    found = text(value)
    if not found.strip():
        raise Unfit("This field may not be blank.")
    return found


def flag(value: Any) -> bool:
    """Return a truth value, in the spellings that AWX takes."""
    if isinstance(value, (bool, int, str)):
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
    raise Unfit("Must be a valid boolean.")


def strings(value: Any) -> tuple[str, ...]:
    """Return the strings of a list; null is an empty one, a string alone a list of one."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (text(value),)
    if not isinstance(value, list | tuple):
        raise Unfit(f"Expected a list of items but got type {_name(value)}.")
    return tuple(text(each) for each in value)


def mapping(value: Any) -> dict[str, Any]:
    """Return the entries of an object; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Unfit(f"Expected a dictionary of items but got type {_name(value)}.")
    return {text(key): each for key, each in value.items()}


def record(value: Any, fields: Readers, *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return an object whose keys are known; one that is not is refused by name."""
    found = mapping(value)
    for name in found:
        if name not in fields:
            raise Unfit(f"{name}: Invalid field.")
    for name in required:
        if name not in found:
            raise Unfit(f"{name}: This field is required.")
    return {name: within(name, fields[name], each) for name, each in found.items()}


def within(name: str, reader: Reader, value: Any) -> Any:
    """Return what a reader makes of a part of a value; its complaint names the part."""
    try:
        return reader(value)
    except Unfit as error:
        raise Unfit(f"{name}: {error}") from None


def url(value: Any, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """Return an address with a host, or an empty string."""
    found = text(value).strip()
    if not found:
        return ""
    try:
        parts = urlsplit(found)
        fits = parts.scheme.lower() in schemes and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        fits = False
    if not fits or any(each.isspace() for each in found):
        raise Unfit("Enter a valid URL.")
    return found


def dn(value: Any) -> str:
    """Return a distinguished name, or an empty string."""
    found = text(value).strip()
    if found and not all(_pair(part) for part in split_dn(found)):
        raise Unfit(f"Invalid DN: {found}")
    return found


def split_dn(name: str) -> list[str]:
    """Return the parts of a distinguished name, split at commas that are not escaped."""
    return re.split(r"(?<!\\),", name)


def normal_dn(name: str) -> str:
    """Return a distinguished name as names are compared: case and spaces around parts aside."""
    pairs = (part.partition("=") for part in split_dn(name))
    return ",".join(f"{key.strip()}={value.strip()}".casefold() for key, _, value in pairs)


def settings_of(given: Mapping[str, Any], readers: Readers) -> dict[str, Any]:
    """Return every setting of ``readers`` as it is used; raises Invalid naming those that unfit.

    One that is not given is read as null.
    """
    found: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, reader in readers.items():
        try:
            found[name] = reader(given.get(name))
        except Unfit as error:
            errors[name] = [str(error)]
    if errors:
        raise Invalid(errors)
    return found


def optional(reader: Reader, default: Any) -> Reader:
    """Return a reader that takes null for a default."""
    return lambda value: default if value is None else reader(value)


def _pair(part: str) -> bool:
    key, sign, value = part.partition("=")
    return bool(sign) and bool(key.strip()) and bool(value.strip())


def _name(value: Any) -> str:
    return type(value).__name__
