"""Tokens as resources: lists, details, and the POST that shows one (``api.md`` 3.39)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from controlplane.api import (
    activity_routes,
    guards,
    listing,
    options,
    pagination,
    shown_options,
    tokens,
    visibility,
)
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import BadRequest, Missing, PermissionDenied
from controlplane.api.guards import LOGIN, needs
from controlplane.api.resource_routes import page_of
from controlplane.api.resource_writes import create_object
from controlplane.api.routing import Opt, routes
from controlplane.api.where import AllOf, Sql, Where
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain import access
from controlplane.domain.activity import TOKEN
from controlplane.domain.field_values import NULL, REQUIRED, missing_pk, reference
from controlplane.domain.numerals import whole
from controlplane.shell import token_commands
from controlplane.shell.read_model import Row, View
from schemas.resource import RESOURCES


class TokenList(Struct, frozen=True, kw_only=True):
    """One list of tokens: where it stands, what is in it, and what a new one must be."""

    path: str
    permission: Opt
    of: str = ""
    """What the list belongs to: ``user``, ``application`` or nothing."""
    only: str = "true"
    """Condition on the rows ``{t}``."""
    application: str = "asked"
    """``asked``: a body may name one; ``needed``; ``none``; ``owner``: the list's own."""


_OF_USER = needs("read", "user")
LISTS = (
    TokenList(path="/api/v2/tokens", permission=LOGIN),
    TokenList(path="/api/v2/users/{key:str}/tokens", permission=_OF_USER, of="user"),
    TokenList(
        path="/api/v2/users/{key:str}/authorized_tokens",
        permission=_OF_USER,
        of="user",
        only='{t}."application" is not null',
        application="needed",
    ),
    TokenList(
        path="/api/v2/users/{key:str}/personal_tokens",
        permission=_OF_USER,
        of="user",
        only='{t}."application" is null',
        application="none",
    ),
    TokenList(
        path="/api/v2/applications/{key:str}/tokens",
        permission=needs("read", "application"),
        of="application",
        application="owner",
    ),
)
_OWNER = {"user": '{t}."user_id" = {0}', "application": '{t}."application" = {0}'}


def token_handlers() -> list[HTTPRouteHandler]:
    """Return the routes about tokens, and a user's view of the applications."""
    handlers = routes(
        "/api/v2/tokens/{key:str}",
        {
            "GET": (LOGIN, show_one),
            "PUT": (LOGIN, change),
            "PATCH": (LOGIN, change),
            "DELETE": (LOGIN, remove),
        },
        (LOGIN, describe_one),
    )
    handlers += routes(
        "/api/v2/tokens/{key:str}/activity_stream",
        {"GET": (LOGIN, show_activity)},
        (LOGIN, activity_routes.describe_list),
    )
    for each in LISTS:
        handlers += _list_routes(each)
    handlers += routes(
        "/api/v2/users/{key:str}/applications",
        {"GET": (_OF_USER, show_applications), "POST": (_OF_USER, create_application)},
        (_OF_USER, describe_applications),
    )
    return handlers


def _list_routes(tokens_of: TokenList) -> list[HTTPRouteHandler]:
    async def show(call: Call) -> Response[Any]:
        return await _page(call, tokens_of)

    async def create(call: Call) -> Response[Any]:
        return await _create(call, tokens_of)

    async def describe(_call: Call) -> Response[Any]:
        return answer(shown_options.of_list("token", {"POST": _writable(tokens_of)}))

    permission = tokens_of.permission
    return routes(
        tokens_of.path,
        {"GET": (permission, show), "POST": (permission, create)},
        (permission, describe),
    )


async def describe_one(_call: Call) -> Response[Any]:
    """Describe one token: its application is given once and for all."""
    written = {name: each for name, each in _WRITABLE.items() if name != "application"}
    return answer(shown_options.of_detail("token", {"PUT": written}))


async def show_one(call: Call) -> Response[Any]:
    """Show a token without showing it."""
    async with call.read() as view:
        row = await _token(call, view, "see_tokens")
        return answer((await tokens.shown(view, [row]))[0])


async def show_activity(call: Call) -> Response[Any]:
    """List what was done with a token."""
    async with call.read() as view:
        row = await _token(call, view, "see_tokens")
    return await activity_routes.page(call, activity_routes.about(TOKEN, row["id"]))


async def change(call: Call) -> Response[Any]:
    """Change a token's description or scope; nobody widens what another user has allowed."""
    body = await call.body()
    async with call.read() as view:
        row = await _token(call, view, "edit")
    description = tokens.text(body, "description", row["description"])
    scope = tokens.scope_of(body, row["scope"])
    own = call.who.superuser or row["user_id"] == call.who.id
    if not own and not set(scope.split()) <= set(row["scope"].split()):
        raise PermissionDenied
    appended = await submit(call, token_commands.update_token(row["id"], description, scope))
    await caught_up(call, appended)
    changed = {**row, "description": description, "scope": scope}
    if appended.events:
        changed["modified"] = appended.context.at
    async with call.read() as view:
        return answer((await tokens.shown(view, [changed]))[0], 200, position_header(appended))


