"""From a value in a request body to the value of a setting, or AWX's words why not."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from controlplane.domain.external import checks
from controlplane.domain.facts import plain
from schemas.settings import Setting

NULL = "This field may not be null."
BLANK = "This field may not be blank."
NUL = "Null characters are not allowed."
TEXT = "Not a valid string."
OUT_OF_RANGE = "A value is out of range."
INTEGER = "A valid integer is required."
INT_MAX = 2**63 - 1
DATETIME = (
    "Datetime has wrong format. Use one of these formats instead:"
    " YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)

_WHOLE = re.compile(r"\s*([+-]?\d{1,30})(\.0*)?\s*")
_TRUE = frozenset({"t", "y", "yes", "true", "on", "1"})
_FALSE = frozenset({"f", "n", "no", "false", "off", "0"})


class Unfit(Exception):
    """The value does not fit the setting; ``problem`` is what stands under its name."""

    def __init__(self, problem: Any) -> None:
        """Keep a sentence, or sentences by the place in a list or object."""
        super().__init__(problem)
        self.problem = problem


def read(setting: Setting, raw: Any) -> Any:
    """Return the value that a body gives a setting; raises Unfit."""
    if raw is None:
        if setting.nullable:
            return None
        raise Unfit(NULL)
    if not plain(raw):
        raise Unfit(NUL)
    value = _READERS[setting.kind](setting, raw)
    check = setting.check or functools.partial(checks.problem, setting.name)
    problem = check(value)
    if problem:
        raise Unfit(problem)
    return value


def _flag(_setting: Setting, raw: Any) -> bool:
    word = str(raw).lower() if isinstance(raw, str | int) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Unfit("Must be a valid boolean.")


def _whole(setting: Setting, raw: Any) -> int:
    number = _number(raw)
    low = -INT_MAX if setting.low is None else setting.low
    high = INT_MAX if setting.high is None else setting.high
    if number < low:
        raise Unfit(f"Ensure this value is greater than or equal to {low}.")
    if number > high:
        raise Unfit(f"Ensure this value is less than or equal to {high}.")
    return number


def _number(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Unfit(INTEGER)
    match = _WHOLE.fullmatch(str(raw))
    if match is None:
        raise Unfit(INTEGER)
    return int(match.group(1))


def _words(setting: Setting, raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise Unfit(TEXT)
    text = str(raw) if setting.secret else str(raw).strip()
    if not text and not setting.blank:
        raise Unfit(BLANK)
    if text and setting.url and not _is_url(text):
        raise Unfit("Enter a valid URL")
    return text


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in text
    except ValueError:
        return False


def _choice(setting: Setting, raw: Any) -> Any:
    for value, _label in setting.choices:
        if not isinstance(raw, bool) and value is not None and str(raw) == str(value):
            return value
    if raw == "" and setting.nullable:
        return None
    raise Unfit(f'"{raw}" is not a valid choice.')


def _several(setting: Setting, raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise Unfit(f'Expected a list of items but got type "{type(raw).__name__}".')
    found, problems = [], {}
    for place, each in enumerate(raw):
        try:
            found.append(_item(setting, each))
        except Unfit as error:
            problems[str(place)] = [error.problem]
    if problems:
        raise Unfit(problems)
    return found


def _mapping(setting: Setting, raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise Unfit(f'Expected a dictionary of items but got type "{type(raw).__name__}".')
    unknown = sorted(set(raw) - set(setting.keys)) if setting.keys else []
    if unknown:
        raise Unfit(f"Invalid key names: {', '.join(unknown)}")
    found, problems = {}, {}
    for key, each in raw.items():
        try:
            found[key] = _item(setting, each)
        except Unfit as error:
            problems[key] = [error.problem]
    if problems:
        raise Unfit(problems)
    return found


def _item(setting: Setting, raw: Any) -> Any:
    if setting.item == "any":
        return raw
    if setting.item == "integer":
        number = _number(raw)
        if abs(number) > INT_MAX:
            raise Unfit(OUT_OF_RANGE)
        return number
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise Unfit(TEXT)
    return str(raw)


def _instant(_setting: Setting, raw: Any) -> str:
    try:
        found = datetime.fromisoformat(raw) if isinstance(raw, str) else None
    except ValueError:
        found = None
    if found is None:
        raise Unfit(DATETIME)
    try:
        zoned = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return zoned.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise Unfit(DATETIME) from None


def _id(_setting: Setting, raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        text = f"Incorrect type. Expected pk value, received {type(raw).__name__}."
        raise Unfit(text)
    match = re.fullmatch(r"\s*-?\d{1,18}\s*", str(raw))
    if match is None and isinstance(raw, str):
        raise Unfit("Incorrect type. Expected pk value, received str.")
    if match is None or int(raw) < 1:
        raise Unfit(f'Invalid pk "{raw}" - object does not exist.')
    return int(raw)


_READERS: dict[str, Callable[[Setting, Any], Any]] = {
    "boolean": _flag,
    "integer": _whole,
    "string": _words,
    "choice": _choice,
    "list": _several,
    "nested object": _mapping,
    "datetime": _instant,
    "field": _id,
}
