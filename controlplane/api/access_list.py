"""Who has access to an object, and how: all users with a role that reaches it (``api.md`` 1.12)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from controlplane.api import listing, render
from controlplane.api.call import Call
from controlplane.api.links import url_of
from controlplane.api.listing import Found, Within
from controlplane.api.where import AnyOf, Sql
from controlplane.domain import access
from controlplane.domain.access import Facts, Principal
from controlplane.shell.read_model import QUERIES, Row, View
from schemas import roles
from schemas.resource import RESOURCES

Place = tuple[str, int]
Entry = dict[str, Any]

_ALL_POWERFUL = (
    '{t}."id" = any(array(select u."id" from "user" u'
    ' where u."is_superuser" or u."is_system_auditor"))'
)
_HOLDERS = """{t}."id" = any(array(
with recursive "granted" as (
    select g."user_id", g."team_id" from unnest({0}::text[], {1}::bigint[], {2}::text[])
        as o ("kind", "id", "role")
    join "role_grant" g on g."kind" = o."kind" and g."object_id" = o."id" and g."role" = o."role"
), "teams" ("team") as (
    select "team_id" from "granted" where "team_id" > 0
    union
    select a."team_id" from "teams" h join "role_assignment" a on a."object_id" = h."team"
    where a."kind" = 'team' and a."role" in ('admin', 'member') and a."team_id" > 0
)
select "user_id" from "granted" where "user_id" > 0
union
select a."user_id" from "teams" h join "role_assignment" a on a."object_id" = h."team"
where a."kind" = 'team' and a."role" in ('admin', 'member') and a."user_id" > 0
union
select a."user_id" from "teams" h join "team" t on t."id" = h."team"
join "role_assignment" a on a."object_id" = t."organization"
where a."kind" = 'organization' and a."role" = 'admin' and a."user_id" > 0
))"""
"""Users who hold one of (kind, object, role), or are in a team that does."""
_GRANTS = (
    f"select q.* from ({QUERIES['grants_of_users']}) q"  # noqa: S608 - a query of ours
    ' join unnest($2::text[], $3::bigint[]) as o ("kind", "id")'
    ' on q."kind" = o."kind" and q."object_id" = o."id"'
)
_DEFINITIONS = (
    'select a."id", d."name", d."description" from "role_assignment" a'
    ' join "role_definition" d on d."id" = a."definition" where a."id" = any($1::bigint[])'
)


class _Known(Struct, frozen=True, kw_only=True):
    """What the entries of a page are made of."""

    who: Principal
    target: Place
    facts: Facts
    reaching: dict[Place, set[str]]
    names: dict[Place, str]
    definitions: dict[int, Row]
    """By assignment."""


async def access_list(
    call: Call, view: View, kind: str, object_id: int, facts: Facts
) -> tuple[Found, list[dict[str, Any]]]:
    """Return a page of users with ``direct_access`` and ``indirect_access`` in their summaries.

    Who gives the object's roles sees everybody that has one, others the users they see anyway.
    """
    reaching = _reaching(kind, facts)
    triples = [(*place, role) for place, held in reaching.items() for role in sorted(held)]
    kinds, ids, names = ([each[index] for each in triples] for index in range(3))
    holding = Sql(text=_HOLDERS, values=(kinds, ids, names))
    where = AnyOf(parts=(Sql(text=_ALL_POWERFUL), holding))
    everybody = access.may(call.who, "grant", kind, facts)
    found = await listing.find(call, view, "user", Within(where=where), open_list=everybody)
    shown = await render.page(view, call.who, "user", found.rows)
    users = [row["id"] for row in found.rows]
    places = sorted(reaching)
    grants = await view.fetch(_GRANTS, users, [p[0] for p in places], [p[1] for p in places])
    known = _Known(
        who=call.who,
        target=(kind, object_id),
        facts=facts,
        reaching=reaching,
        names=await _names(view, {*places, *(("team", g["team_id"]) for g in grants)}),
        definitions=await _definitions(view, grants),
    )
    for user, row in zip(shown, found.rows, strict=True):
        direct, indirect = _entries(row, grants, known)
        user["summary_fields"] |= {"direct_access": direct, "indirect_access": indirect}
    return found, shown


def _reaching(kind: str, facts: Facts) -> dict[Place, set[str]]:
    """Return the objects, each with the roles on it, that give any access to the object."""
    sources = [
        *(
            each
            for role in access.PARENTS.get(kind, {})
            for each in access.role_holders(kind, role)
        ),
        *(each for verb in access.verbs(kind) for each in access.holders(kind, verb)),
    ]
    reaching: dict[Place, set[str]] = {}
    for source in sources:
        found = facts.ids.get(source.path)
        if found is not None:
            reaching.setdefault((source.kind, found), set()).add(source.role)
    return reaching


async def _names(view: View, places: set[Place]) -> dict[Place, str]:
    found: dict[Place, str] = {}
    for kind in {kind for kind, _ in places}:
        sql = f'select t."id", t."name" from "{kind}" t where t."id" = any($1::bigint[])'  # noqa: S608 - kinds from rules
        for row in await view.fetch(sql, [number for of, number in places if of == kind]):
            found[kind, row["id"]] = row["name"]
    return found


async def _definitions(view: View, grants: list[Row]) -> dict[int, Row]:
    rows = await view.fetch(_DEFINITIONS, [grant["assignment"] for grant in grants])
    return {row["id"]: row for row in rows}


def _entries(user: Row, grants: list[Row], known: _Known) -> tuple[list[Entry], list[Entry]]:
    """Return how a user reaches the object: by own roles there and by teams, and from above."""
    direct: list[Entry] = []
    indirect: list[Entry] = []
    if user["is_superuser"]:
        indirect.append(_system("system_administrator", known))
    if user["is_system_auditor"]:
        indirect.append(_system("system_auditor", known))
    seen: set[tuple[int, int, str]] = set()
    for grant in grants:
        place = (grant["kind"], grant["object_id"])
        if grant["user_id"] != user["id"] or grant["role"] not in known.reaching.get(place, ()):
            continue
        legacy = grant["role"] in _legacy(grant["kind"])
        key = (grant["assignment"], grant["team_id"], grant["role"] if legacy else "")
        if key in seen:
            continue
        seen.add(key)
        of_team = grant["team_id"] > 0
        entry = {
            "role": _role(grant, known, legacy=legacy),
            "descendant_roles": _descendants(place, grant["role"], known),
        }
        (direct if place == known.target or of_team else indirect).append(entry)
    return direct, indirect


def _legacy(kind: str) -> tuple[str, ...]:
    return RESOURCES[kind].roles if kind in RESOURCES else ()


def _role(grant: Row, known: _Known, *, legacy: bool) -> dict[str, Any]:
    kind, number = place = (grant["kind"], grant["object_id"])
    role, definition = grant["role"], known.definitions.get(grant["assignment"])
    found: dict[str, Any] = {
        "id": roles.role_id(kind, number, role) if legacy else None,
        "name": roles.NAMES[role] if legacy else "",
        "description": roles.description(kind, role) if legacy else "",
    }
    if not legacy and definition is not None:
        found |= {"name": definition["name"], "description": definition["description"]}
    found |= {
        "resource_name": known.names.get(place, ""),
        "resource_type": kind,
        "related": {kind: url_of(kind, number)},
        "user_capabilities": {"unattach": _may_take(place, known)},
    }
    if grant["team_id"]:
        team = grant["team_id"]
        found |= {"team_id": team, "team_name": known.names.get(("team", team), "")}
        found["related"]["team"] = url_of("team", team)
    return found


def _may_take(place: Place, known: _Known) -> bool:
    """Return whether the caller may take the role away."""
    if place == known.target:
        return access.may(known.who, "grant", place[0], known.facts)
    return access.may(known.who, "grant", place[0], Facts(ids={(): place[1]}))


def _descendants(place: Place, role: str, known: _Known) -> list[str]:
    """Return the roles on the object that a role somewhere includes."""
    kind = known.target[0]
    return [
        roles.field_name(each)
        for each in _legacy(kind)
        if any(
            (source.kind, known.facts.ids.get(source.path), source.role) == (*place, role)
            for source in access.role_holders(kind, each)
        )
    ]


def _system(name: str, known: _Known) -> Entry:
    included = _legacy(known.target[0]) if name == "system_administrator" else ("read",)
    role = {
        "id": roles.role_id(roles.SYSTEM, 0, name),
        "name": roles.NAMES[name],
        "description": roles.description(roles.SYSTEM, name),
        "user_capabilities": {"unattach": False},
    }
    return {"role": role, "descendant_roles": [roles.field_name(each) for each in included]}
