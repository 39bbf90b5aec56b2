"""Live: AWX's websocket, server-sent events, and short-lived NATS users for viewers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Response, WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import BaseRouteHandler, websocket
from litestar.response import Stream

from controlplane.api import guards, lasting, live_messages, visibility
from controlplane.api.call import Admitted, Call, answer
from controlplane.api.errors import PermissionDenied, Refusal
from controlplane.api.guards import LOGIN, needs
from controlplane.api.job_render import render_event
from controlplane.api.live_messages import JobFacts
from controlplane.api.negotiation import rendering
from controlplane.api.routing import routes
from controlplane.api.services import Services
from controlplane.api.websocket_session import LOGGED_OUT, TOO_SLOW, WebsocketSession
from controlplane.domain import access
from controlplane.domain.access import Principal
from controlplane.domain.numerals import whole
from controlplane.shell.live import TooSlow
from ops import clock
from ops.stopping import stopped
from schemas import subjects
from schemas.output import event_id
from schemas.status import TERMINAL, Status

CREDENTIALS_VALID = timedelta(minutes=10)
SEEN_WITHIN_S = 2.0
PROCESSED_WITHIN_S = 60.0
HISTORY_PAGE = 200
_POLL_S = 0.1


def live_handlers() -> list[BaseRouteHandler]:
    """Return the routes of everything live."""
    stream = rendering(needs("read", "job"), "text/event-stream", "application/json")
    update = rendering(needs("read", "project_update"), "text/event-stream", "application/json")
    return [
        websocket("/websocket", opt=LOGIN)(serve_websocket),
        websocket("/api/websocket", opt=LOGIN)(serve_websocket_below_api),
        *routes("/api/playlog/jobs/{key:str}/stream", {"GET": (stream, stream_job)}, "Job Stream"),
        *routes(
            "/api/playlog/project_updates/{key:str}/stream",
            {"GET": (update, stream_job)},
            "Project Update Stream",
        ),
        *routes(
            "/api/playlog/live_credentials", {"POST": (LOGIN, give_credentials)}, "Live Credentials"
        ),
    ]


async def serve_websocket(socket: WebSocket[Any, Any, Any]) -> None:
    """Serve AWX's websocket protocol to one client."""
    services: Services = socket.app.state.services
    admitted: Admitted = socket.scope["state"]["admitted"]
    if admitted.way == "session" and lasting.from_elsewhere(socket):
        raise PermissionDenied
    await socket.accept()
    await socket.send_json({"accept": True, "user": admitted.who.id})
    async with services.hub.viewer() as viewer:

        async def send(message: bytes) -> None:
            await socket.send_data(message.decode(), mode="text")

        session = WebsocketSession(Watcher(services, admitted.who), viewer, send)
        await _serve(socket, session, services)


async def serve_websocket_below_api(socket: WebSocket[Any, Any, Any]) -> None:
    """Serve the same protocol at AWX's newer address."""
    await serve_websocket(socket)


