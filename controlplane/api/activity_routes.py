"""The activity stream: who did what, when, from what to what; the log itself, rendered.

Three projections hold one part each (``projections.activity``); a list waits until they have
what the log held when it was asked. Somebody sees the entries about objects they may read.
"""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import activity_render, listing, options, pagination, visibility
from controlplane.api.call import Call, answer
from controlplane.api.errors import Missing, PermissionDenied
from controlplane.api.guards import LOGIN, needs
from controlplane.api.routing import Opt, routes
from controlplane.api.tables import Column, Relation, Table, column, register, table_of
from controlplane.api.where import AllOf, AnyOf, Related, Sql, Where
from controlplane.domain.access import Principal
from controlplane.domain.activity import TOKEN
from controlplane.domain.numerals import whole
from schemas.resource import RESOURCES
from schemas.streams import ACCESS, CONFIG, JOBS

KIND = "activity_stream"
PARTS = (("activity", CONFIG.name), ("job_activity", JOBS.name), ("access", ACCESS.name))
"""(projection and table, the stream it follows)."""
JOBS_SHOWN = (
    ("job", "jobs"),
    ("ad_hoc_command", "ad_hoc_commands"),
    ("workflow_job", "workflow_jobs"),
)
"""(kind, plural) of the jobs that have a list of their own."""
_COLUMNS = (
    *(("id", "int"), ("timestamp", "time"), ("operation", "str"), ("actor", "id")),
    *(("object1", "str"), ("object2", "str"), ("object_association", "str"), ("changes", "str")),
)
_FIELDS = {
    "id": "integer",
    "type": "choice",
    "url": "string",
    "related": "object",
    "summary_fields": "object",
    "timestamp": "datetime",
    "operation": "choice",
    "changes": "json",
    "object1": "string",
    "object2": "string",
    "object_association": "field",
    "action_node": "string",
    "object_type": "field",
}
_CHOICES = {
    "type": [[KIND, "Activity Stream"]],
    "operation": [
        ["create", "Entity Created"],
        ["update", "Entity Updated"],
        ["delete", "Entity Deleted"],
        ["associate", "Entity Associated with another Entity"],
        ["disassociate", "Entity was Disassociated with another Entity"],
    ],
}


def activity_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of the whole activity stream and of each object's."""
    _register()
    handlers = [
        *routes("/api/v2/activity_stream", {"GET": (LOGIN, show_all)}, (LOGIN, describe_list)),
        *routes(
            "/api/v2/activity_stream/{key:str}", {"GET": (LOGIN, show_one)}, (LOGIN, describe_one)
        ),
    ]
    for resource in RESOURCES.values():
        if KIND in resource.extra_links:
            handlers += _about(resource.plural, resource.kind, needs("read", resource.kind))
    for kind, plural in JOBS_SHOWN:
        handlers += _about(plural, kind, needs("read", kind))
    return handlers


def _about(plural: str, kind: str, permission: Opt) -> list[HTTPRouteHandler]:
    async def show(call: Call) -> Response[Any]:
        return await page(call, AllOf(parts=(about(kind, call.target.id), _seen_of(call))))

    path = f"/api/v2/{plural}/{{key:str}}/{KIND}"
    return routes(path, {"GET": (permission, show)}, (permission, describe_list))


def about(kind: str, number: int) -> Where:
    """Return the condition that an entry is about one object."""
    text = (
        '(({t}."object1" = {0} and {t}."object1_id" = {1})'
        ' or ({t}."object2" = {0} and {t}."object2_id" = {1}))'
    )
    return Sql(text=text, values=(kind, number))


async def show_all(call: Call) -> Response[Any]:
    """List every entry that the caller may see."""
    return await page(call, visible(call.who))


async def show_one(call: Call) -> Response[Any]:
    """Show one entry."""
    number = whole(str(call.request.path_params["key"]))
    if number is None:
        raise Missing("ActivityStream")
    await _settled(call)
    async with call.read() as view:
        source = table_of(KIND).source
        row = await view.row(f'select t.* from {source} t where t."id" = $1', number)  # noqa: S608 - names from above
        if row is None:
            raise Missing("ActivityStream")
        this = Sql(text='{t}."id" = {0}', values=(number,))
        within = listing.Within(where=AllOf(parts=(this, visible(call.who))))
        found = await listing.find(call, view, KIND, within, open_list=True)
        if not found.rows:
            raise PermissionDenied
        return answer((await activity_render.page(view, found.rows))[0])


