"""Copying an object: its settings under a new name, and what belongs to it (``api.md`` 1.12).

A credential's secrets are kept: they are opened and sealed again for the copy. An inventory takes
its groups and hosts along. What is attached to a template is attached to its copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Response

from controlplane.api import guards, lookup_copying, workflow_copying
from controlplane.api.call import Call
from controlplane.api.computed import ASK, secret_ids
from controlplane.api.errors import BadRequest, Missing, PermissionDenied
from controlplane.api.resource_writes import append_object, created_answer, made_in
from controlplane.api.tables import link_table, table_of
from controlplane.api.writes import caught_up, submit, together
from controlplane.domain import access
from controlplane.domain.facts import decoded
from controlplane.domain.resource import Assign, BulkCreate, Command, Link
from controlplane.shell.read_model import Row, View
from controlplane.shell.resource_commands import prepare_for
from schemas.notification_types import NOTIFICATION_TYPES
from schemas.resource import RESOURCES, Related, Resource

SKIPPED = frozenset({"name", "local_path"})
"""Fields that a copy does not take over."""
SECRET_HOLDERS = {"credential": "inputs", "notification_template": "notification_configuration"}
"""Kind to the field whose entries are sealed in part."""
BORROWED = frozenset({"credential", "inventory"})
"""Kinds that a copy takes along only where its maker may use them."""
SURVEYED = ("job_template", "workflow_job_template")
CHILDREN = {"inventory": ("host", "group")}
"""Kinds that a copy takes along, by the kind they belong to."""
MEMBERSHIPS = {"inventory": (("group", "hosts", "host"), ("group", "children", "group"))}
"""(kind, relation, kind of target) between the children that a copy takes along."""


async def copy_object(call: Call, resource: Resource, body: dict[str, Any]) -> Response[Any]:
    """Copy an object under a new name: 201 with the copy's detail."""
    if not body.get("name"):
        raise BadRequest({"name": ["This field is required."]})
    async with call.read() as view:
        row = await _row(view, resource.kind, call.target.id)
        if row is None:
            raise Missing(table_of(resource.kind).verbose)
        if not await _may_borrow(call, view, resource):
            raise PermissionDenied
        values = await _values(call, view, resource, row)
        looked_up = await lookup_copying.sources(call, view, resource.kind)
    appended = await append_object(call, resource, {**values, "name": body["name"]})
    made = made_in(appended)
    if made is not None and await caught_up(call, appended):
        await _attach(call, resource, made)
        await lookup_copying.copy_sources(call, looked_up, made)
        if resource.kind in SURVEYED:
            await _copy_survey(call, row, made)
        if resource.kind == workflow_copying.WORKFLOW:
            await workflow_copying.copy_nodes(call, made)
        if resource.kind in CHILDREN:
            await _copy_children(call, resource.kind, made)
    return await created_answer(call, resource, appended)


async def copy_info(call: Call, resource: Resource) -> dict[str, Any]:
    """Return whether the caller may copy an object, and what a copy would lack."""
    async with call.read() as view:
        allowed = access.may(call.who, "copy", resource.kind, call.facts) and await _may_borrow(
            call, view, resource
        )
    more = await workflow_copying.losses(call) if resource.kind == workflow_copying.WORKFLOW else {}
    return {"can_copy": allowed, **more}


async def _copy_survey(call: Call, row: Row, made: int) -> None:
    """Give a copy the survey, its secret defaults opened until they are sealed again."""
    spec, kind = decoded(row["survey_spec"]), call.target.kind
    if not spec:
        return
    asked = [
        {**each, "default": await call.services.vault.open(kind, row["id"], each["default"])}
        if each["type"] == "password" and each.get("default")
        else each
        for each in spec["spec"]
    ]
    command = Assign(kind=kind, id=made, changes={"survey_spec": {**spec, "spec": asked}})
    await caught_up(call, await submit(call, prepare_for(command, call.services)))


async def _row(view: View, kind: str, object_id: int) -> Row | None:
    sql = f'select t.* from "{kind}" t where t."id" = $1'  # noqa: S608 - names from declarations
    return await view.row(sql, object_id)


async def _values(call: Call, view: View, resource: Resource, row: Row) -> dict[str, Any]:
    """Return the body that makes an object with the same settings."""
    values: dict[str, Any] = {}
    for field in resource.fields.values():
        value = row[field.name]
        if field.name in SKIPPED or field.read_only or value is None:
            continue
        if field.json is not None and field.json.form == "object":
            value = msgspec.json.decode(value) if isinstance(value, str) else value
        values[field.name] = value
    holder = SECRET_HOLDERS.get(resource.kind)
    if holder is not None:
        secret = await _secrets(view, resource.kind, row)
        values[holder] = await _opened(call, (resource.kind, row["id"]), values[holder], secret)
    return values


