"""The one gate of the API: every route names its permission, and here it is checked before it runs.

A route without a permission is refused to everybody. ``Permission`` stands in a handler's ``opt``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from controlplane.api import named_urls, negotiation, visibility
from controlplane.api.auth import SAFE_METHODS, Authenticator, Login, LoginFailed
from controlplane.api.call import ANONYMOUS, Admitted, Target
from controlplane.api.errors import (
    BadRequest,
    Busy,
    Missing,
    NotAuthenticated,
    PermissionDenied,
    Refusal,
)
from controlplane.api.login_records import record, sighted
from controlplane.api.services import Services
from controlplane.api.tables import table_of
from controlplane.domain import access
from controlplane.domain.access import Principal
from controlplane.domain.numerals import whole
from controlplane.shell.read_model import View

Connection = ASGIConnection[Any, Any, Any, Any]

IF_POSITION = "If-Position"
"""``N`` or ``projection:N``, comma-separated: answer from a read model that has passed N."""
PROJECTIONS = (
    *("config", "jobs", "reports", "output", "facts", "activity", "job_activity", "access"),
)

KEY = "permission"
"""Name of the entry in a handler's ``opt``."""


class Permission(Struct, frozen=True, kw_only=True):
    """What a route asks of its caller.

    ``verb``: ``anonymous`` (anybody), ``client`` (the route asks OAuth 2's client, or an identity
    provider, itself; no user is looked for), ``login`` (any user; the list or body decides the
    rest), ``superuser``, ``audit`` (superuser or auditor), or a verb of ``domain.access`` on the
    object of ``kind`` that the path parameter ``parameter`` names.
    """

    verb: str
    kind: str = ""
    parameter: str = "key"
    missing: bool = False
    """True where an object that does not exist is no error (OPTIONS)."""
    opened_by: str = ""
    """Name of a setting that opens the route to anybody while it is on."""
    form: bool = False
    """True where the route itself looks for the CSRF token, in a form of its own."""


ANYBODY = {KEY: Permission(verb="anonymous")}
FORM = {KEY: Permission(verb="anonymous", form=True)}
CLIENT = {KEY: Permission(verb="client")}
LOGIN = {KEY: Permission(verb="login")}
SUPERUSER = {KEY: Permission(verb="superuser")}
AUDIT = {KEY: Permission(verb="audit")}


def needs(verb: str, kind: str, parameter: str = "key", *, missing: bool = False) -> dict[str, Any]:
    """Return the ``opt`` of a route about one object."""
    return {KEY: Permission(verb=verb, kind=kind, parameter=parameter, missing=missing)}


async def admit(connection: Connection, handler: BaseRouteHandler) -> None:
    """Identify the caller and check the route's permission; the guard of the whole application."""
    permission = handler.opt.get(KEY)
    if not isinstance(permission, Permission):
        raise PermissionDenied
    state = connection.scope["state"]
    state["allow"] = handler.opt.get("allow", "")
    method = connection.scope.get("method")
    renders = negotiation.DEFAULT if method == "OPTIONS" else handler.opt.get(negotiation.RENDERS)
    negotiation.chosen(connection.scope, renders or negotiation.DEFAULT)
    services: Services = connection.app.state.services
    authenticator: Authenticator = connection.app.state.authenticator
    await services.settings_store.freshen(await _wait_for_position(connection, services))
    if permission.verb == "client":
        state["admitted"] = Admitted(who=ANONYMOUS)
        return
    async with authenticator.line(connection), services.read.view() as view:
        login = await _identify(connection, authenticator, view, csrf=not permission.form)
        if login is not None:
            state["username"] = login.principal.username
            state["session_s"] = services.login.session_s if login.way == "session" else 0
            state["session_id"] = login.session_id
        opened = permission.opened_by and services.settings_store.flag(permission.opened_by)
        target = None if opened else await _decide(connection, permission, login, view)
    state["admitted"] = Admitted(
        who=ANONYMOUS if login is None else login.principal,
        way="" if login is None else login.way,
        position=-1 if login is None else login.position,
        target=target,
    )


