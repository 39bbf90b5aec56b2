"""Events, recaps and output of unified jobs (``api.md`` 3.21, 3.22, 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import pagination
from controlplane.api.call import Call, answer
from controlplane.api.errors import Refusal
from controlplane.api.guards import needs
from controlplane.api.job_lists import describe_list, describe_one
from controlplane.api.job_output import ids_of, job_of, whole
from controlplane.api.job_render import PLURAL, render_event, render_host_summary
from controlplane.api.listing import Within, find
from controlplane.api.negotiation import rendering
from controlplane.api.routing import Endpoint, routes
from controlplane.api.stdout_routes import show_stdout
from controlplane.api.where import AllOf, Sql, Where
from controlplane.domain import event_tree
from controlplane.domain.event_tree import Line
from controlplane.shell.read_model import Row, View
from schemas.status import JobKind

EVENT_KINDS = tuple(kind for kind in JobKind if kind is not JobKind.WORKFLOW_JOB)
"""Kinds of jobs with events; a workflow job's are those of its jobs."""
_OF_ATTEMPT = '{t}."id" between {0} and {1} and {t}."job_day" = {2}'
_IN_TURN = frozenset({"start_line", "counter", "id"})
"""Orders that are one: lines are numbered as events come, and so are the events' ids."""
_NEWEST_FIRST = frozenset({JobKind.AD_HOC_COMMAND, JobKind.INVENTORY_UPDATE, JobKind.SYSTEM_JOB})
"""Kinds whose events AWX lists from the last one on, unless it is told otherwise."""
_CHILDREN = (
    '{t}."parent_uuid" = {0} and {t}."job" = {1}'
    ' and hashtext({t}."parent_uuid") = hashtext({0}::text)'
)
_OF_GROUP = '{t}."%s" in (select l."target" from "group_hosts" l where l."id" = {0})'
_OF_HOST = '{t}."%s" = {0}'


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
        ("host", "hosts", _OF_HOST),
        ("group", "groups", _OF_GROUP),
    ):
        read = needs("read", above)
        base = f"/api/v2/{plural}/{{key:str}}"
        for name, show, kind in (
            ("job_host_summaries", _recaps_of(above, condition), "job_host_summary"),
            ("job_events", _of_hosts("job_event", condition % "host"), "job_event"),
        ):
            handlers += routes(f"{base}/{name}", {"GET": (read, show)}, (read, describe_list(kind)))
    ad_hoc, read = "ad_hoc_command_event", needs("read", "host")
    handlers += routes(
        "/api/v2/hosts/{key:str}/ad_hoc_command_events",
        {"GET": (read, _of_hosts(ad_hoc, _OF_HOST % "host"))},
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
        job = await job_of(view, call.target.id)
        within = await events_of(view, job, call.pairs)
        return await _events_page(call, view, job, within)


async def show_tree(call: Call) -> Response[Any]:
    """Answer how many events stand below each, once all of a job's are there."""
    async with call.read() as view:
        job = await job_of(view, call.target.id)
        state = await view.named_row("job_output_state", job["id"], job["attempt"])
        if state is None or not await view.named("jobs_processed", [job["id"]]):
            return answer({**event_tree.summary([]), "event_processing_finished": False})
        rows = await view.named("job_event_tree", *ids_of(job), state["job_day"])
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
        job = await job_of(view, event["job"])
        below = Sql(text=_CHILDREN, values=(event["uuid"], job["id"]))
        within = await events_of(view, job, call.pairs, below)
        return await _events_page(call, view, job, within)


async def show_event(call: Call) -> Response[Any]:
    """Answer one event, its output whole."""
    async with call.read() as view:
        event = await _event(view, call.target.id)
        job = await job_of(view, event["job"])
    event = await whole(call, event)
    return answer(render_event(event, job, truncate=False))


async def show_summaries(call: Call) -> Response[Any]:
    """Answer the recap of a job, a row a host."""
    async with call.read() as view:
        job = await job_of(view, call.target.id)
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
        job = await job_of(view, row["job"])
    return answer(render_host_summary(row, job))


def _recaps_of(above: str, condition: str) -> Endpoint:
    """Lines of recaps; what is in a constructed inventory is named by them beside the original."""

    async def show(call: Call) -> Response[Any]:
        async with call.read() as view:
            around = await view.named_row(f"kind_around_{above}", call.target.id)
            constructed = around is not None and around["kind"] == "constructed"
            text = condition % ("constructed_host" if constructed else "host")
            return await _page(call, view, "job_host_summary", text, render_host_summary)

    return show


def _of_hosts(kind: str, condition: str) -> Endpoint:
    async def show(call: Call) -> Response[Any]:
        render = partial(render_event, truncate=True, limit=_cut_at(call))
        async with call.read() as view:
            return await _page(call, view, kind, condition, render)

    return show


async def _page(
    call: Call, view: View, kind: str, condition: str, render: Callable[[Row, Row], Any]
) -> Response[Any]:
    """Answer a page of what hangs on the object asked for, each rendered with its job."""
    where = Sql(text=condition, values=(call.target.id,))
    found = await find(call, view, kind, Within(where=where))
    jobs = {number: await job_of(view, number) for number in {r["job"] for r in found.rows}}
    rows = [render(row, jobs[row["job"]]) for row in found.rows]
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, rows))


