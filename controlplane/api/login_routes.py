"""Logging in and out with a session, in AWX's form protocol (``api.md`` 1.4)."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import parse_qs

from litestar import Response
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler

from controlplane.api.auth import Authenticator, LoginFailed
from controlplane.api.call import Call
from controlplane.api.guards import ANYBODY
from controlplane.api.login_records import record
from controlplane.api.routing import routes
from controlplane.api.sessions import AGE_S, COOKIE, CSRF_COOKIE
from ops import ids

CSRF_AGE_S = 31_449_600
FORM = "application/x-www-form-urlencoded"

_PAGE = """<!doctype html><title>Log in</title><h1>Log in</h1>
<form method="post" action="/api/login/">
<input name="username" autocomplete="username"><input name="password" type="password">
<input type="hidden" name="csrfmiddlewaretoken" value="{token}">
<input type="hidden" name="next" value="/api/"><button>Log in</button></form>
"""


def login_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of ``/api/login/`` and ``/api/logout/``."""
    return [
        *routes("/api/login", {"GET": (ANYBODY, show), "POST": (ANYBODY, log_in)}),
        *routes("/api/logout", {"GET": (ANYBODY, log_out), "POST": (ANYBODY, log_out)}),
    ]


def csrf_cookie(token: str) -> Cookie:
    """Return the cookie that a script of ours reads and sends back as X-CSRFToken."""
    return Cookie(key=CSRF_COOKIE, value=token, path="/", samesite="lax", max_age=CSRF_AGE_S)


async def show(_call: Call) -> Response[Any]:
    """Show the form, with a fresh CSRF token."""
    token = ids.new_token()
    return _page(_PAGE.format(token=token), 200, token)


async def log_in(call: Call) -> Response[Any]:
    """Open a session for the right password: 302; a wrong one is 401, a missing token 403."""
    form = parse_qs((await call.request.body()).decode(errors="replace"), keep_blank_values=True)
    fields = {name: values[-1] for name, values in form.items()}
    if not _token_fits(call, fields.get("csrfmiddlewaretoken", "")):
        return _page("<!doctype html><h1>Forbidden</h1><p>CSRF verification failed.</p>", 403, "")
    authenticator: Authenticator = call.request.app.state.authenticator
    username, password = fields.get("username", ""), fields.get("password", "")
    try:
        async with authenticator.passwords.line(username, password), call.read() as view:
            row = await authenticator.check_password(username, password, view, "session")
    except LoginFailed as failure:
        await record(call.request, failure.username, failure.user, "session", accepted=False)
        token = ids.new_token()
        return _page(_PAGE.format(token=token), 401, token)
    session_id = await authenticator.sessions.open(row["id"], row["password"])
    await record(call.request, username, row["id"], "session", accepted=True)
    return _opened(session_id, fields.get("next", ""))


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
    return Response(content=b"", status_code=302, headers={"Location": "/api/"}, cookies=gone)


def _token_fits(call: Call, in_form: str) -> bool:
    cookie = call.request.cookies.get(CSRF_COOKIE, "")
    given = call.request.headers.get("x-csrftoken", "") or in_form
    return bool(cookie) and hmac.compare_digest(cookie.encode(), given.encode())


def _opened(session_id: str, wanted: str) -> Response[Any]:
    local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return Response(
        content=b"",
        status_code=302,
        headers={
            "Location": wanted if local else "/api/",
            "X-API-Session-Cookie-Name": COOKIE,
            "Session-Timeout": str(AGE_S),
        },
        cookies=[
            Cookie(
                key=COOKIE, value=session_id, path="/", httponly=True, samesite="lax", max_age=AGE_S
            ),
            Cookie(key="userLoggedIn", value="true", path="/"),
            csrf_cookie(ids.new_token()),
        ],
    )


def _page(body: str, status: int, token: str) -> Response[Any]:
    return Response(
        content=body,
        status_code=status,
        media_type="text/html",
        cookies=[csrf_cookie(token)] if token else [],
    )