async def _serve(
    socket: WebSocket[Any, Any, Any], session: WebsocketSession, services: Services
) -> None:
    token = socket.cookies.get("csrftoken", "")

    right = lasting.Lasting(socket)

    async def recheck() -> None:
        login = await right.identify()
        if login is not None:
            await session.recheck(Watcher(services, login.principal))

    async def receive() -> None:
        while True:
            text = await socket.receive_text()
            await recheck()
            await session.receive(text, token)

    async def watch() -> None:
        while True:
            await asyncio.sleep(lasting.AGAIN_S)
            await recheck()

    tasks = [asyncio.create_task(each) for each in (receive(), session.run(), watch())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await _say_why(socket, session, next(iter(done)).exception())
    finally:
        session.close()
        await stopped(tasks)


async def _say_why(
    socket: WebSocket[Any, Any, Any], session: WebsocketSession, failure: BaseException | None
) -> None:
    """Close with the reason that ended the session; raises what is no reason to close."""
    match failure:
        case TooSlow():
            cursors = msgspec.json.encode({"cursors": session.cursors}).decode()
            await socket.close(code=TOO_SLOW, reason=f"too slow {cursors}"[:120])
        case lasting.LoggedOut():
            await socket.close(code=LOGGED_OUT, reason="logged out")
        case None | WebSocketDisconnect():
            return
        case _:
            raise failure


class Watcher:
    """What a websocket session asks of the read model, in the name of its user."""

    def __init__(self, services: Services, who: Principal) -> None:
        """Answer for one user."""
        self._services = services
        self._who = who
        self.user = who.id

    async def job(self, job: int, until: float | None = None) -> JobFacts | None:
        """Return a job's facts when the user may read it; waits for one not yet projected."""
        end = clock.monotonic() + SEEN_WITHIN_S if until is None else until
        while True:
            async with self._services.read.view() as view:
                row = await view.named_row("job_by_id", job) if 0 < job < 2**63 else None
                if row is not None:
                    facts = await visibility.load(view, row["kind"], job)
                    allowed = facts and access.may(self._who, "read", row["kind"], facts)
                    return _facts(row) if allowed else None
            if clock.monotonic() > end or not self._services.catch_up.position("jobs"):
                return None
            await asyncio.sleep(_POLL_S)

    async def final_counter(self, job: int) -> int | None:
        """Wait until all events of an ended job are readable."""
        end = clock.monotonic() + PROCESSED_WITHIN_S
        while clock.monotonic() < end:
            async with self._services.read.view() as view:
                if await view.named("jobs_processed", [job]):
                    row = await view.named_row("job_by_id", job)
                    return None if row is None else row["final_counter"] or 0
            await asyncio.sleep(_POLL_S)
        return None


def _facts(row: Any) -> JobFacts:
    project = row["project_id"] if row["kind"] == "project_update" else None
    return JobFacts(
        id=row["id"],
        kind=row["kind"],
        template=row["unified_job_template_id"],
        project=project,
        group=row["instance_group"],
    )


async def stream_job(call: Call) -> Response[Any]:
    """Stream a job's events and status as server-sent events, from ``Last-Event-ID`` on.

    The id of an event is its counter: history is read up to it and live goes on behind it.
    """
    cursor = whole(call.request.headers.get("last-event-id") or call.parameter("from") or "0")
    if cursor is None:
        raise Refusal(400, {"detail": "Last-Event-ID must be a counter."})
    return Stream(
        _job_stream(call, cursor),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
        status_code=200,
    )


async def _job_stream(call: Call, cursor: int) -> AsyncIterator[bytes]:
    """Yield history behind the cursor, then live frames; holes are healed from history."""
    job = call.target.id
    right = lasting.Lasting(call.request)
    async with call.services.hub.viewer() as viewer:
        await viewer.join(subjects.live_job("*", job))
        await viewer.join(subjects.job_status(job))
        shown = ""
        while await right.may("read", call.target.kind, job):
            async for counter, past in _history(call, job, cursor):
                cursor = counter
                yield past
            status, ended = await _status(call, job)
            if status != shown:
                shown = status
                yield _sse("status", msgspec.json.encode({"job": job, "status": status}))
            if ended:
                yield _sse("end", b"{}")
                return
            waiting = asyncio.ensure_future(viewer.next())
            try:
                await asyncio.wait_for(asyncio.shield(waiting), lasting.AGAIN_S)
            except TimeoutError:
                waiting.cancel()
                yield b": keep-alive\n\n"
                continue
            except TooSlow:
                yield _sse("too_slow", msgspec.json.encode({"cursor": cursor}))
                return
            message = waiting.result()
            if message.subject.startswith("live."):
                frame = live_messages.decode_frame(message.data)
                if frame.first == cursor + 1:
                    for event in frame.events:
                        body = msgspec.json.encode(live_messages.event_fields(frame, event))
                        yield _sse("job_event", body, event.counter)
                    cursor = frame.last


async def _history(call: Call, job: int, cursor: int) -> AsyncIterator[tuple[int, bytes]]:
    while True:
        async with call.read() as view:
            row = await view.named_row("job_by_id", job)
            state = await view.named_row("job_output_state", job, row["attempt"]) if row else None
            if row is None or state is None or state["last_counter"] <= cursor:
                return
            first = event_id(job, row["attempt"], cursor + 1)
            last = event_id(job, row["attempt"], (1 << 24) - 1)
            day = state["job_day"]
            rows = await view.named("job_events_page", first, last, day, HISTORY_PAGE)
        for each in rows:
            cursor = each["counter"]
            body = msgspec.json.encode(render_event(each, row, truncate=False))
            yield cursor, _sse("job_event", body, cursor)
        if not rows:
            return


async def _status(call: Call, job: int) -> tuple[str, bool]:
    """Return a job's status, and whether it has ended with all its events readable."""
    async with call.read() as view:
        row = await view.named_row("job_by_id", job)
        if row is None:
            return "deleted", True
        processed = bool(await view.named("jobs_processed", [job]))
    return row["status"], Status(row["status"]) in TERMINAL and processed


def _sse(event: str, data: bytes, number: int | None = None) -> bytes:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + data + b"\n\n"


async def give_credentials(call: Call) -> Response[Any]:
    """Mint a NATS user that may listen to the live output of jobs or organizations, for minutes."""
    body = await call.body()
    allowed: list[str] = []
    async with call.read() as view:
        for number in _numbers(body, "jobs"):
            row = await view.named_row("job_by_id", number)
            if row is None or not await guards.may(view, call.who, "read", row["kind"], number):
                raise PermissionDenied
            allowed.append(subjects.live_job(row["organization_id"] or 0, number))
            allowed.append(subjects.job_status(number))
        for number in _numbers(body, "organizations"):
            if not await guards.may(view, call.who, "audit", "organization", number):
                raise PermissionDenied
            allowed.append(subjects.live_organization(number))
    if not allowed:
        raise Refusal(400, {"jobs": ["Name the jobs or organizations to listen to."]})
    identity = call.services.identity
    if identity is None:
        raise Refusal(409, {"detail": "This NATS has no accounts: no users can be made."})
    expires = clock.now() + CREDENTIALS_VALID
    creds = identity.viewer_user(allowed, expires)
    return answer(
        {
            "url": call.services.settings.nats_url,
            "jwt": creds.jwt,
            "seed": creds.seed,
            "subjects": allowed,
            "expires": clock.iso(expires),
        },
        201,
    )


def _numbers(body: dict[str, Any], name: str) -> list[int]:
    given = body.get(name, [])
    if not isinstance(given, list) or not all(
        isinstance(each, int) and not isinstance(each, bool) and 0 < each < 2**63 for each in given
    ):
        raise Refusal(400, {name: ["Expected a list of ids."]})
    return given
