"""Tokens as they are listed, seen, shown and made; their routes stand in other modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from controlplane.api import render, visibility
from controlplane.api.call import Call
from controlplane.api.client_secrets import digest
from controlplane.api.errors import BadRequest
from controlplane.api.links import url_of
from controlplane.api.tables import Column, Table, column, forward, register, table_of
from controlplane.api.where import AllOf, AnyOf, Related, Sql, Where
from controlplane.domain.access import Principal
from controlplane.domain.facts import plain
from controlplane.shell import token_commands
from controlplane.shell.read_model import Row, View
from ops import clock, ids
from schemas.events.access import TokenCreated
from schemas.resources.application import HIDDEN

SCOPES = ("read", "write")
BAD_SCOPE = "Must be a simple space-separated string with allowed scopes ['read', 'write']."

register(
    Table(
        kind="token",
        source='"token"',
        verbose="OAuth2AccessToken",
        columns={
            "id": column("id", "int"),
            "pk": Column(name="pk", base="int", sql='{t}."id"'),
            "description": column("description", "str"),
            "scope": column("scope", "str"),
            "created": column("created", "time"),
            "modified": column("modified", "time"),
            "expires": column("expires", "time"),
            "user": Column(name="user", base="id", sql='{t}."user_id"'),
            "application": column("application", "id"),
            "token": Column(name="token", base="str", sql='{t}."token_hash"', secret=True),
            "refresh_token": Column(
                name="refresh_token", base="str", sql='{t}."refresh_hash"', secret=True
            ),
        },
        relations={
            "user": forward("user", "user", "user_id"),
            "application": forward("application", "application"),
        },
        order=("id",),
        search=("description",),
    )
)


class Made(Struct, frozen=True, kw_only=True):
    """A new token: what is stored of it, and what is shown once."""

    created: TokenCreated
    token: str
    refresh_token: str | None


def seen_by(who: Principal) -> Where:
    """Return which tokens somebody sees: their own, and those of applications they look after."""
    if who.superuser or who.auditor:
        return AllOf(parts=())
    applications = Related(
        relation=table_of("token").relations["application"],
        where=visibility.visible(who, "application", "see_tokens"),
    )
    return AnyOf(parts=(Sql(text='{t}."user_id" = {0}', values=(who.id,)), applications))


async def make(
    call: Call,
    user: int,
    scope: str,
    description: str = "",
    application: int | None = None,
) -> Made:
    """Draw a token for a user; an application's comes with a refresh token."""
    secret, now = ids.new_token(), clock.now()
    refresh = None if application is None else ids.new_token()
    created = TokenCreated(
        id=(await call.services.numbers.take("token"))[0],
        user=user,
        description=description,
        scope=scope,
        token_hash=digest(secret),
        created=now,
        expires=token_commands.expiry(now, call.services.login.access_token_s),
        application=application,
        refresh_hash="" if refresh is None else digest(refresh),
    )
    return Made(created=created, token=secret, refresh_token=refresh)


def row_of(created: TokenCreated) -> dict[str, Any]:
    """Return the row that the read model will hold of a new token."""
    return {
        "id": created.id,
        "user_id": created.user,
        "description": created.description,
        "scope": created.scope,
        "created": created.created,
        "modified": created.created,
        "expires": created.expires,
        "application": created.application,
        "refresh_hash": created.refresh_hash,
    }


async def shown(view: View, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as AWX's JSON; of their secrets there is nothing to show."""
    users = await render.summarise(view, "user", sorted({row["user_id"] for row in rows}))
    numbers = sorted({row["application"] for row in rows if row["application"] is not None})
    applications = await render.summarise(view, "application", numbers) if numbers else {}
    return [_shown(row, {**users, **applications}) for row in rows]


def _shown(row: Row, summaries: render.Summaries) -> dict[str, Any]:
    url = url_of("token", row["id"])
    related = {
        "user": url_of("user", row["user_id"]),
        "activity_stream": f"{url}activity_stream/",
    }
    summary = {"user": summaries.get(("user", row["user_id"]), {})}
    if row["application"] is not None:
        related["application"] = url_of("application", row["application"])
        summary["application"] = summaries.get(("application", row["application"]), {})
    return {
        "id": row["id"],
        "type": "o_auth2_access_token",
        "url": url,
        "related": related,
        "summary_fields": summary,
        "created": row["created"],
        "modified": row["modified"],
        "description": row["description"],
        "user": row["user_id"],
        "token": HIDDEN,
        "refresh_token": HIDDEN if row["refresh_hash"] else None,
        "application": row["application"],
        "expires": row["expires"],
        "scope": row["scope"],
    }


def text(body: Mapping[str, Any], name: str, default: str) -> str:
    """Return a text of a body; raises 400."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadRequest({name: ["Not a valid string."]})
    if not plain(str(value)):
        raise BadRequest({name: ["Null characters are not allowed."]})
    return str(value).strip()


def scope_of(body: Mapping[str, Any], default: str) -> str:
    """Return the scope a body asks for; raises 400 for anything but the words, each once."""
    scope = text(body, "scope", default)
    if not fits(scope):
        raise BadRequest({"scope": [BAD_SCOPE]})
    return scope


def fits(scope: str) -> bool:
    """Return whether a scope is made of the words read and write, each at most once."""
    words = scope.split()
    return bool(words) and len(set(words)) == len(words) and set(words).issubset(SCOPES)
