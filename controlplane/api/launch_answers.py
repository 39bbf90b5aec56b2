"""What every launch answers: the new job, and the same job to a request that is sent again."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Response

from controlplane.api import job_lists
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, Missing, Refusal
from controlplane.api.job_render import url_of
from controlplane.api.routing import Endpoint
from controlplane.api.writes import POSITION, context_of
from controlplane.domain.job import JOB
from controlplane.shell.launch_keys import Request
from controlplane.shell.launch_tools import Launched
from controlplane.shell.read_model import Row, View
from controlplane.shell.transact import fold_history
from schemas import subjects
from schemas.envelope import Actor, Context
from schemas.events.job import kind_of

JOBS = "jobs"
IDEMPOTENCY_KEY = "Idempotency-Key"
KEY_CHARACTERS_MAX = 255
REPLAYED = "Idempotent-Replayed"
"""Header of an answer that shows what an earlier request with the same key launched."""
DELETED = "What this Idempotency-Key launched was deleted."

Ignored = Callable[[Call], Awaitable[dict[str, Any] | None]]


def once(endpoint: Endpoint, ignored: Ignored | None = None, status: int = 201) -> Endpoint:
    """Return a launch that, for one key of one caller, happens once and answers alike.

    ``ignored`` finds what the body's ignored fields were.
    """

    async def handle(call: Call) -> Response[Any]:
        request = await request_of(call)
        if request is None:
            return await endpoint(call)
        done = await launched_before(call, request)
        if done is None:
            tools = msgspec.structs.replace(call.services.launch_tools, request=request)
            call.services = msgspec.structs.replace(call.services, launch_tools=tools)
            return await endpoint(call)
        fields = {} if ignored is None else await ignored(call)
        done = msgspec.structs.replace(done, ignored_fields=fields)
        kind = kind_launched(done)
        return await launched(call, done, kind, status=status, with_ignored=ignored is not None)

    return handle


async def launched_before(call: Call, request: Request) -> Launched | None:
    """Return what a request has launched; 404 when that was deleted, 422 for another's key."""
    tools = call.services.launch_tools
    number = await tools.keys.known(request)
    history = [] if number is None else await tools.store.load(subjects.job(number))
    state = fold_history(JOB, history)
    if number is None or state.launched is None:
        return None
    if state.deleted:
        raise Refusal(404, {"detail": DELETED}, {REPLAYED: "true"})
    return Launched(
        job=number,
        position=history[-1].sequence,
        record=state.launched,
        ignored_fields={},
        repeated=True,
    )


async def request_of(call: Call) -> Request | None:
    """Return what the caller's key stands for; None without a key."""
    key = call.request.headers.get(IDEMPOTENCY_KEY, "")
    if not key:
        return None
    if len(key) > KEY_CHARACTERS_MAX:
        raise BadRequest(f"{IDEMPOTENCY_KEY}: at most {KEY_CHARACTERS_MAX} characters.")
    cause = f"{call.who.id}:{key}"
    body = msgspec.json.encode(await call.body(), order="deterministic")
    asked = f"{call.about} {call.path.split('/')[-2]} ".encode() + body
    return Request(cause=cause, mark=hmac.new(cause.encode(), asked, "sha256").hexdigest())


async def launched(
    call: Call, done: Launched, kind: str, *, status: int = 201, with_ignored: bool = False
) -> Response[Any]:
    """Answer the job once the read model holds it, else from its launch record."""
    caught = await caught_up(call, done.position)
    head: dict[str, Any] = {kind: done.job}
    if with_ignored:
        head["ignored_fields"] = done.ignored_fields
    if caught:
        async with call.read() as view:
            head |= await job_lists.job_body(call.who, view, kind, done.job)
    else:
        head |= {
            "id": done.job,
            "type": kind,
            "url": url_of(kind, done.job),
            "status": "pending",
            "name": done.record.name if done.record else "",
            "related": {},
            "summary_fields": {},
        }
    again = {REPLAYED: "true"} if done.repeated else {}
    headers = {**again, **position_header(done.position), "Location": url_of(kind, done.job)}
    return answer(head, status, headers)


def kind_launched(done: Launched) -> str:
    """Return what a template's launch made: a job, or a workflow job of its slices."""
    return "job" if done.record is None else str(kind_of(done.record.record))


async def caught_up(call: Call, position: int) -> bool:
    """Wait for the read model to hold a job's event; False when that takes too long."""
    within_s = call.services.settings.write_wait_s
    return await call.services.catch_up.wait(JOBS, position, within_s)


def position_header(position: int) -> dict[str, str]:
    """Return the header that names where an event stands in JOBS."""
    return {POSITION: f"{JOBS}:{position}"}


def context_by(call: Call) -> Context:
    """Return the context of what the caller launches or ends."""
    return context_of(Actor(kind="user", name=call.who.username, id=call.who.id))


async def job_row(view: View, number: int) -> Row:
    """Return the row of a job that exists."""
    row = await view.named_row("job_by_id", number)
    if row is None:
        raise Missing
    return row