async def page(call: Call, where: Where) -> Response[Any]:
    """Answer one page of the entries that meet a condition."""
    await _settled(call)
    async with call.read() as view:
        within = listing.Within(where=where)
        found = await listing.find(call, view, KIND, within, open_list=True)
        results = await activity_render.page(view, found.rows)
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, results))


async def _settled(call: Call) -> None:
    """Wait, within the bound of a write, until the entries of what the log holds now are there."""
    services = call.services

    async def wait(projection: str, stream: str) -> None:
        end = await services.store.last_sequence(stream)
        await services.catch_up.wait(projection, end, services.settings.write_wait_s)

    await asyncio.gather(*(wait(*part) for part in PARTS))


def visible(who: Principal) -> Where:
    """Return the condition that a role lets the caller read what an entry is about.

    What everybody may read (users with system roles, credential types) has a history that only
    its administrators see; of users, one sees one's own.
    """
    if who.superuser or who.auditor:
        return AllOf(parts=())
    relations = table_of(KIND).relations
    own = (
        '({t}."object1" = {0} and {t}."actor" = {1})'
        " or ({t}.\"object1\" in ('user', 'login') and {t}.\"object1_id\" = {1})"
    )
    return AnyOf(
        parts=(
            Sql(text=f"({own})", values=(TOKEN, who.id)),
            *(
                Related(relation=relations[kind], where=visibility.granted(who, kind))
                for kind in relations
                if kind not in ("actor", "user")
            ),
        )
    )


def _seen_of(call: Call) -> Where:
    """Return which entries about the path's object its reader sees; of users they look after, all.

    That somebody may be read by everybody says nothing about what they were given, and where.
    """
    who = call.who
    audited = who.where("organization", "admin") | who.where("organization", "auditor")
    if call.target.kind == "user" and not audited.isdisjoint(call.facts.organizations):
        return AllOf(parts=())
    return visible(who)


async def describe_list(_call: Call) -> Response[Any]:
    """Describe the list of entries."""
    lists = {
        "search_fields": list(table_of(KIND).search),
        "related_search_fields": [f"{name}__search" for name in table_of(KIND).relations],
        "object_roles": [],
        "max_page_size": pagination.PAGE_SIZE_MAX,
    }
    return answer({**options.plain("Activity Stream List", (KIND,), _described()), **lists})


async def describe_one(_call: Call) -> Response[Any]:
    """Describe one entry."""
    return answer(options.plain("Activity Stream Detail", (KIND,), _described()))


def _described() -> dict[str, Any]:
    columns = table_of(KIND).columns
    return {
        "GET": {
            name: {
                "type": kind,
                "label": name.replace("_", " ").capitalize(),
                "filterable": name in columns,
                "hidden": False,
                **({"choices": _CHOICES[name]} if name in _CHOICES else {}),
            }
            for name, kind in _FIELDS.items()
        }
    }


_SHOWN = 'a."timestamp" >= coalesce((select h."before" from "activity_hidden" h), \'-infinity\')'
"""What a cleanup has not hidden."""


def _register() -> None:
    parts = " union all ".join(f'select * from "{table}"' for table, _ in PARTS)  # noqa: S608 - names from above
    columns = {name: column(name, base) for name, base in _COLUMNS}
    columns["pk"] = Column(name="pk", base="int", sql='{t}."id"')
    columns["action_node"] = Column(name="action_node", base="str", sql="''::text")
    kinds = [*RESOURCES, "project_update", *(kind for kind, _ in JOBS_SHOWN)]
    relations = {kind: _relation(kind) for kind in kinds}
    actor = '{far}."id" = {near}."actor"'
    relations["actor"] = Relation(name="actor", table="user", on=actor, many=False)
    register(
        Table(
            kind=KIND,
            source=f"(select a.* from ({parts}) a where {_SHOWN})",  # noqa: S608 - as above
            verbose="ActivityStream",
            columns=columns,
            relations=relations,
            order=("timestamp", "id"),
            search=("changes",),
        )
    )


def _relation(kind: str) -> Relation:
    on = (
        f'(({{near}}."object1" = \'{kind}\' and {{far}}."id" = {{near}}."object1_id")'
        f' or ({{near}}."object2" = \'{kind}\' and {{far}}."id" = {{near}}."object2_id"))'
    )
    return Relation(name=kind, table=kind, on=on, many=True)
