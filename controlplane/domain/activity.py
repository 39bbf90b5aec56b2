"""The log read as an audit trail: what each stored event did, to what, and from what to what.

Pure. Every event of CONFIG, JOBS and ACCESS that somebody could have caused becomes at least one
``Entry``; a kind of event that nobody thought of here is still told, by its name. The shape of
``changes`` is AWX's (``api.md`` 3.42); secrets are ``hidden``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from schemas import registry, subjects
from schemas.events.access import (
    LoginTried,
    RoleAssigned,
    RoleGranted,
    RoleRevoked,
    RoleUnassigned,
    TokenCreated,
    TokenRevoked,
    TokenUpdated,
)
from schemas.events.instance import InstanceAdjusted, InstanceRegistered
from schemas.events.job import JobCancelRequested, JobDeleted, JobLaunched
from schemas.events.resource import (
    ResourceCreated,
    ResourceDeleted,
    ResourceLinked,
    ResourceUnlinked,
    ResourceUpdated,
)
from schemas.events.setting import SETTINGS_ID, SettingsChanged
from schemas.registry import Event
from schemas.resource import RESOURCES
from schemas.role_definitions import role_of
from schemas.settings import SETTINGS

HIDDEN = "hidden"
_NOTICED_BY_MACHINES = ("job.", "instance.")
TOKEN = "o_auth2_access_token"  # noqa: S105 - AWX's name of the type


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the audit trail."""

    operation: str
    """``create``, ``update``, ``delete``, ``associate`` or ``disassociate``."""
    object1: str
    """A kind; empty for a job whose kind its launch has told."""
    id1: int
    object2: str = ""
    id2: int | None = None
    association: str = ""
    """For associations: the relation, or ``role``."""
    changes: dict[str, Any] = {}


def entries(subject: str, event: Event) -> Iterator[Entry]:
    """Yield what an event says to an auditor; nothing for what only machines noticed.

    ``subject`` is where it is stored: some events of a job do not repeat its id.
    """
    teller = _TELLERS.get(type(event))
    if isinstance(event, JobLaunched | JobCancelRequested | JobDeleted):
        yield _job(subjects.parse_job(subject), event)
    elif isinstance(event, TokenCreated | TokenUpdated | TokenRevoked):
        yield from _token(event)
    elif teller is not None:
        yield teller(event)
    elif not registry.tag_of(event).startswith(_NOTICED_BY_MACHINES):
        yield _other(event)


def _resource(event: ResourceCreated | ResourceUpdated | ResourceDeleted) -> Entry:
    match event:
        case ResourceCreated(kind=kind, id=number, values=values):
            changes = {"id": number, **_shown(kind, values)}
            return Entry(operation="create", object1=kind, id1=number, changes=changes)
        case ResourceUpdated(kind=kind, id=number, changes=new, was=old):
            before, after = _shown(kind, old), _shown(kind, new)
            changes = {
                name: [value if value == HIDDEN else before.get(name), value]
                for name, value in after.items()
            }
            return Entry(operation="update", object1=kind, id1=number, changes=changes)
        case ResourceDeleted(kind=kind, id=number, was=values):
            changes = {"id": number, **_shown(kind, values)}
            return Entry(operation="delete", object1=kind, id1=number, changes=changes)