async def _secrets(view: View, kind: str, row: Row) -> frozenset[str]:
    """Return which entries of an object's secret-holding field are sealed."""
    if kind == "notification_template":
        return NOTIFICATION_TYPES[row["notification_type"]].secrets
    types = await view.named("credential_type_inputs", [row["credential_type"]])
    schema = types[0]["inputs"]
    return frozenset(secret_ids(msgspec.json.decode(schema) if isinstance(schema, str) else schema))


async def _opened(
    call: Call, owner: tuple[str, int], entries: dict[str, Any], secret: frozenset[str]
) -> dict[str, Any]:
    """Return entries in the clear, for the moment until they are sealed again."""
    vault = call.services.vault
    return {
        name: await vault.open(*owner, value)
        if name in secret and value not in ("", ASK)
        else value
        for name, value in entries.items()
    }


async def _attach(call: Call, resource: Resource, made: int) -> None:
    """Attach to the copy what is attached to the original, in the same order."""
    async with call.read() as view:
        commands = [
            Link(kind=resource.kind, id=made, relation=related.name, target=target)
            for related in _kept(resource)
            for target in await _attached(call, view, resource, related)
        ]
    for command in commands:
        await caught_up(call, await submit(call, together([command], call.services)))


def _kept(resource: Resource) -> Iterator[Related]:
    """Yield the lists whose members a copy has as well."""
    for related in resource.related:
        if related.attach and not (related.inverse_of or related.role or related.field):
            yield related


async def _attached(call: Call, view: View, resource: Resource, related: Related) -> list[int]:
    table = link_table(resource.kind, related.name)
    sql = f'select "target" from "{table}" where "id" = $1 order by "position"'  # noqa: S608 - names from declarations
    return [row["target"] for row in await view.fetch(sql, call.target.id)]


async def _may_borrow(call: Call, view: View, resource: Resource) -> bool:
    """Return whether the caller may use what a copy would use in their name."""
    used = [
        (related.kind, target)
        for related in _kept(resource)
        if related.kind in BORROWED
        for target in await _attached(call, view, resource, related)
    ]
    return all([await guards.may(view, call.who, "use", *each) for each in used])


async def _copy_children(call: Call, kind: str, made: int) -> None:
    """Copy what belongs to the object, then who is a member of what among it."""
    new: dict[tuple[str, int], int] = {}
    creations: list[Command] = []
    async with call.read() as view:
        for child in CHILDREN[kind]:
            command = await _bulk(call, view, child, (kind, made), new)
            if command.items:
                creations.append(command)
        links: list[Command] = [
            Link(
                kind=near,
                id=new[near, row["id"]],
                relation=relation,
                target=new[far, row["target"]],
            )
            for near, relation, far in MEMBERSHIPS[kind]
            for row in await _links(view, near, relation, [n for of, n in new if of == near])
            if (far, row["target"]) in new
        ]
    for step in (creations, links):
        if step:
            await caught_up(call, await submit(call, together(step, call.services)))


async def _bulk(
    call: Call,
    view: View,
    child: str,
    parent: tuple[str, int],
    new: dict[tuple[str, int], int],
) -> BulkCreate:
    kind, made = parent
    sql = f'select t.* from "{child}" t where t."{kind}" = $1 order by t."id"'  # noqa: S608 - names from declarations
    rows = await view.fetch(sql, call.target.id)
    numbers = await call.services.numbers.take(child, len(rows)) if rows else range(0)
    items: list[tuple[int, dict[str, Any]]] = []
    for row, number in zip(rows, numbers, strict=True):
        new[child, row["id"]] = number
        values = {
            field.name: row[field.name]
            for field in RESOURCES[child].fields.values()
            if not field.read_only and row[field.name] is not None
        }
        items.append((number, {**values, kind: made}))
    return BulkCreate(kind=child, items=tuple(items))


async def _links(view: View, kind: str, relation: str, ids: list[int]) -> list[Row]:
    table = link_table(kind, relation)
    sql = f'select "id", "target" from "{table}" where "id" = any($1) order by "position"'  # noqa: S608 - names from declarations
    return await view.fetch(sql, ids)
