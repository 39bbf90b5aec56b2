"""Personal access tokens, and OAuth 2's password grant for them (``api.md`` 1.4, 3.39)."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import listing, pagination, render, shown_options
from controlplane.api.auth import Authenticator, LoginFailed
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import BadRequest, Missing, PermissionDenied
from controlplane.api.guards import ANYBODY, LOGIN, needs
from controlplane.api.links import url_of
from controlplane.api.login_records import record
from controlplane.api.routing import routes
from controlplane.api.tables import Column, Table, column, forward, register
from controlplane.api.where import AllOf, Sql
from controlplane.api.writes import caught_up, position_header, submit, submit_as
from controlplane.domain.numerals import whole
from controlplane.shell import access_commands
from controlplane.shell.read_model import Row, View
from ops import clock, ids
from schemas.events.access import TokenCreated

LIFETIME_S = 31_536_000_000
"""AWX's default: a thousand years."""
HIDDEN = "************"
SCOPES = frozenset({"read", "write"})
_BAD_GRANT = {"error": "invalid_grant", "error_description": "Invalid credentials given."}

register(
    Table(
        kind="token",
        source='"token"',
        verbose="OAuth2AccessToken",
        columns={
            "id": column("id", "int"),
            "description": column("description", "str"),
            "scope": column("scope", "str"),
            "created": column("created", "time"),
            "modified": column("modified", "time"),
            "expires": column("expires", "time"),
            "user": Column(name="user", base="id", sql='{t}."user_id"'),
            "application": Column(name="application", base="id", sql="null::bigint"),
            "token": Column(name="token", base="str", sql='{t}."token_hash"', secret=True),
        },
        relations={"user": forward("user", "user", "user_id")},
        order=("id",),
        search=("description",),
    )
)


def token_handlers() -> list[HTTPRouteHandler]:
    """Return the routes about tokens."""
    handlers = [
        *routes("/api/v2/tokens", {"GET": (LOGIN, show_mine), "POST": (LOGIN, create_mine)}, _LIST),
        *routes(
            "/api/v2/tokens/{key:str}",
            {
                "GET": (LOGIN, show_one),
                "PUT": (LOGIN, change),
                "PATCH": (LOGIN, change),
                "DELETE": (LOGIN, remove),
            },
            (LOGIN, describe_one),
        ),
        *routes("/api/o/token", {"POST": (ANYBODY, password_grant)}, "Token"),
        *routes("/api/o/revoke_token", {"POST": (ANYBODY, revoke_grant)}, "Revoke token"),
    ]
    for name in ("tokens", "personal_tokens"):
        permission = needs("read", "user")
        handlers += routes(
            f"/api/v2/users/{{key:str}}/{name}",
            {"GET": (permission, show_of_user), "POST": (permission, create_for_user)},
            (permission, describe_list),
        )
    return handlers


async def describe_list(_call: Call) -> Response[Any]:
    """Describe a list of tokens."""
    return answer(shown_options.of_list("token", {"POST": _WRITABLE}))


async def describe_one(_call: Call) -> Response[Any]:
    """Describe one token."""
    return answer(shown_options.of_detail("token", {"PUT": _WRITABLE}))


_LIST = (LOGIN, describe_list)


async def show_mine(call: Call) -> Response[Any]:
    """List the caller's tokens; a superuser's list holds everybody's."""
    return await _page(call, None if call.who.superuser or call.who.auditor else call.who.id)


async def show_of_user(call: Call) -> Response[Any]:
    """List a user's tokens, which only the user and superusers see."""
    if not (call.who.superuser or call.who.auditor or call.who.id == call.target.id):
        raise PermissionDenied
    return await _page(call, call.target.id)


async def create_mine(call: Call) -> Response[Any]:
    """Make a token for the caller: 201, the only answer that shows it."""
    return await _create(call, call.who.id)


async def create_for_user(call: Call) -> Response[Any]:
    """Make a token for a user; only the user may."""
    if call.who.id != call.target.id:
        raise PermissionDenied
    return await _create(call, call.target.id)


async def show_one(call: Call) -> Response[Any]:
    """Show a token without showing it."""
    async with call.read() as view:
        row = await _owned(call, view)
        return answer((await _shown(view, [row]))[0])


async def change(call: Call) -> Response[Any]:
    """Change a token's description or scope."""
    body = await call.body()
    async with call.read() as view:
        row = await _owned(call, view)
    description = _text(body, "description", row["description"])
    scope = _scope(body, row["scope"])
    appended = await submit(call, access_commands.update_token(row["id"], description, scope))
    await caught_up(call, appended)
    changed = {**row, "description": description, "scope": scope}
    async with call.read() as view:
        return answer((await _shown(view, [changed]))[0], 200, position_header(appended))


async def remove(call: Call) -> Response[Any]:
    """End a token."""
    async with call.read() as view:
        row = await _owned(call, view)
    appended = await submit(call, access_commands.revoke_token(row["id"]))
    await caught_up(call, appended)
    return empty(204, position_header(appended))


