"""The one decider of declared resources: commands in, events out, by the declarations alone.

``read`` turns a command's bodies into values once; ``decide`` looks at facts and answers with a
``Decision``, with ``Lacking`` when facts must be loaded first, or raises ``Rejected``. What a
kind's declaration cannot say stands in ``controlplane/domain/checks/<kind>.py``. Deciding a command
again on the state it led to yields no events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, assert_never

from msgspec import Struct

import schemas.resources  # noqa: F401 - declares every kind
from controlplane.domain import checks, field_values, keys
from controlplane.domain.checks.draft import Companion, Draft, Relation
from controlplane.domain.errors import Denied, InUse, Invalid, NotFound, Refused, Rejected
from controlplane.domain.facts import Facts, Find, Given, Lacking, Object, Row
from schemas.events.access import RoleGranted, RoleRevoked
from schemas.events.resource import (
    ResourceCreated,
    ResourceDeleted,
    ResourceLinked,
    ResourceUnlinked,
    ResourceUpdated,
)
from schemas.registry import Event
from schemas.resource import RESOURCES, Field, Resource

Errors = dict[str, Any]


class Attach(Struct, frozen=True, kw_only=True):
    """The new object joins this relation of an object."""

    kind: str
    id: int
    relation: str


class Create(Struct, frozen=True, kw_only=True):
    """Make an object from a request body; the id is allotted before."""

    kind: str
    id: int
    values: Mapping[str, Any]
    attach: Attach | None = None
    """For labels: one that exists already is attached instead of being refused."""
    companions: Mapping[str, Companion] = {}
    """By kind: what the system makes along with it, if the object calls for it."""


class BulkCreate(Struct, frozen=True, kw_only=True):
    """Make many objects of a kind in one transaction, or none."""

    kind: str
    items: tuple[tuple[int, Mapping[str, Any]], ...]
    """(id, body) in order."""
    copied: bool = False
    """Copies: what they prompt for is not held against what they run, which may have changed."""


class Update(Struct, frozen=True, kw_only=True):
    """Change fields of an object; not ``partial`` (PUT) demands the required ones."""

    kind: str
    id: int
    changes: Mapping[str, Any]
    partial: bool = True


class Assign(Struct, frozen=True, kw_only=True):
    """Set fields of an object that no body sets: its survey, its key for webhooks."""

    kind: str
    id: int
    changes: Mapping[str, Any]


class Delete(Struct, frozen=True, kw_only=True):
    """Remove an object and all that cascades from it."""

    kind: str
    id: int


class Link(Struct, frozen=True, kw_only=True):
    """Attach a target to a relation of an object; the relation may be the inverse of another's."""

    kind: str
    id: int
    relation: str
    target: int
    copied: bool = False
    """The object is a copy, and what it was copied from holds the target."""


class Unlink(Struct, frozen=True, kw_only=True):
    """Detach a target from a relation of an object."""

    kind: str
    id: int
    relation: str
    target: int


class BulkDelete(Struct, frozen=True, kw_only=True):
    """Remove many objects of a kind in one transaction; one that is gone already is no error."""

    kind: str
    ids: tuple[int, ...]


Command = Create | BulkCreate | Update | Assign | Delete | BulkDelete | Link | Unlink


class Item(Struct, frozen=True, kw_only=True):
    """One object's body as read: values by field, and what could not be read."""

    id: int
    values: Mapping[str, Any]
    errors: Errors


class Plan(Struct, frozen=True, kw_only=True):
    """A command with its bodies read; reading needs no facts and is done once."""

    command: Command
    items: tuple[Item, ...] = ()


class Decision(Struct, frozen=True, kw_only=True):
    """What a command comes to: no events when it changes nothing."""

    kind: str
    id: int
    """The primary object: the transaction's subject."""
    events: tuple[Event, ...]
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    home: tuple[str, int] | None = None
    """The object whose subject keeps the events, when it is not the primary one's own."""
    made: tuple[int, ...] = ()
    """Ids that a creation stands for: its own, or that of a label which existed already."""


