"""Events, recaps and output of unified jobs (``api.md`` 3.21, 3.22, 6)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from controlplane.api import pagination, stdout
from controlplane.api.call import Call, answer
from controlplane.api.errors import Refusal
from controlplane.api.guards import needs
from controlplane.api.job_lists import describe_list, describe_one
from controlplane.api.job_render import PLURAL, render_event, render_host_summary
from controlplane.api.listing import Within, find
from controlplane.api.negotiation import rendering
from controlplane.api.routing import Endpoint, routes
from controlplane.api.where import Sql
from controlplane.domain import event_tree
from controlplane.domain.event_tree import Line
from controlplane.shell.read_model import Row, View
from ops.blobs import Blobs
from schemas.output import event_id
from schemas.status import JobKind

EVENT_KINDS = tuple(kind for kind in JobKind if kind is not JobKind.WORKFLOW_JOB)
"""Kinds of jobs with events; a workflow job's are those of its jobs."""
STDOUT_PAGE = 1000
_FORMATS = frozenset({"api", "html", "txt", "ansi", "json", "txt_download", "ansi_download"})
_OF_ATTEMPT = '{t}."id" between {0} and {1} and {t}."job_day" = {2}'
_IN_TURN = frozenset({"start_line", "counter", "id"})
"""Orders that are one: lines are numbered as events come, and so are the events' ids."""
_CHILDREN = _OF_ATTEMPT + ' and {t}."parent_uuid" = {3}'
_OF_GROUP = '{t}."host" in (select l."target" from "group_hosts" l where l."id" = {0})'


def event_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of events, host summaries and stdout."""
    handlers: list[HTTPRouteHandler] = []
    events, recap = describe_list("job_event"), describe_list("job_host_summary")
    for job_kind in EVENT_KINDS:
        read = needs("read", job_kind)
        base = f"/api/v2/{PLURAL[job_kind]}/{{key:str}}"
        name = "job_events" if job_kind is JobKind.JOB else "events"
        handlers += routes(f"{base}/{name}", {"GET": (read, show_events)}, (read, events))
        if job_kind is JobKind.SYSTEM_JOB:
            continue
        written = rendering(read, "text/html", "text/plain", "application/json")
        handlers += routes(f"{base}/stdout", {"GET": (written, show_stdout)}, "Job Stdout")
    job = needs("read", "job")
    event = needs("read", "job_event")
    summary = needs("read", "job_host_summary")
    one_event, line = describe_one("job_event"), describe_one("job_host_summary")
    for path, opt, endpoint, described in (
        ("/api/v2/jobs/{key:str}/job_host_summaries", job, show_summaries, recap),
        ("/api/v2/job_events/{key:str}", event, show_event, one_event),
        ("/api/v2/job_events/{key:str}/children", event, show_children, events),
        ("/api/v2/job_host_summaries/{key:str}", summary, show_summary, line),
    ):
        handlers += routes(path, {"GET": (opt, endpoint)}, (opt, described))
    handlers += routes(
        "/api/v2/jobs/{key:str}/job_events/children_summary",
        {"GET": (job, show_tree)},
        "Job Events Children Summary",
    )
    for above, plural, condition in (
        ("host", "hosts", '{t}."host" = {0}'),
        ("group", "groups", _OF_GROUP),
    ):
        read = needs("read", above)
        base = f"/api/v2/{plural}/{{key:str}}"
        for name, kind in (("job_host_summaries", "job_host_summary"), ("job_events", "job_event")):
            show = _of_hosts(kind, condition)
            handlers += routes(f"{base}/{name}", {"GET": (read, show)}, (read, describe_list(kind)))
    ad_hoc, read = "ad_hoc_command_event", needs("read", "host")
    handlers += routes(
        "/api/v2/hosts/{key:str}/ad_hoc_command_events",
        {"GET": (read, _of_hosts(ad_hoc, '{t}."host" = {0}'))},
        (read, describe_list(ad_hoc)),
    )
    handlers += routes(
        "/api/v2/ad_hoc_command_events/{key:str}",
        {"GET": (needs("read", ad_hoc), show_event)},
        (needs("read", ad_hoc, missing=True), describe_one(ad_hoc)),
    )
    return handlers


async def show_events(call: Call) -> Response[Any]:
    """Answer a page of a job's events by start line; ``limit`` gives that many without a count."""
    async with call.read() as view:
        job = await _job(view, call.target.id)
        within = await _events_of(view, job, _OF_ATTEMPT)
        return await _events_page(call, view, job, within)


