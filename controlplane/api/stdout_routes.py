"""The output of unified jobs in each form that AWX gives it (``api.md`` 6.3)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

from litestar import Response
from litestar.response import Stream

from controlplane.api import job_output, stdout
from controlplane.api.call import Call, answer
from controlplane.api.errors import Refusal
from controlplane.shell.read_model import Row

_FORMATS = frozenset({"api", "html", "txt", "ansi", "json", "txt_download", "ansi_download"})
_DIGITS_MAX = 9
_SENT_AT_ONCE = 64 * 1024
"""A line by itself would cost many times what is in it."""
_YES = ("1", "t", "y")


async def show_stdout(call: Call) -> Response[Any]:
    """Answer a job's output in the form asked for; downloads are streamed, whatever their size."""
    form = call.parameter("format") or _accepted(call)
    if form not in _FORMATS:
        raise Refusal(404, {"detail": "Not found."})
    async with call.read() as view:
        job = await job_output.job_of(view, call.target.id)
        state = await view.named_row("job_output_state", job["id"], job["attempt"])
    size = 0 if state is None else state["bytes"]
    if form.endswith("_download"):
        return _download(call, job, form)
    limit = call.services.settings_store.integer("STDOUT_MAX_BYTES_DISPLAY")
    if size > limit:
        return _shown(call, form, stdout.too_large(size, limit), (0, 1, 1))
    text, size = await _up_to(call, job, limit)
    if size > limit:
        return _shown(call, form, stdout.too_large(size, limit), (0, 1, 1))
    lines = stdout.lines(text)
    first, last = stdout.line_range(
        len(lines), _number(call, "start_line"), _number(call, "end_line")
    )
    return _shown(call, form, "".join(lines[first:last]), (first, last, len(lines)))


async def _up_to(call: Call, job: Row, limit: int) -> tuple[str, int]:
    """Return a job's output and its size; above the limit, which oversized events may pass, none.

    What the read model counts of an event that stands in BLOBS is only its beginning.
    """
    parts: list[str] = []
    size = 0
    async for event in job_output.pieces(call, job):
        text = job_output.text_of(event)
        size += len(event["stdout"])
        parts.append(text)
        if size > limit:
            parts.clear()
    return "".join(parts), size


def _shown(call: Call, form: str, text: str, lines: tuple[int, int, int]) -> Response[Any]:
    if form == "json":
        content = text
        if call.parameter("content_encoding") == "base64":
            content = base64.b64encode(text.encode()).decode()
        spread = {"start": lines[0], "end": lines[1], "absolute_end": lines[2]}
        return answer({"range": spread, "content": content})
    if form in ("txt", "ansi"):
        body = text if form == "ansi" else stdout.plain(text)
        return Response(body, media_type="text/plain", status_code=200)
    asked = call.parameter("dark")
    dark = asked[:1].lower() in _YES or (form == "html" and not asked)
    converted = stdout.html(text, dark=dark)
    if call.parameter("content_only") in ("1", "true"):
        return Response(converted, media_type="text/html", status_code=200)
    whole = stdout.page(f"Output of job {call.target.id}", converted, dark=dark)
    return Response(whole, media_type="text/html", status_code=200)


def _download(call: Call, job: Row, form: str) -> Response[Any]:
    ansi = form == "ansi_download"
    name = f"{job['kind']}_{job['id']}.{'ansi.' if ansi else ''}txt"

    async def parts() -> AsyncIterator[bytes]:
        held: list[str] = []
        size = 0
        async for event in job_output.pieces(call, job):
            held.append(job_output.text_of(event))
            size += len(held[-1])
            if size >= _SENT_AT_ONCE:
                yield _encoded(held, ansi=ansi)
                held, size = [], 0
        yield _encoded(held, ansi=ansi)

    return Stream(
        parts(),
        media_type="text/plain",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
        status_code=200,
    )


def _encoded(texts: list[str], *, ansi: bool) -> bytes:
    text = "".join(texts)
    return (text if ansi else stdout.plain(text)).encode()


def _accepted(call: Call) -> str:
    accept = call.request.headers.get("accept", "")
    if accept.startswith("application/json"):
        return "json"
    return "txt" if accept.startswith("text/plain") else "api"


def _number(call: Call, name: str) -> int | None:
    text = call.parameter(name)
    digits = text.removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) <= _DIGITS_MAX else None