def _shown(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    fields = RESOURCES[kind].fields
    return {
        name: HIDDEN if fields[name].holds_secrets else value
        for name, value in values.items()
        if name in fields
    }


def _link(event: ResourceLinked | ResourceUnlinked) -> Entry:
    target = next(
        related.kind for related in RESOURCES[event.kind].related if related.name == event.relation
    )
    word = "associate" if isinstance(event, ResourceLinked) else "disassociate"
    return _association(word, (event.kind, event.id), (target, event.target), event.relation)


def _role(event: RoleGranted | RoleRevoked) -> Entry:
    word = "associate" if isinstance(event, RoleGranted) else "disassociate"
    ends = (event.kind, event.object_id), ("user", event.user)
    return _association(word, *ends, "role", {"role": f"{event.role}_role"})


def _assignment(event: RoleAssigned | RoleUnassigned) -> Entry:
    word = "associate" if isinstance(event, RoleAssigned) else "disassociate"
    holder = ("user", event.user) if event.user else ("team", event.team)
    role = role_of(event.definition)
    named = {"role": f"{role}_role"} if role else {}
    changes = {"role_definition": event.definition, **named}
    return _association(word, (event.kind, event.object_id), holder, "role", changes)


def _settings(event: SettingsChanged) -> Entry:
    defaults = {name: SETTINGS[name].default for name in event.reset if name in SETTINGS}
    new = {**defaults, **event.values}
    changes = {
        name: [event.was[name], value] if name in event.was else [HIDDEN, HIDDEN]
        for name, value in new.items()
    }
    return Entry(operation="update", object1="setting", id1=SETTINGS_ID, changes=changes)


def _association(
    word: str,
    near: tuple[str, int],
    far: tuple[str, int],
    relation: str,
    more: dict[str, Any] | None = None,
) -> Entry:
    return Entry(
        operation=word,
        object1=near[0],
        id1=near[1],
        object2=far[0],
        id2=far[1],
        association=relation,
        changes={
            "object1": near[0],
            "object1_pk": near[1],
            "object2": far[0],
            "object2_pk": far[1],
            "action": word,
            "relationship": relation,
            **(more or {}),
        },
    )


def _token(event: TokenCreated | TokenUpdated | TokenRevoked) -> Iterator[Entry]:
    words = {TokenCreated: "create", TokenUpdated: "update", TokenRevoked: "delete"}
    fields = _builtins(event)
    known = ("id", "user", "application", "description", "scope", "expires")
    changes = {name: fields[name] for name in known if fields.get(name) is not None}
    yield Entry(operation=words[type(event)], object1=TOKEN, id1=event.id, changes=changes)
    if isinstance(event, TokenCreated) and event.replaces is not None:
        yield from _token(TokenRevoked(id=event.replaces))


_NEWER = frozenset({"isolation", "isolation_lacks"})
"""Facts of instances that older events lack: told where there are any."""


def _instance(event: InstanceRegistered | InstanceAdjusted) -> Entry:
    word = "create" if isinstance(event, InstanceRegistered) else "update"
    fields = _builtins(event)
    changes = {name: fields[name] for name in fields if fields[name] or name not in _NEWER}
    return Entry(operation=word, object1="instance", id1=event.id, changes=changes)


def _job(number: int, event: JobLaunched | JobCancelRequested | JobDeleted) -> Entry:
    match event:
        case JobLaunched():
            fields = _builtins(event)
            known = ("id", "name", "description", "launch_type", "organization", "template")
            changes = {name: fields[name] for name in known}
            kind = fields["record"]["kind"]
            return Entry(operation="create", object1=kind, id1=number, changes=changes)
        case JobCancelRequested():
            changes = {"cancel_flag": [False, True]}
            return Entry(operation="update", object1="", id1=number, changes=changes)
        case JobDeleted():
            return Entry(operation="delete", object1="", id1=number, changes={"id": number})


def _login(event: LoginTried) -> Entry:
    return Entry(operation="create", object1="login", id1=event.user or 0, changes=_builtins(event))


def _other(event: Event) -> Entry:
    """Tell of an event by its tag, with nothing of its content: that could hold a secret."""
    tag = registry.tag_of(event)
    number = getattr(event, "id", 0)
    known = number if isinstance(number, int) else 0
    changes = {"event": tag}
    return Entry(operation="update", object1=tag.split(".")[0], id1=known, changes=changes)


def _builtins(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(event)
    return found


_TELLERS: dict[type, Callable[[Any], Entry]] = {
    ResourceCreated: _resource,
    ResourceUpdated: _resource,
    ResourceDeleted: _resource,
    ResourceLinked: _link,
    ResourceUnlinked: _link,
    RoleGranted: _role,
    RoleRevoked: _role,
    RoleAssigned: _assignment,
    RoleUnassigned: _assignment,
    SettingsChanged: _settings,
    InstanceRegistered: _instance,
    InstanceAdjusted: _instance,
    LoginTried: _login,
}
