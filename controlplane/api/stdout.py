"""Forms of a job's output: plain text, ANSI, HTML and ranges of lines (``api.md`` 6.3). Pure."""

from __future__ import annotations

import io
import re

from ansi2html import Ansi2HTMLConverter

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")


def plain(text: str) -> str:
    """Return the text without ANSI sequences."""
    return _ANSI.sub("", text)


def lines(text: str) -> list[str]:
    """Return the lines of a text with their ends.

    As events count them: nothing but a line feed ends one.
    """
    return io.StringIO(text).readlines()


def html(text: str, *, dark: bool) -> str:
    """Return the text as HTML spans, escaped, coloured as the terminal was."""
    converter = Ansi2HTMLConverter(inline=True, dark_bg=dark, scheme="ansi2html")
    return str(converter.convert(text, full=False))


def page(title: str, body: str, *, dark: bool) -> str:
    """Return a whole HTML page around converted output."""
    background, colour = ("#161b1f", "#eee") if dark else ("#fff", "#111")
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title></head>'
        f'<body style="background:{background};color:{colour}"><pre>{body}</pre></body></html>'
    )


def too_large(size: int, limit: int) -> str:
    """Return AWX's sentence for output above the display limit, both in bytes.

    Text, ANSI, HTML and JSON are answered with it; downloads have no limit.
    """
    return (
        f"Standard Output too large to display ({size} bytes), only download supported for"
        f" sizes over {limit} bytes."
    )


def line_range(total: int, start: int | None, end: int | None) -> tuple[int, int]:
    """Return the lines asked for, as [start, end) within ``total``.

    Negative ones count from the end.
    """

    def place(value: int | None, default: int) -> int:
        if value is None:
            return default
        return max(0, min(total, value + total if value < 0 else value))

    first, last = place(start, 0), place(end, total)
    return first, max(first, last)
