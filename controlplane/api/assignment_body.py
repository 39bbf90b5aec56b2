"""What a body asks to assign: definition, holder and object, or AWX's words why not."""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from msgspec import Struct

from controlplane.api import visibility
from controlplane.api.errors import BadRequest
from controlplane.api.installation import install_uuid
from controlplane.api.resource_ids import named_by
from controlplane.domain import access, field_values
from controlplane.domain.access import Facts, Principal
from controlplane.shell.access_commands import Holder
from controlplane.shell.read_model import View
from schemas.permissions import MODELS
from schemas.resource import RESOURCES, Field

NOT_SPECIFIED = "Object must be specified for this role assignment"
NO_OBJECT = "System role does not allow for object assignment"
_KINDS = {model.content_type: kind for kind, model in MODELS.items()}


class Wanted(Struct, frozen=True, kw_only=True):
    """A definition, who is to hold it, and the object; ``kind`` is empty for the whole system."""

    definition: int
    holder: Holder
    facts: Facts
    """Of the holder."""
    kind: str
    number: int
    object_facts: Facts


async def read(view: View, who: Principal, actor: str, body: dict[str, Any]) -> Wanted:
    """Read a body; what the caller cannot see does not exist for them. Raises BadRequest."""
    definition = _pk("role_definition", body.get("role_definition"), required=True)
    sql = 'select d."content_type" from "role_definition" d where d."id" = $1'
    rows = await view.fetch(sql, definition)
    if not rows:
        _refuse("role_definition", [field_values.missing_pk(definition)])
    holder, facts = await _actor(view, who, actor, body)
    kind = _KINDS.get(rows[0]["content_type"] or "", "")
    number, object_facts = await _object(view, who, kind, body)
    return Wanted(
        definition=definition,
        holder=Holder(**{actor: holder}),
        facts=facts,
        kind=kind,
        number=number,
        object_facts=object_facts,
    )


async def _actor(view: View, who: Principal, actor: str, body: dict[str, Any]) -> tuple[int, Facts]:
    other = f"{actor}_ansible_id"
    given = {name: body[name] for name in (actor, other) if body.get(name) not in (None, "")}
    if len(given) != 1:
        text = f"Provide exactly one of {actor} or {other}"
        raise BadRequest({actor: text, other: text})
    name, value = next(iter(given.items()))
    number: int | None = None
    if name == actor:
        number = _pk(actor, value)
    else:
        kind, number = await _by_ansible_id(view, other, value)
        number = number if kind == actor else None
    facts = None if number is None else await visibility.load(view, actor, number)
    if number is None or facts is None or not access.may(who, "read", actor, facts):
        _refuse(name, [field_values.missing_pk(value)])
    return number, facts


async def _object(view: View, who: Principal, kind: str, body: dict[str, Any]) -> tuple[int, Facts]:
    names = ("object_id", "object_ansible_id")
    given = {name: body[name] for name in names if body.get(name) not in (None, "")}
    if not kind:
        if given:
            _refuse("object_id", NO_OBJECT)
        return 0, Facts(ids={})
    if len(given) > 1:
        text = "Provide exactly one of object_id or object_ansible_id"
        raise BadRequest(dict.fromkeys(names, text))
    if not given:
        _refuse("object_id", NOT_SPECIFIED)
    name, value = next(iter(given.items()))
    number: int | None = None
    if name == "object_id":
        number = _pk(name, value)
    else:
        of, number = await _by_ansible_id(view, name, value)
        if of and of != kind:
            text = f"Object type of {of} does not match role type of {MODELS[kind].name}"
            _refuse(name, text)
    facts = None
    if number is not None and kind in RESOURCES:
        facts = await visibility.load(view, kind, number)
    if number is None or facts is None or not access.may(who, "read", kind, facts):
        _refuse(name, [field_values.missing_pk(value)])
    return number, facts


def _pk(name: str, value: Any, *, required: bool = False) -> int:
    """Return the id in a field of a body; raises BadRequest."""
    if value is None and required:
        _refuse(name, [field_values.REQUIRED])
    field = Field(name=name, type=int, base="id", nullable=False, required=True, default=None)
    try:
        found: int = field_values.read(field, value)
    except field_values.Unreadable as error:
        _refuse(name, [str(error)])
    return found


async def _by_ansible_id(view: View, name: str, value: Any) -> tuple[str, int | None]:
    text = value if isinstance(value, str) else ""
    try:
        uuid.UUID(text)
    except ValueError:
        _refuse(name, ["Must be a valid UUID."])
    found = named_by(await install_uuid(view), text)
    return ("", None) if found is None else found


def _refuse(name: str, problem: str | list[str]) -> NoReturn:
    raise BadRequest({name: problem})
