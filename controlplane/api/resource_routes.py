"""The routes that every declared resource has: list, detail, and its declared sub-lists.

Nothing here knows a kind by name; what a declaration cannot say stands in ``inventory_routes`` and
``access_routes``, whose paths Litestar prefers because they are more specific.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import listing, options, pagination, render, smart_hosts
from controlplane.api.call import Call, answer
from controlplane.api.copying import copy_info, copy_object
from controlplane.api.errors import Missing
from controlplane.api.guards import LOGIN, needs
from controlplane.api.resource_writes import (
    create_object,
    delete_object,
    post_to_relation,
    update_object,
)
from controlplane.api.routing import Methods, routes
from controlplane.api.tables import related_condition, table_of
from controlplane.api.where import Sql, Where
from controlplane.domain import access
from schemas.resource import RESOURCES, Related, Resource

ASYNCHRONOUS_DELETE = frozenset({"inventory"})
"""Kinds whose deletion AWX answers with 202."""


COMPUTED: dict[tuple[str, str], Callable[[Call], Awaitable[Where | None]]] = {
    ("inventory", "hosts"): smart_hosts.members,
}
"""(kind, sub-list) to which rows stand there; None for objects that keep them."""


def resource_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of every declared resource."""
    handlers: list[HTTPRouteHandler] = []
    for resource in RESOURCES.values():
        base = f"/api/v2/{resource.plural}"
        if resource.listed:
            handlers += _list_routes(resource, base)
        handlers += _detail_routes(resource, f"{base}/{{key:str}}")
        for related in resource.related:
            if related.kind in RESOURCES and not related.made:
                handlers += _relation_routes(resource, related, f"{base}/{{key:str}}")
        if resource.copyable:
            handlers += _copy_routes(resource, f"{base}/{{key:str}}/copy")
    return handlers


def _list_routes(resource: Resource, path: str) -> list[HTTPRouteHandler]:
    async def show(call: Call) -> Response[Any]:
        return await page_of(call, resource.kind)

    async def create(call: Call) -> Response[Any]:
        return await create_object(call, resource, await call.body())

    async def describe(call: Call) -> Response[Any]:
        may = access.may_create(call.who, resource.kind) and not resource.read_only
        return answer(options.of_list(resource, create=may))

    methods: Methods = {"GET": (LOGIN, show)}
    if not resource.read_only:
        methods["POST"] = (LOGIN, create)
    return routes(path, methods, (LOGIN, describe))


def _detail_routes(resource: Resource, path: str) -> list[HTTPRouteHandler]:
    kind = resource.kind

    async def show(call: Call) -> Response[Any]:
        async with call.read() as view:
            found = await render.one(view, call.who, kind, call.target.id)
        if found is None:
            raise Missing(table_of(kind).verbose)
        return answer(found)

    async def replace(call: Call) -> Response[Any]:
        return await update_object(call, resource, await call.body(), partial=False)

    async def change(call: Call) -> Response[Any]:
        return await update_object(call, resource, await call.body(), partial=True)

    async def remove(call: Call) -> Response[Any]:
        return await delete_object(call, resource, 202 if kind in ASYNCHRONOUS_DELETE else 204)

    async def describe(call: Call) -> Response[Any]:
        facts = call.target.facts
        may = access.may_create(call.who, kind) if facts is None else False
        if facts is not None:
            may = access.may(call.who, "edit", kind, facts)
        return answer(options.of_detail(resource, edit=may and not resource.read_only))

    methods: Methods = {"GET": (needs("read", kind), show)}
    if not resource.read_only:
        methods["PUT"] = (needs("edit", kind), replace)
        methods["PATCH"] = (needs("edit", kind), change)
    if resource.deletable and not resource.read_only:
        methods["DELETE"] = (needs("delete", kind), remove)
    return routes(path, methods, (needs("read", kind, missing=True), describe))


def _relation_routes(resource: Resource, related: Related, path: str) -> list[HTTPRouteHandler]:
    target = RESOURCES[related.kind]
    permission = needs("read", resource.kind)

    async def show(call: Call) -> Response[Any]:
        return await page_of(call, related.kind, await _within(call, resource, related))

    async def post(call: Call) -> Response[Any]:
        return await post_to_relation(call, resource, related, await call.body())

    async def describe(call: Call) -> Response[Any]:
        may = access.may_create(call.who, related.kind)
        if related.attach:
            return answer(options.of_attach(target, creates=related.create, create=may))
        return answer(options.of_list(target, create=related.create and may))

    methods: Methods = {"GET": (permission, show)}
    if related.create or related.attach:
        methods["POST"] = (permission, post)
    return routes(f"{path}/{related.name}", methods, (permission, describe))


def _copy_routes(resource: Resource, path: str) -> list[HTTPRouteHandler]:
    async def show(call: Call) -> Response[Any]:
        return answer(await copy_info(call, resource))

    async def post(call: Call) -> Response[Any]:
        return await copy_object(call, resource, await call.body())

    return routes(
        path,
        {"GET": (needs("read", resource.kind), show), "POST": (needs("copy", resource.kind), post)},
        (needs("read", resource.kind), _described_copy),
    )


async def _described_copy(_call: Call) -> Response[Any]:
    name = {"type": "string", "required": True, "label": "Name", "max_length": 512}
    return answer(options.plain("Copy", (), {"GET": {}, "POST": {"name": name}}))


async def _within(call: Call, resource: Resource, related: Related) -> listing.Within:
    """Return which rows stand in a sub-list; some are computed instead of being kept."""
    computed = COMPUTED.get((resource.kind, related.name))
    where = None if computed is None else await computed(call)
    if where is not None:
        return listing.Within(where=where, open_list=True)
    return members(resource, related, call.target.id)


def members(resource: Resource, related: Related, object_id: int) -> listing.Within:
    """Return which rows stand in a sub-list of an object, and in which order."""
    condition = related_condition(resource, related).replace('{near}."id"', "{0}")
    where = Sql(text=condition.replace("{far}", "{t}"), values=(object_id,))
    first = ""
    if related.ordered:
        links_table = f"{resource.kind}_{related.name}"
        first = (
            f'(select l."position" from "{links_table}" l'  # noqa: S608 - names from declarations
            f' where l."id" = {object_id} and l."target" = t."id")'
        )
    return listing.Within(where=where, first=first)


async def page_of(call: Call, kind: str, within: listing.Within | None = None) -> Response[Any]:
    """Answer one page of a kind's rows."""
    async with call.read() as view:
        found = await listing.find(call, view, kind, within)
        results = await render.page(view, call.who, kind, found.rows)
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, results))
