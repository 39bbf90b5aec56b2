"""Logging in and out with a session, in AWX's form protocol (``api.md`` 1.4)."""

from __future__ import annotations

import hmac
from html import escape
from typing import Any
from urllib.parse import quote

from litestar import Response
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler

from controlplane.api.auth import Authenticator, Identity, LoginFailed
from controlplane.api.call import Call
from controlplane.api.errors import Refusal
from controlplane.api.external_auth import ExternalAuth
from controlplane.api.guards import FORM
from controlplane.api.login_records import record
from controlplane.api.negotiation import rendering
from controlplane.api.routing import routes
from controlplane.api.sessions import COOKIE, CSRF_COOKIE, secure, session_cookie
from ops import ids

CSRF_AGE_S = 31_449_600
ROOT = "/api/"
HTML = ("text/", "*/*")
_FORBIDDEN = "<!doctype html><h1>Forbidden</h1><p>CSRF verification failed.</p>"

_PAGE = """<!doctype html><title>Log in</title><h1>Log in</h1>
<form method="post" action="/api/login/">
<input name="username" autocomplete="username"><input name="password" type="password">
<input type="hidden" name="csrfmiddlewaretoken" value="{token}">
<input type="hidden" name="next" value="{wanted}"><button>Log in</button></form>
"""


def login_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of ``/api/login/`` and ``/api/logout/``."""
    return [
        *routes(
            "/api/login",
            {"GET": (rendering(FORM, "text/html"), show), "POST": (FORM, check_form)},
        ),
        *routes("/api/logout", {"GET": (FORM, log_out), "POST": (FORM, log_out)}),
    ]


def csrf_cookie(call: Call, token: str) -> Cookie:
    """Return the cookie that a script of ours reads and sends back as X-CSRFToken."""
    return Cookie(
        key=CSRF_COOKIE,
        value=token,
        path="/",
        samesite="lax",
        max_age=CSRF_AGE_S,
        secure=secure(call.request.scope),
    )


async def show(call: Call) -> Response[Any]:
    """Show the form, with a fresh CSRF token; 406 for who takes no page."""
    accept = call.request.headers.get("accept", "*/*")
    if not any(part.strip().startswith(HTML) for part in accept.split(",")):
        raise Refusal(406, {"detail": "Could not satisfy the request Accept header."})
    return await _form(call, 200, call.parameter("next"))


async def check_form(call: Call) -> Response[Any]:
    """Open a session for the right password: 302; a wrong one is 401, a missing token 403."""
    fields = await call.form()
    if not token_fits(call, fields):
        return html_page(_FORBIDDEN, 403)
    authenticator: Authenticator = call.request.app.state.authenticator
    username, password = fields.get("username", ""), fields.get("password", "")
    wanted = fields.get("next", "")
    try:
        async with authenticator.password_line(username, password), call.read() as view:
            row = await authenticator.check_password(username, password, view, "session")
    except LoginFailed as failure:
        await record(call.request, failure.username, failure.user, failure.way, accepted=False)
        return await _form(call, 401, wanted)
    identity = Identity(
        user=row["id"],
        username=row["username"],
        password_hash=row["password"],
        way=row["external_provider"] or "session",
    )
    return await log_in(call, identity, wanted)


async def log_in(call: Call, identity: Identity, wanted: str = ROOT) -> Response[Any]:
    """Open a session for somebody who has proved who they are, and go to the path ``wanted``.

    Every way of logging in with a browser ends here, whoever did the proving.
    """
    authenticator: Authenticator = call.request.app.state.authenticator
    session_id = await authenticator.log_in(call.request, identity)
    age_s = call.services.login.session_s
    return Response(
        content=b"",
        status_code=302,
        headers={
            "Location": local_path(wanted),
            "X-API-Session-Cookie-Name": COOKIE,
            "Session-Timeout": str(age_s),
        },
        cookies=[
            session_cookie(session_id, age_s, call.request.scope),
            Cookie(key="userLoggedIn", value="true", path="/"),
            csrf_cookie(call, ids.new_token()),
        ],
    )


async def log_out(call: Call) -> Response[Any]:
    """End the session, if there is one, and go to the root."""
    authenticator: Authenticator = call.request.app.state.authenticator
    session_id = call.request.cookies.get(COOKIE)
    if session_id:
        await authenticator.sessions.close(session_id)
    gone = [
        Cookie(key=name, value="", path="/", max_age=0)
        for name in (COOKIE, "userLoggedIn", "current_user")
    ]
    return Response(content=b"", status_code=302, headers={"Location": ROOT}, cookies=gone)


def token_fits(call: Call, fields: dict[str, str]) -> bool:
    """Return whether a form, or the header in its place, carries the token of its CSRF cookie."""
    cookie = call.request.cookies.get(CSRF_COOKIE, "")
    given = call.request.headers.get("x-csrftoken", "") or fields.get("csrfmiddlewaretoken", "")
    return bool(cookie) and hmac.compare_digest(cookie.encode(), given.encode(errors="replace"))


def local_path(wanted: str) -> str:
    """Return a path of this site, whatever a request wants; the root for anything else."""
    plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return wanted if plain and wanted.startswith("/") and not wanted.startswith("//") else ROOT


def html_page(body: str, status: int, cookies: tuple[Cookie, ...] = ()) -> Response[Any]:
    """Return a page that no other site may frame."""
    return Response(
        content=body,
        status_code=status,
        media_type="text/html",
        headers={"X-Frame-Options": "DENY", "Cache-Control": "no-store"},
        cookies=list(cookies),
    )


async def _form(call: Call, status: int, wanted: str) -> Response[Any]:
    token = ids.new_token()
    body = _PAGE.format(token=token, wanted=escape(local_path(wanted)))
    external: ExternalAuth = call.request.app.state.external
    for name, way in (await external.ways()).items():
        url = way["login_url"]
        address = f"{url}{'&' if '?' in url else '?'}next={quote(local_path(wanted), safe='')}"
        body += f'<p><a href="{escape(address)}">Log in with {escape(name)}</a></p>\n'
    return html_page(body, status, (csrf_cookie(call, token),))