async def password_grant(call: Call) -> Response[Any]:
    """Give a token for a name and password, as OAuth 2's password grant."""
    form = await _form(call)
    if form.get("grant_type") != "password":
        return answer({"error": "unsupported_grant_type"}, 400)
    authenticator: Authenticator = call.request.app.state.authenticator
    username, password = form.get("username", ""), form.get("password", "")
    try:
        async with authenticator.passwords.line(username, password), call.read() as view:
            row = await authenticator.check_password(username, password, view, "token")
    except LoginFailed as failure:
        await record(call.request, failure.username, failure.user, "token", accepted=False)
        return answer(_BAD_GRANT, 400)
    scope = _scope({"scope": form.get("scope") or "write"}, "write")
    secret, created = await _new(call, row["id"], "", scope)
    prepare = access_commands.create_token(created)
    appended = await submit_as(call, prepare, row["id"], row["username"])
    await caught_up(call, appended)
    body = {"access_token": secret, "expires_in": LIFETIME_S, "token_type": "Bearer"}
    return answer({**body, "scope": scope, "refresh_token": None}, 200, position_header(appended))


async def revoke_grant(call: Call) -> Response[Any]:
    """End the token that is sent: whoever holds it may; an unknown one is ignored."""
    digest = _digest((await _form(call)).get("token", ""))
    async with call.read() as view:
        row = await view.named_row("user_by_token", digest, clock.now())
    if row is not None:
        prepare = access_commands.revoke_token(row["token"])
        await caught_up(call, await submit_as(call, prepare, row["id"], row["username"]))
    return empty(200)


async def _form(call: Call) -> dict[str, str]:
    text = (await call.request.body()).decode(errors="replace")
    return {name: values[-1] for name, values in parse_qs(text).items()}


async def _create(call: Call, user: int) -> Response[Any]:
    body = await call.body()
    if body.get("application") is not None:
        message = f'Invalid pk "{body["application"]}" - object does not exist.'
        raise BadRequest({"application": [message]})
    secret, created = await _new(call, user, _text(body, "description", ""), _scope(body, "write"))
    appended = await submit(call, access_commands.create_token(created))
    await caught_up(call, appended)
    row = {
        "id": created.id,
        "user_id": user,
        "description": created.description,
        "scope": created.scope,
        "created": created.created,
        "modified": created.created,
        "expires": created.expires,
    }
    async with call.read() as view:
        shown = (await _shown(view, [row]))[0]
    return answer({**shown, "token": secret}, 201, position_header(appended))


async def _new(call: Call, user: int, description: str, scope: str) -> tuple[str, TokenCreated]:
    secret, now = ids.new_token(), clock.now()
    created = TokenCreated(
        id=(await call.services.numbers.take("token"))[0],
        user=user,
        description=description,
        scope=scope,
        token_hash=_digest(secret),
        created=now,
        expires=access_commands.expiry(now, LIFETIME_S),
    )
    return secret, created


async def _owned(call: Call, view: View) -> Row:
    """Return the row of the token in the path; another user's is 403."""
    number = whole(str(call.request.path_params["key"])) or 0
    row = await view.row('select t.* from "token" t where t."id" = $1', number)
    if row is None:
        raise Missing("OAuth2AccessToken")
    if not (call.who.superuser or row["user_id"] == call.who.id):
        raise PermissionDenied
    return row


async def _page(call: Call, user: int | None) -> Response[Any]:
    mine = AllOf(parts=()) if user is None else Sql(text='{t}."user_id" = {0}', values=(user,))
    async with call.read() as view:
        found = await listing.find(call, view, "token", listing.Within(where=mine), open_list=True)
        shown = await _shown(view, found.rows)
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, shown))


async def _shown(view: View, rows: list[Row]) -> list[dict[str, Any]]:
    users = await render.summarise(view, "user", sorted({row["user_id"] for row in rows}))
    return [
        {
            "id": row["id"],
            "type": "o_auth2_access_token",
            "url": url_of("token", row["id"]),
            "related": {"user": url_of("user", row["user_id"])},
            "summary_fields": {"user": users.get(("user", row["user_id"]), {})},
            "created": row["created"],
            "modified": row["modified"],
            "description": row["description"],
            "user": row["user_id"],
            "token": HIDDEN,
            "refresh_token": None,
            "application": None,
            "expires": row["expires"],
            "scope": row["scope"],
        }
        for row in rows
    ]


def _text(body: dict[str, Any], name: str, default: str) -> str:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadRequest({name: ["Not a valid string."]})
    text = str(value)
    if "\x00" in text or (
        not text.isprintable() and any("\ud800" <= each <= "\udfff" for each in text)
    ):
        raise BadRequest({name: ["Null characters are not allowed."]})
    return text


def _scope(body: dict[str, Any], default: str) -> str:
    scope = _text(body, "scope", default)
    if not scope.split() or not SCOPES.issuperset(scope.split()):
        message = "Must be a simple space-separated string with allowed scopes ['read', 'write']."
        raise BadRequest({"scope": [message]})
    return scope


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


_TEXT = {"type": "string", "required": False, "filterable": True, "hidden": False}
_WRITABLE: dict[str, Any] = {
    "description": {**_TEXT, "label": "Description", "default": ""},
    "application": {**_TEXT, "type": "id", "label": "Application"},
    "scope": {**_TEXT, "label": "Scope", "default": "write"},
}