async def remove(call: Call) -> Response[Any]:
    """End a token and its refresh token."""
    async with call.read() as view:
        row = await _token(call, view, "delete")
    appended = await submit(call, token_commands.revoke_token(row["id"]))
    await caught_up(call, appended)
    return empty(204, position_header(appended))


async def show_applications(call: Call) -> Response[Any]:
    """List the applications that the caller may read: as in AWX, whoever the user is."""
    return await page_of(call, "application")


async def create_application(call: Call) -> Response[Any]:
    """Make an application; it belongs to the organization that the body names."""
    return await create_object(call, RESOURCES["application"], await call.body())


async def describe_applications(call: Call) -> Response[Any]:
    """Describe a list of applications."""
    may = access.may_create(call.who, "application")
    return answer(options.of_list(RESOURCES["application"], create=may))


async def _page(call: Call, tokens_of: TokenList) -> Response[Any]:
    parts: list[Where] = [tokens.seen_by(call.who), Sql(text=tokens_of.only)]
    if tokens_of.of:
        parts.append(Sql(text=_OWNER[tokens_of.of], values=(call.target.id,)))
    within = listing.Within(where=AllOf(parts=tuple(parts)))
    if tokens_of.of == "user" and not _may_see_of(call):
        raise PermissionDenied
    async with call.read() as view:
        found = await listing.find(call, view, "token", within, open_list=True)
        shown = await tokens.shown(view, found.rows)
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, shown))


def _may_see_of(call: Call) -> bool:
    return call.who.superuser or call.who.auditor or call.who.id == call.target.id


async def _create(call: Call, tokens_of: TokenList) -> Response[Any]:
    """Make a token for the caller: 201, the only answer that shows it."""
    if tokens_of.of == "user" and call.who.id != call.target.id:
        raise PermissionDenied
    body = await call.body()
    description = tokens.text(body, "description", "")
    scope = tokens.scope_of(body, "write")
    application = await _application(call, tokens_of, body)
    made = await tokens.make(call, call.who.id, scope, description, application)
    appended = await submit(call, token_commands.create_token(made.created))
    await caught_up(call, appended)
    async with call.read() as view:
        shown = (await tokens.shown(view, [tokens.row_of(made.created)]))[0]
    secrets = {"token": made.token, "refresh_token": made.refresh_token}
    return answer({**shown, **secrets}, 201, position_header(appended))


async def _application(call: Call, tokens_of: TokenList, body: Mapping[str, Any]) -> int | None:
    """Return the application that a new token is for; raises 400 and 403."""
    if tokens_of.application == "none":
        return None
    if tokens_of.application == "owner":
        return call.target.id
    given = body.get("application")
    if given is None or given == "":
        if tokens_of.application == "needed":
            raise BadRequest({"application": [NULL if "application" in body else REQUIRED]})
        return None
    number = reference(given)
    if number is None:
        kind = type(given).__name__
        raise BadRequest({"application": [f"Incorrect type. Expected pk value, received {kind}."]})
    facts = None
    if 0 < number < 2**63:
        async with call.read() as view:
            facts = await visibility.load(view, "application", number)
    if facts is None:
        raise BadRequest({"application": [missing_pk(given)]})
    if not access.may(call.who, "read", "application", facts):
        raise PermissionDenied
    return number


async def _token(call: Call, view: View, verb: str) -> Row:
    """Return the row of the token in the path; one that the caller has no say in is 403."""
    number = whole(str(call.request.path_params["key"])) or 0
    row = await view.row('select t.* from "token" t where t."id" = $1', number)
    if row is None:
        raise Missing("OAuth2AccessToken")
    who, reading = call.who, verb == "see_tokens"
    if who.superuser or row["user_id"] == who.id or (reading and who.auditor):
        return row
    if reading:
        who = msgspec.structs.replace(who, read_only=False)
    application = row["application"]
    if application is None or not await guards.may(view, who, verb, "application", application):
        raise PermissionDenied
    return row


def _writable(tokens_of: TokenList) -> dict[str, Any]:
    """Return what a body may hold in one list."""
    found = dict(_WRITABLE)
    if tokens_of.application in ("none", "owner"):
        del found["application"]
    elif tokens_of.application == "needed":
        found["application"] = {**found["application"], "required": True}
    return found


_TEXT = {"type": "string", "required": False, "filterable": True, "hidden": False}
_WRITABLE: dict[str, Any] = {
    "description": {**_TEXT, "label": "Description", "default": ""},
    "application": {**_TEXT, "type": "id", "label": "Application"},
    "scope": {**_TEXT, "label": "Scope", "default": "write"},
}
