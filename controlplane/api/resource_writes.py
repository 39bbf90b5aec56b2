"""Creating, changing, deleting, attaching and copying declared resources (``api.md`` 1.11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response

from controlplane.api import (
    client_secrets,
    kept_filters,
    own_session,
    render,
    source_updates,
    visibility,
)
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import BadRequest, PermissionDenied
from controlplane.api.tables import table_of
from controlplane.api.writes import (
    caught_up,
    check_create,
    check_update,
    position_header,
    submit,
)
from controlplane.domain import access
from controlplane.domain.checks.draft import Companion
from controlplane.domain.numerals import whole
from controlplane.domain.resource import Attach, Create, Delete, Link, Unlink, Update
from controlplane.shell.config_writer import Appended
from controlplane.shell.read_model import View
from controlplane.shell.resource_commands import prepare_for
from schemas.events.resource import ResourceCreated, ResourceUpdated
from schemas.resource import RESOURCES, Related, Resource

UNRUN = {"schedule": ("enabled", "Playlog does not fire schedules yet.")}
"""Kind to the setting that nothing acts on yet, and what its writer is told."""


async def create_object(
    call: Call, resource: Resource, body: dict[str, Any], attach: Attach | None = None
) -> Response[Any]:
    """Create an object from a body: 201 with its detail; an attached label that exists is 204."""
    fresh = client_secrets.fresh(resource.kind)
    appended = await append_object(call, resource, {**body, **fresh.values}, attach)
    return await created_answer(call, resource, appended, fresh.shown)


async def append_object(
    call: Call,
    resource: Resource,
    body: dict[str, Any],
    attach: Attach | None = None,
    companion: Mapping[str, Any] | None = None,
) -> Appended:
    """Append the creation of an object that the caller may create; raises Rejected and 403.

    ``companion``: values of what the system makes along with it.
    """
    async with call.read() as view:
        await check_create(view, call.who, resource, body)
    await kept_filters.check_body(call, resource.kind, body)
    along = await _companions(call, resource, body, companion or {})
    number = (await call.services.numbers.take(resource.sequence))[0]
    command = Create(kind=resource.kind, id=number, values=body, attach=attach, companions=along)
    return await submit(call, prepare_for(command, call.services))


async def _companions(
    call: Call, resource: Resource, body: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Companion]:
    """Allot ids to what the system makes along with an object."""
    if resource.kind != "inventory" or body.get("kind") != "constructed":
        return {}
    source = RESOURCES["inventory_source"]
    number = (await call.services.numbers.take(source.sequence))[0]
    return {source.kind: Companion(id=number, values=values)}


async def created_answer(
    call: Call, resource: Resource, appended: Appended, once: Mapping[str, Any] | None = None
) -> Response[Any]:
    """Answer an appended creation: 201 with the object, 204 when it existed already.

    ``once``: what is shown in the clear by this answer alone, in fields that are shown at all.
    """
    ready = await caught_up(call, appended)
    await source_updates.start(call, appended)
    made = made_in(appended)
    if made is None:
        return empty(204, position_header(appended))
    shown = await _shown(call, resource, made, appended, ready=ready)
    shown |= {name: value for name, value in (once or {}).items() if name in shown}
    return answer(shown, 201, position_header(appended) | _warning(resource, shown))


def made_in(appended: Appended) -> int | None:
    """Return the id of the first object that a transaction created."""
    return next((e.id for e in appended.events if isinstance(e, ResourceCreated)), None)


async def update_object(
    call: Call, resource: Resource, body: dict[str, Any], *, partial: bool
) -> Response[Any]:
    """Change an object: 200 with its detail."""
    target = call.target.id
    async with call.read() as view:
        await check_update(view, call.who, resource, body, target)
    await kept_filters.check_body(call, resource.kind, body)
    command = Update(kind=resource.kind, id=target, changes=body, partial=partial)
    appended = await submit(call, prepare_for(command, call.services))
    ready = await caught_up(call, appended)
    await own_session.keep(call, appended)
    await source_updates.start(call, appended)
    shown = await _shown(call, resource, target, appended, ready=ready)
    return answer(shown, 200, position_header(appended) | _warning(resource, shown))


def _warning(resource: Resource, shown: dict[str, Any]) -> dict[str, str]:
    """Return the header that tells of a setting that is kept and has no effect yet."""
    field, text = UNRUN.get(resource.kind, ("", ""))
    return {"Warning": f'299 playlog "{text}"'} if field and shown[field] else {}


async def delete_object(call: Call, resource: Resource, status: int = 204) -> Response[Any]:
    """Delete an object with all that cascades from it."""
    command = Delete(kind=resource.kind, id=call.target.id)
    appended = await submit(call, prepare_for(command, call.services))
    await caught_up(call, appended)
    return empty(status, position_header(appended))


async def post_to_relation(
    call: Call, resource: Resource, related: Related, body: dict[str, Any]
) -> Response[Any]:
    """Create in, attach to or detach from a sub-list, by what the body holds."""
    target = RESOURCES[related.kind]
    if "id" not in body and "disassociate" not in body:
        if not related.create:
            raise BadRequest({"msg": '"id" is required to associate'})
        return await _create_within(call, resource, related, body)
    number = identity(body)
    detach = "disassociate" in body
    async with call.read() as view:
        facts = await visibility.load(view, target.kind, number)
        if facts is None:
            message = f"{table_of(target.kind).verbose} matching query does not exist."
            raise BadRequest({"detail": message})
        _check_attach(call, resource, related, facts, detach=detach)
    if related.through:
        return await _child(call, related, number, detach=detach)
    kind = Unlink if detach else Link
    command = kind(kind=resource.kind, id=call.target.id, relation=related.name, target=number)
    appended = await submit(call, prepare_for(command, call.services))
    await caught_up(call, appended)
    return empty(204, position_header(appended))


async def _create_within(
    call: Call, resource: Resource, related: Related, body: dict[str, Any]
) -> Response[Any]:
    """Create in a sub-list; the reference back to its owner is set whatever the body says."""
    target = RESOURCES[related.kind]
    if not access.may(call.who, "edit", resource.kind, call.facts) and not related.through:
        raise PermissionDenied
    if related.through:
        return await create_object(call, target, {**body, related.through: call.target.id})
    preset = await _inherited(call, resource, target)
    attach = Attach(kind=resource.kind, id=call.target.id, relation=related.name)
    return await create_object(call, target, {**body, **preset}, attach)


async def _inherited(call: Call, resource: Resource, target: Resource) -> dict[str, Any]:
    """Return the parent that a new member shares with the object it joins (hosts of a group)."""
    parent = target.parent
    if not parent or resource.parent != parent:
        return {}
    sql = f'select t."{parent}" from "{resource.kind}" t where t."id" = $1'  # noqa: S608 - names from declarations
    async with call.read() as view:
        return {parent: await view.value(sql, call.target.id)}


def identity(body: dict[str, Any]) -> int:
    """Return the id that a body names; raises 400 in AWX's words."""
    value = body.get("id")
    if value is None:
        raise BadRequest({"msg": '"id" is required to disassociate'})
    if isinstance(value, str):
        value = whole(value.strip())
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest({"msg": '"id" field must be an integer.'})
    if not 0 < value < 2**63:
        raise BadRequest({"msg": '"id" field must be an integer.'})
    return value


