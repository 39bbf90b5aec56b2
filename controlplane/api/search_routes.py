"""Searching a job's output for a text: which lines it stands in, and what printed them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import pagination, stdout
from controlplane.api.call import Call, answer
from controlplane.api.errors import Refusal
from controlplane.api.event_routes import EVENT_KINDS, events_of
from controlplane.api.guards import needs
from controlplane.api.job_output import job_of, text_of
from controlplane.api.job_render import PLURAL
from controlplane.api.listing import find
from controlplane.api.routing import routes
from controlplane.api.tables import table_of
from controlplane.api.where import Compare
from controlplane.shell.read_model import Row

LINES_MAX = 100
"""Of one event at most so many lines are shown; ``matches`` counts all of them."""
TEXT_MAX = 1000
LINE_MAX = 2000


def search_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of the search, one for each kind of job that has events."""
    handlers: list[HTTPRouteHandler] = []
    for kind in EVENT_KINDS:
        path = f"/api/playlog/{PLURAL[kind]}/{{key:str}}/search"
        handlers += routes(path, {"GET": (needs("read", kind), search_output)}, "Output Search")
    return handlers


async def search_output(call: Call) -> Response[Any]:
    """Answer a page of the events that printed a text, in order, each with its lines."""
    text = call.parameter("text").replace("\x00", "")
    if not text:
        raise Refusal(400, {"text": ["This field is required."]})
    if len(text) > TEXT_MAX:
        words = f"Ensure this field has no more than {TEXT_MAX} characters."
        raise Refusal(400, {"text": [words]})
    asked = list(call.pairs)
    call.pairs = [pair for pair in asked if pair[0] != "text"]
    printed = table_of("job_event").columns["stdout"]
    contains = Compare(column=printed, lookup="icontains", value=text)
    async with call.read() as view:
        job = await job_of(view, call.target.id)
        within = await events_of(view, job, call.pairs, contains)
        if within is None:
            page = pagination.read(asked)
            return answer(pagination.envelope(page, call.path, asked, 0, []))
        found = await find(call, view, "job_event", within, open_list=True)
    rows = [_matches(row, text) for row in found.rows]
    return answer(pagination.envelope(found.page, call.path, asked, found.count, rows))


def _matches(event: Row, text: str) -> dict[str, Any]:
    lines = list(_lines(event, text))
    return {
        "id": event["id"],
        "counter": event["counter"],
        "event": event["event"],
        "host": event["host"],
        **{name: event[name] for name in ("host_name", "play", "task", "role")},
        "failed": event["failed"],
        "changed": event["changed"],
        "matches": len(lines),
        "lines": lines[:LINES_MAX],
    }


def _lines(event: Row, text: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of an event that hold a text; they are counted from 0, as events' are."""
    wanted = text.lower()
    for number, line in enumerate(stdout.lines(text_of(event)), event["start_line"]):
        shown = stdout.plain(line).rstrip("\r\n")
        if wanted in line.lower() or wanted in shown.lower():
            yield {"line": number, "text": shown[:LINE_MAX]}