async def show_tree(call: Call) -> Response[Any]:
    """Answer how many events stand below each, once all of a job's are there."""
    async with call.read() as view:
        job = await _job(view, call.target.id)
        state = await view.named_row("job_output_state", job["id"], job["attempt"])
        if state is None or not await view.named("jobs_processed", [job["id"]]):
            return answer({**event_tree.summary([]), "event_processing_finished": False})
        rows = await view.named("job_event_tree", *_ids(job), state["job_day"])
    return answer(
        event_tree.summary(
            Line(
                counter=row["counter"],
                event=row["event"],
                uuid=row["uuid"],
                parent=row["parent_uuid"] or "",
            )
            for row in rows
        )
    )


async def show_children(call: Call) -> Response[Any]:
    """Answer the events whose parent is this one."""
    async with call.read() as view:
        event = await _event(view, call.target.id)
        job = await _job(view, event["job"])
        within = await _events_of(view, job, _CHILDREN, event["uuid"])
        return await _events_page(call, view, job, within)


async def show_event(call: Call) -> Response[Any]:
    """Answer one event, its output whole."""
    async with call.read() as view:
        event = await _event(view, call.target.id)
        job = await _job(view, event["job"])
    whole = await _whole(call, event)
    return answer(render_event(whole, job, truncate=False))


async def show_summaries(call: Call) -> Response[Any]:
    """Answer the recap of a job, a row a host."""
    async with call.read() as view:
        job = await _job(view, call.target.id)
        where = Sql(text='{t}."job" = {0}', values=(job["id"],))
        found = await find(call, view, "job_host_summary", Within(where=where), open_list=True)
    rows = [render_host_summary(row, job) for row in found.rows]
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, rows))


async def show_summary(call: Call) -> Response[Any]:
    """Answer one host's line of a recap."""
    async with call.read() as view:
        row = await view.named_row("job_host_summary_by_id", call.target.id)
        if row is None:
            raise Refusal(404, {"detail": "Not found."})
        job = await _job(view, row["job"])
    return answer(render_host_summary(row, job))


def _of_hosts(kind: str, condition: str) -> Endpoint:
    async def show(call: Call) -> Response[Any]:
        async with call.read() as view:
            where = Sql(text=condition, values=(call.target.id,))
            found = await find(call, view, kind, Within(where=where))
            jobs = {number: await _job(view, number) for number in {r["job"] for r in found.rows}}
        if kind == "job_host_summary":
            rows = [render_host_summary(row, jobs[row["job"]]) for row in found.rows]
        else:
            limit = _cut_at(call)
            rows = [
                render_event(row, jobs[row["job"]], truncate=True, limit=limit)
                for row in found.rows
            ]
        return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, rows))

    return show


async def _events_page(call: Call, view: View, job: Row, within: Within | None) -> Response[Any]:
    truncate = call.parameter("no_truncate").lower() not in ("1", "true")
    events_max = call.services.settings_store.integer("MAX_UI_JOB_EVENTS")
    headers = {"X-UI-Max-Events": str(events_max)}
    if within is None:
        page = pagination.read(call.pairs)
        return answer(pagination.envelope(page, call.path, call.pairs, 0, []), headers=headers)
    limit = call.parameter("limit")
    if limit.isdecimal():
        call.pairs = [
            *(pair for pair in call.pairs if pair[0] not in ("page_size", "limit")),
            ("page_size", limit),
        ]
    found = await find(call, view, "job_event", within, open_list=True)
    cut_at = _cut_at(call)
    rows = [
        render_event(await _whole(call, row), job, truncate=truncate, limit=cut_at)
        for row in found.rows
    ]
    if limit.isdecimal():
        return answer({"results": rows}, headers=headers)
    body = pagination.envelope(found.page, call.path, call.pairs, found.count, rows)
    return answer(body, headers=headers)


def _cut_at(call: Call) -> int:
    """Return after how many characters lists cut an event's output."""
    return call.services.settings_store.integer("EVENT_STDOUT_MAX_BYTES_DISPLAY")


async def _events_of(view: View, job: Row, condition: str, *more: Any) -> Within | None:
    """Return the condition of a job's events; None while it has none."""
    state = await view.named_row("job_output_state", job["id"], job["attempt"])
    if state is None:
        return None
    first, last = _ids(job)
    where = Sql(text=condition, values=(first, last, state["job_day"], *more))
    count = state["events"] if condition == _OF_ATTEMPT else None
    return Within(where=where, first='t."id"', same=_IN_TURN, count=count)


