"""From an admitted request to an appended transaction, and to an answer that contains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api import visibility
from controlplane.api.call import Call
from controlplane.api.errors import PermissionDenied
from controlplane.api.tables import known
from controlplane.domain import access
from controlplane.domain.access import Principal
from controlplane.domain.field_values import reference
from controlplane.domain.resource import Command
from controlplane.shell.config_writer import (
    PROJECTION,
    Appended,
    ConfigView,
    Prepare,
    Prepared,
)
from controlplane.shell.read_model import Row, View
from controlplane.shell.resource_commands import CommandTools, prepare_for
from ops import clock, ids, telemetry
from schemas.envelope import Actor, Context
from schemas.resource import Resource

POSITION = "X-Playlog-Position"

PRIVILEGED: dict[str, tuple[str, ...]] = {
    "user": ("is_superuser", "is_system_auditor"),
    "organization": ("max_hosts",),
}
"""Fields that only a superuser may set to anything but their default, or change."""
GUARDED: dict[str, dict[str, tuple[str, str]]] = {
    "inventory": {"host_filter": ("organization", "add_inventory")}
}
"""Fields whose change needs a right on what another field refers to: its name and the verb."""
_OWNER = "organization"
_FALSE = (None, False, 0, "", "0", "false", "False", "f", "no", "off")


def context_of(actor: Actor) -> Context:
    """Return the context of a transaction that a request causes."""
    number = ids.new_id()
    return Context(
        id=number,
        at=clock.now(),
        actor=actor,
        correlation=number,
        traceparent=telemetry.current(),
    )


async def submit(call: Call, prepare: Prepare) -> Appended:
    """Append what ``prepare`` decides; raises Rejected, Unavailable included."""
    return await submit_as(call, prepare, call.who.id, call.who.username)


async def submit_as(call: Call, prepare: Prepare, user: int, username: str) -> Appended:
    """Append in the name of a user whom the body, not the request, identifies."""
    actor = Actor(kind="user", name=username, id=user)
    return await call.services.writer.submit(prepare, context_of(actor))


def together(commands: Sequence[Command], tools: CommandTools) -> Prepare:
    """Return one command that does several or none; they must not need one another."""

    async def prepare(view: ConfigView) -> Prepared:
        parts = [await prepare_for(command, tools)(view) for command in commands]
        return Prepared(
            subject=parts[0].subject,
            events=tuple(event for part in parts for event in part.events),
            reads=frozenset().union(*(part.reads for part in parts)),
            writes=frozenset().union(*(part.writes for part in parts)),
        )

    return prepare


async def caught_up(call: Call, appended: Appended) -> bool:
    """Wait for the read model to hold an appended transaction; False when that takes too long."""
    within_s = call.services.settings.write_wait_s
    return await call.services.catch_up.wait(PROJECTION, appended.position, within_s)


def position_header(appended: Appended) -> dict[str, str]:
    """Return the header that names where a write stands in CONFIG."""
    return {POSITION: str(appended.position)}


async def check_create(
    view: View, who: Principal, resource: Resource, body: Mapping[str, Any]
) -> None:
    """Raise 403 unless the caller may create an object with these references."""
    if not access.may_create(who, resource.kind):
        raise PermissionDenied
    if who.superuser:
        return
    for name in PRIVILEGED.get(resource.kind, ()):
        if body.get(name) not in _FALSE:
            raise PermissionDenied
    owners = access.OWNER_FIELDS.get(resource.kind, ())
    if owners and not any(reference(body.get(name)) is not None for name in owners):
        raise PermissionDenied
    await _check_references(view, who, resource, body, {})


async def check_update(
    view: View, who: Principal, resource: Resource, body: Mapping[str, Any], object_id: int
) -> None:
    """Raise 403 unless the caller may set the references and privileged fields that change."""
    if who.superuser:
        return
    sql = f'select t.* from "{resource.kind}" t where t."id" = $1'  # noqa: S608 - names from declarations
    row: Row = await view.row(sql, object_id) or {}
    for name in PRIVILEGED.get(resource.kind, ()):
        given = body.get(name, row.get(name))
        if given != row.get(name) and (given not in _FALSE or row.get(name) not in _FALSE):
            raise PermissionDenied
    for name, (field, verb) in GUARDED.get(resource.kind, {}).items():
        if name in body and body[name] != row.get(name):
            await _check_reference(view, who, resource, field, (row.get(field), verb))
    await _check_owner(view, who, resource, body, row)
    await _check_references(view, who, resource, body, row)


async def _check_references(
    view: View, who: Principal, resource: Resource, body: Mapping[str, Any], row: Row
) -> None:
    """An id that does not exist is left to the decider, which names it."""
    for field in resource.fields.values():
        ref, target = field.ref, reference(body.get(field.name))
        if ref is None or field.read_only or target is None or target == row.get(field.name):
            continue
        if known(ref.kind) and -(2**63) < target < 2**63:
            verb = access.ref_verb(resource.kind, field.name, ref.kind)
            await _check_reference(view, who, resource, field.name, (target, verb))


async def _check_owner(
    view: View, who: Principal, resource: Resource, body: Mapping[str, Any], row: Row
) -> None:
    """Raise 403 unless the caller may take the object away from the organization that has it."""
    name = _OWNER
    owned = name in access.OWNER_FIELDS.get(resource.kind, ()) and row.get(name) is not None
    if owned and name in body and reference(body[name]) != row[name]:
        verb = access.ref_verb(resource.kind, name, _OWNER)
        await _check_reference(view, who, resource, name, (row[name], verb))


async def _check_reference(
    view: View, who: Principal, resource: Resource, field: str, needed: tuple[Any, str]
) -> None:
    """Raise 403 when what a field refers to is there and the caller may not do ``needed`` to it."""
    ref, (target, verb) = resource.fields[field].ref, needed
    facts = None if ref is None else await visibility.load(view, ref.kind, target)
    if ref is not None and facts is not None and not access.may(who, verb, ref.kind, facts):
        raise PermissionDenied
