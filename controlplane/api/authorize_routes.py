"""The page on which a user allows an application a token: OAuth 2's authorization endpoint.

Code grant with PKCE (RFC 6749 4.1, RFC 7636). What is wrong with the application or its address is
told to the user; everything else goes back to the application.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from litestar import Response
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from controlplane.api.call import Call
from controlplane.api.codes import Code, Codes
from controlplane.api.guards import FORM
from controlplane.api.login_routes import csrf_cookie, html_page, token_fits
from controlplane.api.oauth_clients import NO_STORE, OAuthError, application
from controlplane.api.routing import routes
from controlplane.api.sessions import CSRF_COOKIE
from controlplane.api.tokens import SCOPES, fits
from controlplane.shell.read_model import Row
from ops import clock, ids
from schemas.resources.application import AUTHORIZATION_CODE, CONFIDENTIAL

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_FIELDS = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
)
_MEANING = {"read": "Read what you may read", "write": "Read and change what you may"}
_PROBLEM = "<!doctype html><title>Error</title><h1>Error: {error}</h1><p>{description}</p>\n"
_PAGE = """<!doctype html><title>Authorize {name}</title><h1>Authorize {name}?</h1>
<p>{username}, the application asks to:</p><ul>{scopes}</ul>
<form method="post" action="/api/o/authorize/">
{fields}
<button name="allow" value="">Cancel</button>
<button name="allow" value="Authorize">Authorize</button></form>
"""


class Asked(Struct, frozen=True, kw_only=True):
    """A request whose application and address are known to fit together."""

    application: Row
    fields: Mapping[str, str]
    redirect_uri: str

    @property
    def scope(self) -> str:
        """Return the scope asked for; all there is when none is named."""
        return self.fields.get("scope", "") or " ".join(SCOPES)


def authorize_handlers() -> list[HTTPRouteHandler]:
    """Return the route of the authorization endpoint."""
    methods = {"GET": (FORM, ask), "POST": (FORM, decide)}
    return routes("/api/o/authorize", methods, "Authorize")  # type: ignore[arg-type]  # literals


async def ask(call: Call) -> Response[Any]:
    """Show who is logged in what an application asks for; a trusted one is not asked about."""
    if call.way != "session":
        return _to_login(call)
    fields = dict(call.pairs)
    asked = await _read(call, fields)
    if isinstance(asked, Response):
        return asked
    if asked.application["skip_authorization"]:
        return await _allow(call, asked)
    return _consent(call, asked)


async def decide(call: Call) -> Response[Any]:
    """Take the user's answer, with the CSRF token of the page that asked."""
    fields = await call.form()
    if call.way != "session":
        return _to_login(call)
    if not token_fits(call, fields):
        return html_page("<!doctype html><h1>Forbidden</h1><p>CSRF verification failed.</p>", 403)
    asked = await _read(call, fields)
    if isinstance(asked, Response):
        return asked
    if not fields.get("allow"):
        return _back(asked, {"error": "access_denied"})
    return await _allow(call, asked)


async def _read(call: Call, fields: Mapping[str, str]) -> Asked | Response[Any]:
    """Return what is asked, or the answer to what may not be: a page while nobody is named."""
    try:
        asked = await _asked(call, fields)
    except OAuthError as problem:
        return _page_of(problem)
    try:
        _check(asked)
    except OAuthError as problem:
        return _back(asked, {"error": problem.error, "error_description": problem.description})
    return asked


async def _asked(call: Call, fields: Mapping[str, str]) -> Asked:
    """Find the application and where it is sent back to: only to an address it has named."""
    row = await application(call, fields.get("client_id", ""))
    if row is None:
        raise OAuthError("invalid_request", "Invalid client_id parameter value.")
    known = row["redirect_uris"].split()
    wanted = fields.get("redirect_uri", "")
    if not wanted and len(known) != 1:
        raise OAuthError("invalid_request", "Missing redirect URI.")
    if wanted and wanted not in known:
        raise OAuthError("invalid_request", "Mismatching redirect URI.")
    return Asked(application=row, fields=fields, redirect_uri=wanted or known[0])


def _check(asked: Asked) -> None:
    """Raise what the application is told to be wrong with its request."""
    fields, row = asked.fields, asked.application
    if fields.get("response_type") != "code":
        missing = "Missing response_type parameter." if not fields.get("response_type") else ""
        raise OAuthError("invalid_request" if missing else "unsupported_response_type", missing)
    if row["authorization_grant_type"] != AUTHORIZATION_CODE:
        raise OAuthError("unauthorized_client")
    if not fits(asked.scope):
        raise OAuthError("invalid_scope")
    challenge = fields.get("code_challenge", "")
    if not challenge:
        if row["client_type"] == CONFIDENTIAL:
            return
        raise OAuthError("invalid_request", "Code challenge required.")
    if fields.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "Transform algorithm not supported.")
    if not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "Invalid code challenge.")


async def _allow(call: Call, asked: Asked) -> Response[Any]:
    codes: Codes = call.request.app.state.codes
    code = Code(
        application=asked.application["id"],
        user=call.who.id,
        username=call.who.username,
        redirect_uri=asked.fields.get("redirect_uri", ""),
        scope=asked.scope,
        challenge=asked.fields.get("code_challenge", ""),
        made=clock.now().timestamp(),
    )
    return _back(asked, {"code": await codes.keep(code)})


def _back(asked: Asked, told: Mapping[str, str]) -> Response[Any]:
    """Send the user back to the application, with its state as it gave it."""
    pairs = {name: value for name, value in told.items() if value}
    if "state" in asked.fields:
        pairs["state"] = asked.fields["state"]
    joint = "&" if "?" in asked.redirect_uri else "?"
    location = f"{asked.redirect_uri}{joint}{urlencode(pairs, errors='replace')}"
    return Response(content=b"", status_code=302, headers={"Location": location, **NO_STORE})


def _to_login(call: Call) -> Response[Any]:
    query = call.request.scope["query_string"].decode("latin-1")
    location = f"/api/login/?next={quote(f'{call.path}?{query}', safe='')}"
    return Response(content=b"", status_code=302, headers={"Location": location, **NO_STORE})


def _consent(call: Call, asked: Asked) -> Response[Any]:
    token = call.request.cookies.get(CSRF_COOKIE, "") or ids.new_token()
    sent = {name: asked.fields[name] for name in _FIELDS if name in asked.fields}
    fields = "\n".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in {**sent, "csrfmiddlewaretoken": token}.items()
    )
    scopes = "".join(f"<li>{_MEANING[word]}</li>" for word in asked.scope.split())
    body = _PAGE.format(
        name=escape(asked.application["name"]),
        username=escape(call.who.username),
        scopes=scopes,
        fields=fields,
    )
    return html_page(body, 200, (csrf_cookie(call, token),))


def _page_of(problem: OAuthError) -> Response[Any]:
    error, description = escape(problem.error), escape(problem.description)
    return html_page(_PROBLEM.format(error=error, description=description), 400)
