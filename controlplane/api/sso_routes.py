"""Logging in elsewhere: ``/sso/login/``, ``/sso/complete/``, ``/sso/metadata/``, ``auth/``.

A login belongs to the browser that began it: a cookie binds them, and where to go afterwards is
kept here, never taken from what comes back. An identity provider of SAML posts its answer from
its own site, where the browser does not send that cookie: so the answer is checked, and the browser
comes for its session with a request of its own.
"""

from __future__ import annotations

import hmac
from typing import Any

import structlog
from litestar import Response
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from msgspec.structs import replace

from controlplane.api import login_routes
from controlplane.api.auth import Identity as Proved
from controlplane.api.call import Call, answer
from controlplane.api.errors import Missing
from controlplane.api.external_auth import ExternalAuth
from controlplane.api.guards import ANYBODY, CLIENT
from controlplane.api.login_records import record
from controlplane.api.routing import routes
from controlplane.domain.external import saml
from controlplane.shell.read_model import Row
from controlplane.sso.attempts import PROVED_S, Attempt, Unproved, digest, new_attempt
from controlplane.sso.backends import Backend, Configured
from controlplane.sso.saml import Saml
from ops import ids

COOKIE = "sso"
COOKIE_AGE_S = 900
TICKET = "ticket"
FIELD_MAX = 4096
_REFUSED = "<!doctype html><title>Log in</title><h1>Not logged in</h1><p>{}</p>"
REFUSED = "The identity provider's answer was refused. Start again from the login page."
AWAY = "The identity provider cannot be used now."

_log = structlog.get_logger()


