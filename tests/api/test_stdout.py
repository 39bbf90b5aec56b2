"""Forms of a job's output."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar.response import Stream

from controlplane.api import stdout, stdout_routes
from schemas.output import event_id


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


class LongOutput:
    """A call about a job of a million lines, and the view that it reads them from."""

    EVENTS, LINES = 20_000, 49

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[LongOutput]:
        """Open it."""
        yield self

    async def named_row(self, _query: str, *_of: int) -> dict[str, int]:
        """Return where the events stand."""
        return {"job_day": 0}

    async def named(
        self, _query: str, first: int, _last: int, _day: int, rows_max: int, _bytes: int
    ) -> list[dict[str, Any]]:
        """Return a page of events."""
        end = event_id(7, 1, 0) + self.EVENTS
        text = "\x1b[0;32m" + "ok: [web%d]\r\n" * self.LINES + "\x1b[0m\r\n"
        return [
            {"id": number, "body": None, "stdout": text.replace("%d", str(number))}
            for number in range(first, min(first + rows_max, end))
        ]


async def test_a_download_of_a_million_lines_holds_few_of_them() -> None:
    """The text goes out as it is read: what is held does not grow with the output."""
    call: Any = LongOutput()
    job = {"id": 7, "attempt": 1, "kind": "job"}
    answer = stdout_routes._download(call, job, "txt_download")
    assert isinstance(answer, Stream)
    assert isinstance(answer.iterator, AsyncIterator)
    sent = lines = 0
    tracemalloc.start()
    try:
        async for part in answer.iterator:
            assert isinstance(part, bytes)
            sent += len(part)
            lines += part.count(b"\n")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert lines == LongOutput.EVENTS * (LongOutput.LINES + 1)
    assert peak < sent / 4
