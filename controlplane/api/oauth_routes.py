"""OAuth 2's token and revocation endpoints, for applications (RFC 6749, RFC 7009; ``api.md`` 1.4).

Grants: a user's name and password, an authorization code, a refresh token. A refresh token is good
for one use, and the token it came with ends with it; using it again ends what it was used for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import tokens
from controlplane.api.auth import Authenticator, LoginFailed
from controlplane.api.authorize_routes import authorize_handlers
from controlplane.api.call import Call, answer, empty
from controlplane.api.client_secrets import digest
from controlplane.api.codes import Code, Codes
from controlplane.api.guards import CLIENT
from controlplane.api.login_records import record
from controlplane.api.oauth_clients import NO_STORE, OAuthError, authenticated
from controlplane.api.routing import routes
from controlplane.api.tokens import SCOPES, Made, fits
from controlplane.api.writes import caught_up, position_header, submit_as
from controlplane.domain.errors import NotFound
from controlplane.shell import token_commands
from controlplane.shell.config_writer import Appended, Prepare
from controlplane.shell.read_model import Row
from ops import clock
from schemas.resources.application import AUTHORIZATION_CODE, PASSWORD

_BAD_PASSWORD = "Invalid credentials given."  # noqa: S105 - a sentence
INVALID_GRANT = "invalid_grant"


def oauth_handlers() -> list[HTTPRouteHandler]:
    """Return the routes below ``/api/o/``."""
    return [
        *authorize_handlers(),
        *routes("/api/o/token", {"POST": (CLIENT, give_token)}, "Token"),
        *routes("/api/o/revoke_token", {"POST": (CLIENT, revoke)}, "Revoke token"),
    ]


async def give_token(call: Call) -> Response[Any]:
    """Give an application a token for what it shows."""
    form = await call.form()
    match form.get("grant_type"):
        case "password":
            return await _by_password(call, form)
        case "authorization_code":
            return await _by_code(call, form)
        case "refresh_token":
            return await _by_refresh_token(call, form)
    raise OAuthError("unsupported_grant_type")


async def revoke(call: Call) -> Response[Any]:
    """End the application's token that is sent, or that of a refresh token; ignore others."""
    form = await call.form()
    client = await authenticated(call, form)
    secret = _needed(form, "token", "Missing token parameter.")
    async with call.read() as view:
        row = await view.named_row("token_of_application", digest(secret), client["id"])
    if row is not None:
        prepare = token_commands.revoke_token(row["id"])
        await caught_up(call, await submit_as(call, prepare, row["user"], row["username"]))
    return empty(200, NO_STORE)


async def _by_password(call: Call, form: Mapping[str, str]) -> Response[Any]:
    client = await authenticated(call, form)
    username = _needed(form, "username", "Request is missing username parameter.")
    password = _needed(form, "password", "Request is missing password parameter.")
    if client["authorization_grant_type"] != PASSWORD:
        raise OAuthError("unauthorized_client")
    scope = _scope(form, " ".join(SCOPES))
    authenticator: Authenticator = call.request.app.state.authenticator
    try:
        async with authenticator.password_line(username, password), call.read() as view:
            row = await authenticator.check_password(username, password, view, "password_grant")
    except LoginFailed as failure:
        await record(call.request, failure.username, failure.user, failure.way, accepted=False)
        raise OAuthError(INVALID_GRANT, _BAD_PASSWORD) from failure
    made = await tokens.make(call, row["id"], scope, application=client["id"])
    prepare = token_commands.create_token(made.created)
    return await _given(call, made, prepare, (row["username"], "password_grant"))


async def _by_code(call: Call, form: Mapping[str, str]) -> Response[Any]:
    """Exchange a code, once; a second time ends what it was exchanged for."""
    secret = _needed(form, "code", "Missing code parameter.")
    client = await authenticated(call, form)
    codes: Codes = call.request.app.state.codes
    found = await codes.find(secret)
    if found is None:
        await _end_spent(call, digest(secret), client)
        raise OAuthError(INVALID_GRANT)
    code, revision = found
    _check_code(code, client, form)
    if not await codes.use(secret, revision):
        raise OAuthError(INVALID_GRANT)
    made = await tokens.make(call, code.user, code.scope, application=client["id"])
    created = msgspec.structs.replace(made.created, spent=(digest(secret),))
    made = msgspec.structs.replace(made, created=created)
    prepare = token_commands.create_token(created)
    return await _given(call, made, prepare, (code.username, "authorization_code"))