def sso_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of logging in elsewhere."""
    complete = "/sso/complete/{name:str}"
    return [
        *routes("/api/v2/auth", {"GET": (ANYBODY, show)}, "Auth"),
        *routes("/sso/login/{name:str}", {"GET": (CLIENT, start)}, "Login"),
        *routes(complete, {"GET": (CLIENT, complete_by_get), "POST": (CLIENT, complete_by_post)}),
        *routes("/sso/metadata/{name:str}", {"GET": (CLIENT, metadata)}, "Metadata"),
    ]


async def show(call: Call) -> Response[Any]:
    """List the ways of logging in elsewhere, with where each begins and ends."""
    return answer(await _external(call).ways())


async def start(call: Call) -> Response[Any]:
    """Send the browser to an identity provider."""
    external = _external(call)
    backend, name, now = await _backend(call)
    browser = call.request.cookies.get(COOKIE, "")
    if not 0 < len(browser) <= FIELD_MAX:
        browser = ids.new_token()
    wanted = login_routes.local_path(call.parameter("next"))
    attempt = new_attempt(name, _idp(call, now), browser, wanted[:FIELD_MAX])
    try:
        url, request = await backend.start(attempt)
    except Unproved as reason:
        _log.warning("login elsewhere cannot start", backend=name, reason=str(reason))
        return login_routes.html_page(_REFUSED.format(AWAY), 503)
    await external.attempts.keep(replace(attempt, request=request))
    secure = external.base(call.request).startswith("https:")
    kept = Cookie(
        key=COOKIE,
        value=browser,
        path="/sso/",
        httponly=True,
        samesite="lax",
        secure=secure,
        max_age=COOKIE_AGE_S,
    )
    headers = {"Location": url, "Cache-Control": "no-store"}
    return Response(content=b"", status_code=302, headers=headers, cookies=[kept])


async def complete_by_get(call: Call) -> Response[Any]:
    """Open a session for a browser that comes back with a code, or with its ticket."""
    ticket = call.parameter(TICKET)
    if ticket:
        return await _redeem(call, ticket)
    return await _complete(call, dict(call.pairs), call.parameter("state"), posted=False)


async def complete_by_post(call: Call) -> Response[Any]:
    """Check an answer that an identity provider had the browser post."""
    fields = await call.form()
    state = fields.get("RelayState", "") or fields.get("state", "")
    return await _complete(call, fields, state, posted=True)


async def metadata(call: Call) -> Response[Any]:
    """Show identity providers what they need to know of this service."""
    backend, _, _ = await _backend(call)
    if not isinstance(backend, Saml):
        raise Missing
    try:
        return Response(content=backend.metadata(), status_code=200, media_type="text/xml")
    except Unproved as reason:
        return Response(content=str(reason), status_code=503, media_type="text/plain")


async def _complete(
    call: Call, fields: dict[str, str], state: str, *, posted: bool
) -> Response[Any]:
    external = _external(call)
    backend, name, _ = await _backend(call)
    username = ""
    try:
        attempt = await _attempt(call, name, state, posted=posted)
        identity = await backend.complete(fields, attempt)
        username = identity.username
        row = await external.user_of(identity, backend.wanted(identity))
    except Unproved as reason:
        return await _refused(call, name, username, reason)
    if not posted:
        return await _opened(call, name, row, attempt.wanted)
    ticket = ids.new_token()
    await external.attempts.keep(replace(attempt, state=ticket, user=row["id"]), PROVED_S)
    headers = {"Location": f"/sso/complete/{name}/?{TICKET}={ticket}", "Cache-Control": "no-store"}
    return Response(content=b"", status_code=303, headers=headers)


async def _attempt(call: Call, name: str, state: str, *, posted: bool) -> Attempt:
    """Return the login that an answer belongs to, once; raises Unproved."""
    attempt = await _external(call).attempts.take(state) if 0 < len(state) <= FIELD_MAX else None
    if attempt is None or attempt.backend != name or attempt.user:
        raise Unproved("no login is under way")
    if posted != (name == saml.NAME):
        raise Unproved("the answer came another way")
    if not posted and not _same_browser(call, attempt):
        raise Unproved("another browser began the login")
    return attempt


async def _redeem(call: Call, ticket: str) -> Response[Any]:
    """Open the session of a browser whose answer was checked a moment ago."""
    _, name, _ = await _backend(call)
    attempt = await _external(call).attempts.take(ticket) if len(ticket) <= FIELD_MAX else None
    if attempt is None or attempt.backend != name or not attempt.user:
        return await _refused(call, name, "", Unproved("no such ticket"))
    async with call.read() as view:
        row = await view.named_row("user_by_id", attempt.user)
    if row is None or not _same_browser(call, attempt):
        username = "" if row is None else row["username"]
        return await _refused(call, name, username, Unproved("another browser began the login"))
    return await _opened(call, name, row, attempt.wanted)


async def _opened(call: Call, name: str, row: Row, wanted: str) -> Response[Any]:
    identity = Proved(
        user=row["id"], username=row["username"], password_hash=row["password"], way=name
    )
    return await login_routes.log_in(call, identity, wanted)


async def _refused(call: Call, name: str, username: str, reason: Unproved) -> Response[Any]:
    _log.info("login elsewhere refused", backend=name, reason=str(reason))
    await record(call.request, username, None, name, accepted=False)
    return login_routes.html_page(_REFUSED.format(REFUSED), 401)


async def _backend(call: Call) -> tuple[Backend, str, Configured]:
    """Return the way that the path names; raises Missing for one that is not set up."""
    external = _external(call)
    now = await external.configured()
    name = str(call.request.path_params["name"])
    backend = external.providers.backend(name, now, external.base(call.request))
    if backend is None:
        raise Missing
    return backend, name, now


def _idp(call: Call, now: Configured) -> str:
    """Return which identity provider of SAML is asked: the only one where none is named."""
    named = call.parameter("idp")
    known = [idp for provider in now.saml for idp in provider.providers]
    return known[0] if not named and len(known) == 1 else named[:FIELD_MAX]


def _same_browser(call: Call, attempt: Attempt) -> bool:
    return hmac.compare_digest(digest(call.request.cookies.get(COOKIE, "")), attempt.browser)


def _external(call: Call) -> ExternalAuth:
    external: ExternalAuth = call.request.app.state.external
    return external