def read(command: Command) -> Plan:
    """Read a command's bodies; what does not fit is kept as errors for ``decide`` to raise."""
    match command:
        case Create():
            bodies = [(command.id, command.values)]
        case BulkCreate():
            bodies = list(command.items)
        case Update():
            bodies = [(command.id, command.changes)]
        case Assign() | Delete() | BulkDelete() | Link() | Unlink():
            return Plan(command=command)
        case _ as never:
            assert_never(never)
    update = isinstance(command, Update)
    complete = not (isinstance(command, Update) and command.partial)
    resource = RESOURCES[command.kind]
    fixed = {
        field.name
        for field in resource.fields.values()
        if field.read_only or (update and _fixed(field))
    }
    items = (_item(resource, number, body, fixed, complete=complete) for number, body in bodies)
    return Plan(command=command, items=tuple(items))


def decide(plan: Plan, facts: Facts) -> Decision | Lacking:
    """Decide a command on these facts; raises Rejected, but only when no fact is lacking."""
    facts.begin()
    try:
        decision = _decide(plan, facts)
    except Rejected:
        if facts.lacking:
            return Lacking(lookups=facts.lacking)
        raise
    if facts.lacking:
        return Lacking(lookups=facts.lacking)
    return decision


def _decide(plan: Plan, facts: Facts) -> Decision:
    match plan.command:
        case Create() as command:
            return _create(command, plan.items[0], facts)
        case BulkCreate() as command:
            return _bulk_create(command, plan.items, facts)
        case Update() as command:
            return _update(command, plan.items[0], facts)
        case Assign() as command:
            return _assign(command, facts)
        case Delete() as command:
            return _delete(command, facts)
        case BulkDelete() as command:
            return _bulk_delete(command, facts)
        case Link() | Unlink() as command:
            return _link(command, facts)
        case _ as never:
            assert_never(never)


def _fixed(field: Field) -> bool:
    """Return whether a field keeps the value that it was made with."""
    return field.once or (field.ref is not None and field.ref.fixed)


def _item(
    resource: Resource, number: int, body: Mapping[str, Any], fixed: set[str], *, complete: bool
) -> Item:
    """Read one body; unknown keys and those that no body may set are ignored."""
    values: dict[str, Any] = {}
    errors: Errors = {}
    for name, field in resource.fields.items():
        if name in fixed:
            if isinstance(given := body.get(name), Given):
                values[name] = given.value
            continue
        if name not in body:
            if complete and field.required:
                errors[name] = [field_values.REQUIRED]
            continue
        try:
            values[name] = field_values.read(field, body[name])
        except field_values.Unreadable as error:
            errors[name] = [str(error)]
    return Item(id=number, values=values, errors=errors)


def _draft(
    resource: Resource, item: Item, before: Row | None, facts: Facts, *, copied: bool = False
) -> Draft:
    """Return the object as the command would leave it; raises Invalid with the field errors."""
    errors = {name: list(texts) for name, texts in item.errors.items()}
    for name, value in item.values.items():
        ref = resource.fields[name].ref
        if ref is not None and value is not None and facts.referenced(ref.kind, value) is None:
            errors[name] = [field_values.missing_pk(value)]
    if errors:
        raise Invalid(errors)
    start = before if before is not None else {n: f.default for n, f in resource.fields.items()}
    draft = Draft(
        kind=resource.kind,
        id=item.id,
        before=before,
        values={name: start[name] for name in resource.fields} | dict(item.values),
        given=frozenset(item.values),
        copied=copied,
    )
    _refuse_moves(resource, draft)
    checks.check(draft, facts)
    if draft.errors:
        raise Invalid(draft.errors)
    return draft