def _check_code(code: Code, client: Row, form: Mapping[str, str]) -> None:
    """Raise ``invalid_grant`` unless this client was given the code, and for this address."""
    if client["authorization_grant_type"] != AUTHORIZATION_CODE:
        raise OAuthError("unauthorized_client")
    if code.application != client["id"]:
        raise OAuthError(INVALID_GRANT)
    if form.get("redirect_uri", "") != code.redirect_uri:
        raise OAuthError("invalid_request", "Mismatching redirect URI.")
    verifier = form.get("code_verifier", "")
    if code.challenge and not verifier:
        raise OAuthError("invalid_request", "Code verifier required.")
    if verifier and not code.challenge:
        raise OAuthError(INVALID_GRANT)
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    if code.challenge and not hmac.compare_digest(hashed.rstrip(b"="), code.challenge.encode()):
        raise OAuthError(INVALID_GRANT)


async def _by_refresh_token(call: Call, form: Mapping[str, str]) -> Response[Any]:
    secret = _needed(form, "refresh_token", "Missing refresh token parameter.")
    client = await authenticated(call, form)
    hashed = digest(secret)
    async with call.read() as view:
        row = await view.named_row("token_refreshed_by", hashed)
        user = row and await view.named_row("user_by_id", row["user_id"])
    if row is None or user is None or row["application"] != client["id"]:
        raise OAuthError(INVALID_GRANT)
    age = timedelta(seconds=call.services.login.refresh_token_s)
    if row["refresh_hash"] == hashed and row["created"] + age < clock.now():
        raise OAuthError(INVALID_GRANT, "The refresh token has expired.")
    scope = _scope(form, row["scope"])
    if not set(scope.split()) <= set(row["scope"].split()):
        raise OAuthError("invalid_scope")
    made = await tokens.make(call, user["id"], scope, row["description"], client["id"])
    prepare = token_commands.refresh_token(hashed, made.created)
    return await _given(call, made, prepare, (user["username"], "refresh_token"))


async def _given(call: Call, made: Made, prepare: Prepare, who: tuple[str, str]) -> Response[Any]:
    """Store a token and show it; ``who``: the user's name, and how it was asked for."""
    user, (username, way) = made.created.user, who
    try:
        appended = await submit_as(call, prepare, user, username)
    except NotFound as gone:
        raise OAuthError(INVALID_GRANT) from gone
    await caught_up(call, appended)
    await record(call.request, username, user, way, accepted=_made(appended))
    if not _made(appended):
        raise OAuthError(INVALID_GRANT)
    body = {
        "access_token": made.token,
        "expires_in": call.services.login.access_token_s,
        "token_type": "Bearer",
        "scope": made.created.scope,
        "refresh_token": made.refresh_token,
    }
    return answer(body, 200, {**NO_STORE, **position_header(appended)})


def _made(appended: Appended) -> bool:
    """Return whether a token came of a command; a used refresh token only ends one."""
    return appended.result is not None


async def _end_spent(call: Call, hashed: str, client: Row) -> None:
    """End the token that a code was exchanged for before: one of the two users of it stole it."""
    async with call.read() as view:
        row = await view.named_row("token_refreshed_by", hashed)
        user = row and await view.named_row("user_by_id", row["user_id"])
    if row is None or user is None or row["application"] != client["id"]:
        return
    prepare = token_commands.revoke_token(row["id"])
    await caught_up(call, await submit_as(call, prepare, user["id"], user["username"]))


def _needed(form: Mapping[str, str], name: str, missing: str) -> str:
    value = form.get(name, "")
    if not value:
        raise OAuthError("invalid_request", missing)
    return value


def _scope(form: Mapping[str, str], default: str) -> str:
    scope = form.get("scope", "").strip() or default
    if not fits(scope):
        raise OAuthError("invalid_scope")
    return scope
