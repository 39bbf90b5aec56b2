"""The difference of two playbook runs: what they were launched with, and what came of each task."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import guards, pagination
from controlplane.api.call import Call, answer
from controlplane.api.errors import PermissionDenied, Refusal
from controlplane.api.guards import needs
from controlplane.api.job_output import ids_of, job_of
from controlplane.api.job_render import launched_by, time_of, url_of
from controlplane.api.routing import routes
from controlplane.domain import run_diff
from controlplane.domain.numerals import whole
from controlplane.shell.read_model import Row, View
from ops import clock

_NOWHERE = (0, -1)
"""Ids of no event: of a job that has printed nothing."""
_FILTERS = frozenset({"page", "page_size", "host_name", "task", "only_in_one", "format"})


def run_diff_handlers() -> list[HTTPRouteHandler]:
    """Return the route of the difference."""
    return routes(
        "/api/playlog/jobs/{key:str}/diff/{other:str}",
        {"GET": (needs("read", "job"), show_difference)},
        "Run Difference",
    )


async def show_difference(call: Call) -> Response[Any]:
    """Answer what differs between a job and another: launch records, and a page of results.

    Results are those of tasks that both ran; with ``only_in_one`` those of tasks that one ran.
    """
    unknown = sorted({name for name, _ in call.pairs} - _FILTERS)
    if unknown:
        raise Refusal(400, {"detail": f"A difference has no field named '{unknown[0]}'"})
    page = pagination.read(call.pairs)
    only = call.parameter("only_in_one").lower() in ("1", "true")
    async with call.read() as view:
        first = await job_of(view, call.target.id)
        second = await _other(call, view)
        asked = (call.parameter("host_name"), call.parameter("task"))
        rows = await view.named(
            "run_differences",
            *await _events(view, first),
            *await _events(view, second),
            not only,
            *(each.replace("\x00", "") for each in asked),
            page.size,
            page.offset,
        )
    count = rows[0]["total"] if rows else 0
    results = [_result(row) for row in rows]
    return answer(
        {
            "first": _brief(first),
            "second": _brief(second),
            "launch": run_diff.launch_differences(first, second),
            **pagination.envelope(page, call.path, call.pairs, count, results),
        }
    )


async def _other(call: Call, view: View) -> Row:
    """Return the job compared with; raises 404, and 403 where it may not be seen."""
    number = whole(str(call.request.path_params["other"]))
    row = None if number is None else await view.named_row("job_by_id", number)
    if row is None or row["kind"] != "job":
        raise Refusal(404, {"detail": "No Job matches the given query."})
    if not await guards.may(view, call.who, "read", "job", row["id"]):
        raise PermissionDenied
    return row


async def _events(view: View, job: Row) -> tuple[Any, ...]:
    state = await view.named_row("job_output_state", job["id"], job["attempt"])
    if state is None:
        return (*_NOWHERE, clock.now().date())
    return (*ids_of(job), state["job_day"])


def _result(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("play", "role", "task", "occurrence", "host_name")},
        "first": run_diff.outcome(row["first"]),
        "second": run_diff.outcome(row["second"]),
    }


def _brief(job: Row) -> dict[str, Any]:
    return {
        "id": job["id"],
        "name": job["name"],
        "url": url_of(job["kind"], job["id"]),
        "status": job["status"],
        "launched_by": launched_by(job),
        **{name: time_of(job[name]) for name in ("created", "started", "finished")},
    }