async def _events_page(call: Call, view: View, job: Row, within: Within | None) -> Response[Any]:
    truncate = not call.parameter("no_truncate")
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
        render_event(await whole(call, row), job, truncate=truncate, limit=cut_at)
        for row in found.rows
    ]
    if limit.isdecimal():
        return answer({"results": rows}, headers=headers)
    body = pagination.envelope(found.page, call.path, call.pairs, found.count, rows)
    return answer(body, headers=headers)


def _cut_at(call: Call) -> int:
    """Return after how many characters lists cut an event's output."""
    return call.services.settings_store.integer("EVENT_STDOUT_MAX_BYTES_DISPLAY")


async def events_of(
    view: View, job: Row, pairs: Sequence[tuple[str, str]], *more: Where
) -> Within | None:
    """Return the condition of a job's events, and more of them; None while it has none."""
    state = await view.named_row("job_output_state", job["id"], job["attempt"])
    if state is None:
        return None
    more = (*more, *narrowed(job["id"], pairs))
    of_attempt = Sql(text=_OF_ATTEMPT, values=(*ids_of(job), state["job_day"]))
    newest_first = JobKind(job["kind"]) in _NEWEST_FIRST
    return Within(
        where=AllOf(parts=(of_attempt, *more)),
        first='t."id" desc' if newest_first else 't."id"',
        same=frozenset(f"-{name}" for name in _IN_TURN) if newest_first else _IN_TURN,
        count=None if more else state["events"],
    )


def narrowed(job: int, pairs: Sequence[tuple[str, str]]) -> tuple[Where, ...]:
    """Return what filters of a job's events imply in terms of the indexes that serve them.

    Names are of any length, so their hashes are indexed; the filters themselves are asked as well.
    """
    found: list[Where] = []
    for name, value in pairs:
        if name in ("task", "host_name", "event", "parent_uuid") and value:
            text = f'{{t}}."job" = {{0}} and hashtext({{t}}."{name}") = hashtext({{1}}::text)'
            found.append(Sql(text=text, values=(job, value.replace("\x00", ""))))
        elif name in ("failed", "changed") and value.lower() in ("true", "1", "t"):
            found.append(Sql(text=f'{{t}}."job" = {{0}} and {{t}}."{name}"', values=(job,)))
    return tuple(found)


async def _event(view: View, number: int) -> Row:
    row = await view.named_row("job_event_by_id", number)
    if row is None:
        raise Refusal(404, {"detail": "Not found."})
    return row
