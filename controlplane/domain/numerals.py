"""Numbers that a request writes as text, which may be of any length."""

from __future__ import annotations

from typing import Any

ID_MAX = 2**63 - 1
_DIGITS_MAX = len(str(ID_MAX))


def whole(text: str) -> int | None:
    """Return the number that a text's digits write; None for other texts and beyond any id.

    Python itself refuses to read a number of thousands of digits.
    """
    if not text.isdecimal() or len(text) > _DIGITS_MAX:
        return None
    number = int(text)
    return number if number <= ID_MAX else None


def is_count(value: Any) -> bool:
    """True for a number as AWX takes it of days: whole and not below nothing, also as a text."""
    if isinstance(value, str):
        return value.isdecimal()
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