def _ids(job: Row) -> tuple[int, int]:
    first = event_id(job["id"], job["attempt"], 0)
    return first, first + (1 << 24) - 1


async def _whole(call: Call, event: Row) -> Row:
    """Return an event with the oversized part that stands in BLOBS."""
    if event["body"] is None:
        return event
    try:
        raw = await Blobs(call.services.nats).get(event["body"])
    except KeyError:
        return event
    body: dict[str, msgspec.Raw] = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return {
        **dict(event),
        "stdout": msgspec.json.decode(body["stdout"]),
        "event_data": bytes(body["event_data"]).decode(),
    }


async def show_stdout(call: Call) -> Response[Any]:
    """Answer a job's output in the form asked for; downloads are streamed, whatever their size."""
    form = call.parameter("format") or _accepted(call)
    if form not in _FORMATS:
        raise Refusal(404, {"detail": "Not found."})
    async with call.read() as view:
        job = await _job(view, call.target.id)
        state = await view.named_row("job_output_state", job["id"], job["attempt"])
    size = 0 if state is None else state["bytes"]
    if form.endswith("_download"):
        return _download(call, job, form)
    limit = call.services.settings_store.integer("STDOUT_MAX_BYTES_DISPLAY")
    if size > limit:
        return _shown(call, form, stdout.too_large(size, limit), (0, 1, 1))
    text = "".join([part async for part in _output(call, job)])
    lines = text.splitlines(keepends=True)
    first, last = stdout.line_range(
        len(lines), _number(call, "start_line"), _number(call, "end_line")
    )
    return _shown(call, form, "".join(lines[first:last]), (first, last, len(lines)))


def _shown(call: Call, form: str, text: str, lines: tuple[int, int, int]) -> Response[Any]:
    if form == "json":
        content = text
        if call.parameter("content_encoding") == "base64":
            content = base64.b64encode(text.encode()).decode()
        spread = {"start": lines[0], "end": lines[1], "absolute_end": lines[2]}
        return answer({"range": spread, "content": content})
    if form in ("txt", "ansi"):
        body = text if form == "ansi" else stdout.plain(text)
        return Response(body, media_type="text/plain; charset=utf-8", status_code=200)
    dark = call.parameter("dark") in ("1", "true")
    converted = stdout.html(text, dark=dark)
    if call.parameter("content_only") in ("1", "true"):
        return Response(converted, media_type="text/html", status_code=200)
    whole = stdout.page(f"Output of job {call.target.id}", converted, dark=dark)
    return Response(whole, media_type="text/html", status_code=200)


def _download(call: Call, job: Row, form: str) -> Response[Any]:
    ansi = form == "ansi_download"
    name = f"job_{job['id']}.{'ansi.' if ansi else ''}txt"

    async def parts() -> AsyncIterator[bytes]:
        async for part in _output(call, job):
            yield (part if ansi else stdout.plain(part)).encode()

    return Stream(
        parts(),
        media_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
        status_code=200,
    )


async def _output(call: Call, job: Row) -> AsyncIterator[str]:
    """Yield a job's output event by event, in bounded memory."""
    first, last = _ids(job)
    while True:
        async with call.read() as view:
            state = await view.named_row("job_output_state", job["id"], job["attempt"])
            if state is None:
                return
            rows = await view.named("job_events_page", first, last, state["job_day"], STDOUT_PAGE)
        for row in rows:
            whole = await _whole(call, row)
            if whole["stdout"]:
                text: str = whole["stdout"]
                yield text if text.endswith("\n") else text + "\r\n"
        if len(rows) < STDOUT_PAGE:
            return
        first = rows[-1]["id"] + 1


def _accepted(call: Call) -> str:
    accept = call.request.headers.get("accept", "")
    if accept.startswith("application/json"):
        return "json"
    return "txt" if accept.startswith("text/plain") else "api"


def _number(call: Call, name: str) -> int | None:
    text = call.parameter(name)
    digits = text.removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) < 10 else None  # noqa: PLR2004 - digits of a line number


async def _job(view: View, number: int) -> Row:
    row = await view.named_row("job_by_id", number)
    if row is None:
        raise Refusal(404, {"detail": "Not found."})
    return row


async def _event(view: View, number: int) -> Row:
    row = await view.named_row("job_event_by_id", number)
    if row is None:
        raise Refusal(404, {"detail": "Not found."})
    return row
