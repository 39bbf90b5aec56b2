"""The declaration language: a declared resource is its typed state, and all else derives from it.

A declaration is a frozen Struct whose ``Annotated`` fields carry ``msgspec.Meta`` (bounds),
``Ref``, ``Secret``, ``ReadOnly``, ``Json`` or ``Help``; ``@resource`` adds what concerns the whole
kind. From it derive events, create and patch bodies, routes, OPTIONS, table columns, filters,
``related`` links, ``summary_fields`` and permissions.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

OnDelete = Literal["cascade", "set_null", "protect"]


class Ref(Struct, frozen=True):
    """The field holds another resource's id.

    ``cascade``: goes with it; ``set_null``: is emptied.
    """

    kind: str
    on_delete: OnDelete = "set_null"
    summary: str = ""
    """Key in ``related`` and ``summary_fields``; empty for the field's own name."""
    immutable: bool = False
    fixed: bool = False
    """Set when the object is made; what a later body says is ignored."""


class Secret(Struct, frozen=True):
    """Stored encrypted (or hashed), shown as ``$encrypted$``, never filtered on."""

    hashed: bool = False
    """True for what is kept as a hash instead of being encrypted: passwords, client secrets."""
    stars: str = "$encrypted$"
    """What it reads as."""
    always: bool = False
    """True when it reads so even where there is none."""


class Json(Struct, frozen=True):
    """``text``: a JSON/YAML *string* both ways (variables); ``object``: a JSON value."""

    form: Literal["text", "object"] = "text"
    sealed: bool = False
    """Some entries of the object are secrets: stored sealed, told to no auditor."""


class Choices(Struct, frozen=True):
    """The field takes one of these values: (value, label) pairs, in the order shown."""

    pairs: tuple[tuple[Any, str], ...]


class ReadOnly(Struct, frozen=True):
    """Set by the system, not by a body."""


class Once(Struct, frozen=True):
    """Set by the body that makes the object; what later bodies say of it is ignored."""


class Help(Struct, frozen=True):
    """The help text and label shown by OPTIONS."""

    text: str = ""
    label: str = ""


class Hidden(Struct, frozen=True):
    """Stored but not part of an API answer."""


class Related(Struct, frozen=True, kw_only=True):
    """A sub-list of a resource, such as ``/groups/N/hosts/``.

    ``through``: the field on the other kind that points back (a one-to-many list, POST creates with
    it preset); otherwise a many-to-many relation kept by links (``attach``).
    """

    name: str
    """Path segment and key in ``related``."""
    kind: str
    """The other kind; jobs are served by hand-written routes and not declared here."""
    through: str = ""
    attach: bool = False
    inverse_of: str = ""
    """The other kind's relation that holds these links (``host.groups``: ``group.hosts``)."""
    create: bool = False
    """POST without id creates and attaches."""
    ordered: bool = False
    """Attachment order is kept."""
    field: str = ""
    """The field that holds the list's one member: attaching sets it and detaching empties it."""
    role: str = ""
    """The relation is who holds this object role: attaching grants it and detaching revokes it."""
    made: bool = False
    """The system alone makes its links, as updates do; hand-written routes show them."""

    @property
    def kept(self) -> bool:
        """Return whether the relation has links of its own, told by events."""
        return (self.attach or self.made) and not (self.inverse_of or self.role or self.field)


class Unique(Struct, frozen=True, kw_only=True):
    """Values of these fields together stand once; the message is AWX's, under ``key``."""

    fields: tuple[str, ...]
    message: str
    key: str = "__all__"
    nulls_distinct: bool = False
    """True when rows that have null in one of the fields never collide, as in SQL."""


class Field(Struct, frozen=True, kw_only=True):
    """One field of a declaration, with its annotations sorted out."""

    name: str
    type: Any
    """The type without annotations: ``str``, ``int``, ``bool``, ``dict``, .

    Possibly ``| None``.
    """
    base: str
    """``str``, ``int``, ``bool``, ``float``, ``json``, ``time`` or ``id``."""
    nullable: bool
    required: bool
    default: Any
    ref: Ref | None = None
    secret: Secret | None = None
    json: Json | None = None
    choices: Choices | None = None
    read_only: bool = False
    once: bool = False
    hidden: bool = False
    help: Help = Help()
    meta: Meta | None = None

    @property
    def holds_secrets(self) -> bool:
        """Return whether the field is a secret, or an object of which entries are."""
        return self.secret is not None or (self.json is not None and self.json.sealed)


class Resource(Struct, frozen=True, kw_only=True):
    """A declared resource: its struct and everything said about the kind."""

    kind: str
    """The name of the kind here, snake case."""
    type_name: str
    """AWX's ``type``: nearly always the kind."""
    plural: str
    """Path segment of its list."""
    verbose: str
    """As AWX names it in messages: ``Job Template``, ``Organization``."""
    model: str
    """The name of AWX's model, where it is not ``verbose`` without spaces."""
    struct: type[Struct]
    fields: dict[str, Field]
    sequence: str
    """Id counter: ``unified_job_template`` for job templates and projects, else the kind."""
    unique: tuple[Unique, ...]
    related: tuple[Related, ...]
    extra_links: dict[str, str]
    """``related`` entries that are sub-paths served by hand-written routes: key -> path segment."""
    roles: tuple[str, ...]
    """Object roles, AWX's role fields without ``_role``; empty when rights come from the parent."""
    parent: str
    """Field whose resource grants rights on this one (``inventory`` for hosts), or empty."""
    order: tuple[str, ...]
    search: tuple[str, ...]
    capabilities: tuple[str, ...]
    """Keys of ``summary_fields.user_capabilities``."""
    summary: tuple[str, ...]
    """Fields of this resource when it is summarised in another's ``summary_fields``."""
    named_url: tuple[str, ...]
    """Fields of its named URL: ``("name",)`` or ``("name", "organization.name")``."""
    copyable: bool
    has_created: bool
    listed: bool
    """There is a list of all objects of the kind."""
    authored: bool
    """``created_by`` and ``modified_by`` are shown."""
    deletable: bool
    read_only: bool
    """The system makes and changes it; the API shows it."""
    job_holder: bool
    """Active jobs that depend on it refuse its deletion with 409."""
    kept_with: str
    """Field whose object's subject in CONFIG holds this one's events, so that it tells of both."""
    job_kind: str
    """Of a unified job template: the type of the jobs it starts; empty for other kinds."""


