"""Forms of a job's output."""

from __future__ import annotations

import pytest

from controlplane.api import stdout


def test_plain_text_has_no_escape_sequences() -> None:
    """Colours, cursor moves and titles are gone; text and line ends stay."""
    assert stdout.plain("\x1b[0;32mok\x1b[0m\r\n\x1b]0;title\x07x") == "ok\r\nx"


def test_html_is_escaped_and_coloured() -> None:
    """Markup in output is shown, not obeyed."""
    body = stdout.html("\x1b[0;31mbad\x1b[0m <script>", dark=False)
    assert "<script>" not in body
    assert "&lt;script&gt;" in body
    assert "color:" in body


@pytest.mark.parametrize(
    ("start", "end", "lines"),
    [
        (None, None, (0, 10)),
        (2, 5, (2, 5)),
        (-3, None, (7, 10)),
        (0, -1, (0, 9)),
        (50, 60, (10, 10)),
        (5, 2, (5, 5)),
    ],
)
def test_ranges_stay_inside_the_output(
    start: int | None, end: int | None, lines: tuple[int, int]
) -> None:
    """A range is cut to what there is; negative numbers count from the end."""
    assert stdout.line_range(10, start, end) == lines