def _check_attach(
    call: Call, resource: Resource, related: Related, facts: access.Facts, *, detach: bool
) -> None:
    changing = "grant" if related.role else "edit"
    if not access.may(call.who, changing, resource.kind, call.facts):
        raise PermissionDenied
    verb = access.attach_verb(resource.kind, related.name, related.kind, related.role)
    if not detach and not access.may(call.who, verb, related.kind, facts):
        raise PermissionDenied


async def _child(call: Call, related: Related, number: int, *, detach: bool) -> Response[Any]:
    """A child cannot be without its parent: detaching deletes it, attaching never moves it."""
    if not detach:
        raise BadRequest({"msg": "The parent of an existing object cannot be changed here."})
    async with call.read() as view:
        sql = f'select t."{related.through}" from "{related.kind}" t where t."id" = $1'  # noqa: S608 - names from declarations
        owner = await view.value(sql, number)
    if owner != call.target.id:
        return empty(204)
    appended = await submit(call, prepare_for(Delete(kind=related.kind, id=number), call.services))
    await caught_up(call, appended)
    return empty(204, position_header(appended))


async def _shown(
    call: Call, resource: Resource, number: int, appended: Appended, *, ready: bool
) -> dict[str, Any]:
    """Return an object's detail; from the decided state while the read model lags behind."""
    async with call.read() as view:
        if ready:
            found = await render.one(view, call.who, resource.kind, number)
            if found is not None:
                return found
        row = await _decided(view, resource, number, appended)
        return (await render.page(view, call.who, resource.kind, [row], detail=True))[0]


async def _decided(
    view: View, resource: Resource, number: int, appended: Appended
) -> dict[str, Any]:
    """Return the row that the read model will hold once it has the appended events."""
    at, by = appended.context.at, appended.context.actor.id
    facts = visibility.fact_columns(resource.kind)
    sql = f'select t.*{facts} from "{resource.kind}" t where t."id" = $1'  # noqa: S608 - names from declarations
    row = dict(await view.row(sql, number) or {"id": number, "created": at, "created_by": by})
    row |= {"modified": at, "modified_by": by}
    for event in appended.events:
        if isinstance(event, ResourceCreated) and event.id == number:
            defaults = {field.name: field.default for field in resource.fields.values()}
            row |= {**defaults, **event.values}
        elif isinstance(event, ResourceUpdated) and event.id == number:
            row |= event.changes
    for path in access.paths(resource.kind):
        row[visibility.alias(path)] = row.get(path[0]) if len(path) == 1 else None
    row.setdefault("@organizations", [])
    return row