RESOURCES: dict[str, Resource] = {}
"""By kind. Filled by importing ``schemas.resources``."""


def members(kind: str) -> tuple[str, ...]:
    """Return the kinds that a reference to ``kind`` may lead to: itself, or those that share ids.

    No kind is called ``unified_job_template``: templates, projects and sources count their ids by
    that name, so an id tells which of them is meant.
    """
    if kind in RESOURCES:
        return (kind,)
    sharing = tuple(each.kind for each in RESOURCES.values() if each.sequence == kind)
    return sharing or (kind,)


S = TypeVar("S", bound=type[Struct])


def resource(
    *,
    kind: str,
    plural: str,
    verbose: str,
    type_name: str = "",
    model: str = "",
    sequence: str = "",
    unique: tuple[Unique, ...] = (),
    related: tuple[Related, ...] = (),
    extra_links: dict[str, str] | None = None,
    roles: tuple[str, ...] = (),
    parent: str = "",
    order: tuple[str, ...] = ("name",),
    search: tuple[str, ...] = ("description", "name"),
    capabilities: tuple[str, ...] = ("edit", "delete"),
    summary: tuple[str, ...] = ("id", "name", "description"),
    named_url: tuple[str, ...] = (),
    copyable: bool = False,
    has_created: bool = True,
    listed: bool = True,
    authored: bool = True,
    deletable: bool = True,
    read_only: bool = False,
    job_holder: bool = False,
    kept_with: str = "",
    job_kind: str = "",
) -> Callable[[S], S]:
    """Declare a resource; see ``Resource`` for what each argument says."""

    def register(struct: S) -> S:
        RESOURCES[kind] = Resource(
            kind=kind,
            type_name=type_name or kind,
            plural=plural,
            verbose=verbose,
            model=model or verbose.replace(" ", ""),
            struct=struct,
            fields=fields_of(struct),
            sequence=sequence or kind,
            unique=unique,
            related=related,
            extra_links=extra_links or {},
            roles=roles,
            parent=parent,
            order=order,
            search=search,
            capabilities=capabilities,
            summary=summary,
            named_url=named_url,
            copyable=copyable,
            has_created=has_created,
            listed=listed,
            authored=authored and has_created,
            deletable=deletable,
            read_only=read_only,
            job_holder=job_holder,
            kept_with=kept_with,
            job_kind=job_kind,
        )
        return struct

    return register


def fields_of(struct: type[Struct]) -> dict[str, Field]:
    """Sort a declaration's annotations into Field records, in declared order."""
    hints = typing.get_type_hints(struct, include_extras=True)
    return {info.name: _field(info, hints[info.name]) for info in msgspec.structs.fields(struct)}


def _field(info: msgspec.structs.FieldInfo, hint: Any) -> Field:
    plain = hint
    marks: tuple[Any, ...] = ()
    if typing.get_origin(hint) is Annotated:
        plain, *rest = typing.get_args(hint)
        marks = tuple(rest)
    members = (
        typing.get_args(plain)
        if isinstance(plain, types.UnionType) or typing.get_origin(plain) is typing.Union
        else (plain,)
    )
    nullable = type(None) in members
    inner = next(member for member in members if member is not type(None))

    def mark(of: type) -> Any:
        return next((each for each in marks if isinstance(each, of)), None)

    default = info.default
    if info.default_factory is not msgspec.NODEFAULT:
        default = info.default_factory()
    return Field(
        name=info.name,
        type=plain,
        base=_base(inner, mark(Ref), mark(Json)),
        nullable=nullable,
        required=info.required,
        default=None if default is msgspec.NODEFAULT else default,
        ref=mark(Ref),
        secret=mark(Secret),
        json=mark(Json),
        choices=mark(Choices),
        read_only=mark(ReadOnly) is not None,
        once=mark(Once) is not None,
        hidden=mark(Hidden) is not None,
        help=mark(Help) or Help(),
        meta=mark(Meta),
    )


def _base(inner: Any, ref: Ref | None, json: Json | None) -> str:
    if ref is not None:
        return "id"
    if json is not None:
        return "json"
    names = {str: "str", bool: "bool", int: "int", float: "float", datetime: "time"}
    return names.get(inner, "json")


__all__ = [
    "RESOURCES",
    "UNSET",
    "Choices",
    "Field",
    "Help",
    "Hidden",
    "Json",
    "Meta",
    "Once",
    "ReadOnly",
    "Ref",
    "Related",
    "Resource",
    "Secret",
    "Unique",
    "UnsetType",
    "members",
    "resource",
]