def _refuse_moves(resource: Resource, draft: Draft) -> None:
    for field in resource.fields.values():
        fixed = draft.before is not None and field.ref is not None and field.ref.immutable
        if fixed and draft.changed(field.name):
            raise Denied(f"Unable to change {field.name} on a {resource.verbose.lower()}.")


def _created(draft: Draft) -> ResourceCreated:
    return ResourceCreated(kind=draft.kind, id=draft.id, values=draft.values)


def _create(command: Create, item: Item, facts: Facts) -> Decision:
    resource = RESOURCES[command.kind]
    if facts.row(command.kind, command.id) is not None:
        return Decision(kind=command.kind, id=command.id, events=(), made=(command.id,))
    draft = _draft(resource, item, None, facts)
    taken = keys.unique_keys(resource, draft)
    if command.attach is not None and command.kind == "label":
        existing = facts.find("label", taken[0][1].fields, taken[0][1].values)
        if existing:
            return _attach_existing(command.attach, existing[0], facts)
    if errors := keys.duplicates(taken, command.id, facts):
        raise Invalid(errors)
    follow = tuple(checks.consequences(draft, facts, command.companions))
    events: list[Event] = [_created(draft), *follow]
    writes = keys.written(resource, draft) | keys.touched(follow)
    if command.attach is not None:
        relation = _attached(command.attach, command, draft.values, facts)
        if relation is not None:
            checks.link(relation, facts)
            events.append(_linked(relation))
            writes |= _link_keys(relation)
    return Decision(
        kind=command.kind,
        id=command.id,
        events=tuple(events),
        reads=facts.reads,
        writes=frozenset(writes),
        home=_home(resource, draft.values),
        made=(command.id,),
    )