async def may(view: View, who: Principal, verb: str, kind: str, object_id: int) -> bool:
    """Decide whether somebody may do something to an object; what does not exist is refused."""
    facts = await visibility.load(view, kind, object_id)
    return facts is not None and access.may(who, verb, kind, facts)


async def _wait_for_position(connection: Connection, services: Services) -> int:
    """Let a read wait for the write that its caller names in ``If-Position``.

    Returns the position in CONFIG, or -1.
    """
    named = connection.headers.get(IF_POSITION, "")
    in_config = -1
    for part in filter(None, (each.strip() for each in named.split(","))):
        projection, _, position = part.rpartition(":")
        known = projection in ("", *PROJECTIONS)
        number = whole(position)
        if not known or number is None:
            raise BadRequest(f"{IF_POSITION}: {part!r} is no position")
        within_s = services.settings.write_wait_s
        if not await services.catch_up.wait(projection or "config", number, within_s):
            raise Busy("The read model has not reached the position asked for.")
        if projection in ("", PROJECTIONS[0]):
            in_config = max(in_config, number)
    return in_config


async def _identify(
    connection: Connection, authenticator: Authenticator, view: View, *, csrf: bool
) -> Login | None:
    try:
        login = await authenticator.identify(connection, view, csrf=csrf)
    except LoginFailed as failure:
        await record(connection, failure.username, failure.user, failure.way, accepted=False)
        raise
    if login is not None and login.number:
        who = login.principal
        sighted(connection, who.username, who.id, (login.way, login.number))
    return None if login is None else _under_settings(connection, login)


def _under_settings(connection: Connection, login: Login) -> Login:
    """Return a login with what settings leave to administrators of organizations."""
    services: Services = connection.app.state.services
    principal = msgspec.structs.replace(
        login.principal,
        sees_users=services.settings_store.flag("ORG_ADMINS_CAN_SEE_ALL_USERS"),
        manages_users=services.settings_store.flag("MANAGE_ORGANIZATION_AUTH"),
    )
    return msgspec.structs.replace(login, principal=principal)


async def _decide(
    connection: Connection, permission: Permission, login: Login | None, view: View
) -> Target | None:
    if permission.verb == "anonymous":
        return None
    if login is None:
        raise NotAuthenticated
    who = login.principal
    method = connection.scope.get("method", "GET")
    if who.read_only and method not in SAFE_METHODS:
        raise PermissionDenied
    if permission.verb == "login":
        return None
    if permission.verb in ("superuser", "audit"):
        if who.superuser or (permission.verb == "audit" and who.auditor):
            return None
        raise PermissionDenied
    return await _target(connection, permission, who, view)


async def _target(
    connection: Connection, permission: Permission, who: Principal, view: View
) -> Target:
    kind = permission.kind
    key = str(connection.path_params[permission.parameter])
    object_id = await named_urls.resolve(view, kind, key)
    facts = None if object_id is None else await visibility.load(view, kind, object_id)
    named = not key.isdecimal()
    if facts is None or object_id is None:
        if permission.missing and object_id is not None:
            return Target(kind=kind, id=object_id, facts=None)
        raise Missing() if named else Missing(table_of(kind).verbose)
    if not access.may(who, "read", kind, facts):
        raise Missing() if named else PermissionDenied()
    if permission.verb != "read" and not access.may(who, permission.verb, kind, facts):
        raise refusal_of(permission.verb, kind)
    return Target(kind=kind, id=object_id, facts=facts)


def refusal_of(verb: str, kind: str) -> Refusal:
    """Return the 403 of a verb that is not allowed."""
    if verb == "delete" and kind == "user":
        return PermissionDenied("Cannot delete user.")
    return PermissionDenied()
