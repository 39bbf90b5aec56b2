"""What only an event-sourced control plane can answer: a job's timeline, from the log itself."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer
from controlplane.api.guards import needs
from controlplane.api.routing import routes
from controlplane.domain import timeline
from schemas import subjects
from schemas.output import Phase

_phases = msgspec.json.Decoder(tuple[Phase, ...])


def history_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of job timelines."""
    handlers: list[HTTPRouteHandler] = []
    for kind, plural in (("job", "jobs"), ("project_update", "project_updates")):
        path = f"/api/playlog/{plural}/{{key:str}}/timeline"
        handlers += routes(path, {"GET": (needs("read", kind), show_timeline)}, "Timeline")
    return handlers


async def show_timeline(call: Call) -> Response[Any]:
    """Answer every transition of a job with its duration, and where the time went."""
    history = await call.services.store.load(subjects.job(call.target.id))
    async with call.read() as view:
        results = await view.named("job_results", [call.target.id])
    phases = _phases.decode(results[0]["phases"]) if results else ()
    return answer(
        {
            "transitions": msgspec.to_builtins(timeline.steps(history)),
            "phases": msgspec.to_builtins(timeline.spans(history, phases)),
        }
    )