def _home(resource: Resource, values: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the object that an object's events are kept with."""
    ref = resource.fields[resource.kept_with].ref if resource.kept_with else None
    return None if ref is None else (ref.kind, values[resource.kept_with])


def _attached(
    attach: Attach, command: Create, values: Mapping[str, Any], facts: Facts
) -> Relation | None:
    """Return the relation that a new object joins, seen from the side that holds it."""
    owner = facts.referenced(attach.kind, attach.id)
    if owner is None:
        raise NotFound(RESOURCES[attach.kind].verbose)
    related = checks.related(attach.kind, attach.relation)
    if related.through:
        return None
    if related.inverse_of:
        return Relation(
            kind=command.kind,
            related=checks.related(command.kind, related.inverse_of),
            id=command.id,
            target=attach.id,
            source_row=values,
            target_row=owner,
        )
    return Relation(
        kind=attach.kind,
        related=related,
        id=attach.id,
        target=command.id,
        source_row=owner,
        target_row=values,
    )


def _attach_existing(attach: Attach, target: int, facts: Facts) -> Decision:
    link = Link(kind=attach.kind, id=attach.id, relation=attach.relation, target=target)
    decision = _link(link, facts)
    return Decision(
        kind=decision.kind,
        id=decision.id,
        events=decision.events,
        reads=decision.reads,
        writes=decision.writes,
        made=(target,),
    )


def _bulk_create(command: BulkCreate, items: tuple[Item, ...], facts: Facts) -> Decision:
    resource = RESOURCES[command.kind]
    new = [item for item in items if facts.row(command.kind, item.id) is None]
    drafts: list[Draft] = []
    problems: list[dict[str, Any]] = []
    for item in new:
        try:
            drafts.append(_draft(resource, item, None, facts, copied=command.copied))
            problems.append({})
        except Invalid as error:
            problems.append(error.body)
    if any(problems):
        raise Invalid({resource.plural: problems})
    claimed = [pair for draft in drafts for pair in keys.unique_keys(resource, draft)]
    taken = Counter(key for _, key in claimed)
    twice = [key for key, times in taken.items() if times > 1 or facts.find(*_parts(key))]
    if twice:
        raise Invalid({"__all__": [keys.taken_twice(command.kind, claimed[0][0], twice)]})
    writes = {key for draft in drafts for key in keys.written(resource, draft)}
    return Decision(
        kind=command.kind,
        id=items[0].id if items else 0,
        events=tuple(_created(draft) for draft in drafts),
        reads=facts.reads,
        writes=frozenset(writes),
        made=tuple(item.id for item in items),
    )


def _parts(key: Find) -> tuple[str, tuple[str, ...], tuple[Any, ...]]:
    return key.kind, key.fields, key.values


def _update(command: Update, item: Item, facts: Facts) -> Decision:
    resource = RESOURCES[command.kind]
    before = facts.referenced(command.kind, command.id)
    if before is None:
        raise NotFound(resource.verbose)
    draft = _draft(resource, item, before, facts)
    if errors := keys.duplicates(keys.unique_keys(resource, draft), command.id, facts):
        raise Invalid(errors)
    changes = {name: draft.values[name] for name in resource.fields if draft.changed(name)}
    was = {name: value for name, value in _told(resource, before).items() if name in changes}
    event = ResourceUpdated(kind=command.kind, id=command.id, changes=changes, was=was)
    follow = tuple(checks.consequences(draft, facts, {}))
    return Decision(
        kind=command.kind,
        id=command.id,
        events=(*follow, event) if changes else (),
        reads=facts.reads,
        writes=frozenset(keys.written(resource, draft) | keys.touched(follow)),
        home=_home(resource, draft.values),
        made=(command.id,),
    )


def _told(resource: Resource, row: Row) -> dict[str, Any]:
    """Return what may be told of an object as it was: its fields without secrets."""
    fields = resource.fields.values()
    return {field.name: row[field.name] for field in fields if not field.holds_secrets}


def _assign(command: Assign, facts: Facts) -> Decision:
    resource = RESOURCES[command.kind]
    before = facts.referenced(command.kind, command.id)
    if before is None:
        raise NotFound(resource.verbose)
    draft = Draft(
        kind=command.kind,
        id=command.id,
        before=before,
        values={name: before[name] for name in resource.fields} | dict(command.changes),
        given=frozenset(command.changes),
    )
    checks.assign(draft, facts)
    changes = {name: draft.values[name] for name in resource.fields if draft.changed(name)}
    was = {name: value for name, value in _told(resource, before).items() if name in changes}
    event = ResourceUpdated(kind=command.kind, id=command.id, changes=changes, was=was)
    return Decision(
        kind=command.kind,
        id=command.id,
        events=(event,) if changes else (),
        reads=facts.reads,
        writes=frozenset({Object(command.kind, command.id).key}),
    )


def _delete(command: Delete, facts: Facts) -> Decision:
    resource = RESOURCES[command.kind]
    row = facts.referenced(command.kind, command.id)
    if row is None:
        return Decision(kind=command.kind, id=command.id, events=())
    event, writes = _gone(resource, command.id, row, facts)
    return Decision(
        kind=command.kind,
        id=command.id,
        events=(event,),
        reads=facts.reads,
        writes=writes,
        home=_home(resource, row),
    )


def _gone(
    resource: Resource, number: int, row: Row, facts: Facts
) -> tuple[ResourceDeleted, frozenset[str]]:
    """Return the deletion of an object that nothing holds, and the keys it writes."""
    along = checks.delete(resource.kind, number, row, facts)
    if resource.job_holder:
        held = "inventory" if resource.parent == "inventory" else resource.kind
        of = row["inventory"] if resource.parent == "inventory" else number
        jobs = facts.active_jobs(Object(held, of).key)
        if jobs:
            raise InUse(jobs)
    event = ResourceDeleted(kind=resource.kind, id=number, was=_told(resource, row))
    return event, frozenset({Object(resource.kind, number).key, *along})


def _bulk_delete(command: BulkDelete, facts: Facts) -> Decision:
    resource = RESOURCES[command.kind]
    rows = {number: facts.referenced(command.kind, number) for number in command.ids}
    parts = [_gone(resource, n, row, facts) for n, row in rows.items() if row is not None]
    return Decision(
        kind=command.kind,
        id=command.ids[0] if command.ids else 0,
        events=tuple(event for event, _ in parts),
        reads=facts.reads,
        writes=frozenset().union(*(writes for _, writes in parts)),
    )


def _link(command: Link | Unlink, facts: Facts) -> Decision:
    relation = _relation(command, facts)
    if relation.related.field:
        return _hold(command, relation, facts)
    held = facts.linked(relation.kind, relation.related.name, relation.id, relation.target)
    attach = isinstance(command, Link)
    events: tuple[Event, ...] = ()
    if attach and not held:
        if relation.target_row is None:
            raise _no_match(relation.related.kind)
        if not (isinstance(command, Link) and command.copied):
            checks.link(relation, facts)
        events = (_linked(relation),)
    elif held and not attach:
        events = (_unlinked(relation),)
    return Decision(
        kind=relation.kind,
        id=relation.id,
        events=events,
        reads=facts.reads,
        writes=frozenset(_link_keys(relation)),
    )


def _hold(command: Link | Unlink, relation: Relation, facts: Facts) -> Decision:
    """Set or empty the field that holds a relation's one member."""
    name = relation.related.field
    held = relation.source_row[name] == relation.target
    attach = isinstance(command, Link)
    if attach and not held:
        if relation.target_row is None:
            raise _no_match(relation.related.kind)
        checks.link(relation, facts)
    value = relation.target if attach else None
    was = {name: relation.source_row[name]}
    event = ResourceUpdated(kind=relation.kind, id=relation.id, changes={name: value}, was=was)
    return Decision(
        kind=relation.kind,
        id=relation.id,
        events=() if attach is held else (event,),
        reads=facts.reads,
        writes=frozenset({Object(relation.kind, relation.id).key}),
    )


def _no_match(kind: str) -> Refused:
    name = checks.verbose(kind).replace(" ", "")
    return Refused({"detail": f"{name} matching query does not exist."})


def _relation(command: Link | Unlink, facts: Facts) -> Relation:
    """Return the relation of a command, seen from the side that holds it."""
    related = checks.related(command.kind, command.relation)
    own = facts.referenced(command.kind, command.id)
    if own is None:
        raise NotFound(checks.verbose(command.kind))
    other = facts.referenced(related.kind, command.target)
    if not related.inverse_of:
        return Relation(
            kind=command.kind,
            related=related,
            id=command.id,
            target=command.target,
            source_row=own,
            target_row=other,
        )
    if other is None:
        raise _no_match(related.kind)
    return Relation(
        kind=related.kind,
        related=checks.related(related.kind, related.inverse_of),
        id=command.target,
        target=command.id,
        source_row=other,
        target_row=own,
    )


def _link_keys(relation: Relation) -> set[str]:
    """Return the keys a link writes: both ends, for a deletion may hang on either."""
    return {
        Object(relation.kind, relation.id).key,
        Object(relation.related.kind, relation.target).key,
    }


def _linked(relation: Relation) -> Event:
    if relation.related.role:
        return RoleGranted(
            user=relation.target,
            kind=relation.kind,
            object_id=relation.id,
            role=relation.related.role,
        )
    return ResourceLinked(
        kind=relation.kind,
        id=relation.id,
        relation=relation.related.name,
        target=relation.target,
    )


def _unlinked(relation: Relation) -> Event:
    if relation.related.role:
        return RoleRevoked(
            user=relation.target,
            kind=relation.kind,
            object_id=relation.id,
            role=relation.related.role,
        )
    return ResourceUnlinked(
        kind=relation.kind,
        id=relation.id,
        relation=relation.related.name,
        target=relation.target,
    )
