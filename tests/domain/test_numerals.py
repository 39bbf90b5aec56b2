"""Numbers written as text."""

from __future__ import annotations

import pytest

from controlplane.domain.numerals import ID_MAX, whole


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("007", 7),
        (str(ID_MAX), ID_MAX),
        (str(ID_MAX + 1), None),
        ("9" * 5000, None),
        ("-1", None),
        ("1.0", None),
        ("", None),
        ("²", None),
    ],
)
def test_digits_are_read_up_to_the_largest_id(text: str, number: int | None) -> None:
    """Whatever a request writes is a number that fits an id, or none; it never raises."""
    assert whole(text) == number
