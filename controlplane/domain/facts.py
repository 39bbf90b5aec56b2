"""What a decision about declared resources looks at, and the lookups that are still lacking.

A decider asks ``Facts``; what is not there is noted in ``facts.lacking`` and answered as absent.
The shell loads what is lacking, in one query a kind, and decides again, until nothing is: so a rule
states what it reads simply by reading it. Everything looked at becomes a key of the command's read
set.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from schemas.events.setting import SETTINGS_ID
from schemas.resource import RESOURCES, members
from schemas.settings import SETTINGS

EPOCH = datetime.fromtimestamp(0, UTC)
Row = Mapping[str, Any]
DEPTH_MAX = 200
"""Levels of a JSON value; its walks are recursive."""
KIND = "@kind"
"""In a row found by an id that several kinds share: its kind."""


class Object(Struct, frozen=True):
    """One object of a kind."""

    kind: str
    id: int

    @property
    def key(self) -> str:
        """Return its key in read and write sets: ``organization:5``."""
        return f"{self.kind}:{self.id}"


class Find(Struct, frozen=True):
    """Which objects of a kind have these values in these fields."""

    kind: str
    fields: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def key(self) -> str:
        """Return its key in read and write sets: ``organization/name/acme``."""
        values = "/".join("" if value is None else str(value) for value in self.values)
        return f"{self.kind}/{','.join(self.fields)}/{values}"


class Targets(Struct, frozen=True):
    """What a relation of an object holds, in attachment order."""

    kind: str
    relation: str
    id: int


class Holders(Struct, frozen=True):
    """Which objects hold a target in a relation of their kind."""

    kind: str
    relation: str
    target: int


class Linked(Struct, frozen=True):
    """Whether a relation of an object holds a target."""

    kind: str
    relation: str
    id: int
    target: int


class ActiveJobs(Struct, frozen=True):
    """Active jobs that depend on an object (key ``kind:id``), as (id, type)."""

    key: str


class Content(Struct, frozen=True):
    """Playbooks in the newest content of a project; None while it is not known."""

    project: int


class SettingValue(Struct, frozen=True):
    """What administrators set a setting to; None while it has its default."""

    name: str


class Held(Struct, frozen=True, kw_only=True):
    """Every object role that a user holds directly, as (kind, object, role)."""

    user: int


Lookup = Object | Find | Targets | Holders | Linked | ActiveJobs | Content | SettingValue | Held

_ABSENT: dict[type, Any] = {
    Object: None,
    Find: (),
    Targets: (),
    Holders: (),
    Linked: False,
    ActiveJobs: (),
    Content: None,
    SettingValue: None,
    Held: frozenset(),
}


class Lacking(Struct, frozen=True, kw_only=True):
    """Lookups that must be loaded before a decision can stand."""

    lookups: tuple[Lookup, ...]


class Facts:
    """Answers to lookups at one position, and a note of what was asked and what was lacking."""

    def __init__(
        self,
        known: Mapping[Lookup, Any] | None = None,
        *,
        now: datetime = EPOCH,
        random: str = "0" * 64,
    ) -> None:
        """Start from known answers; a row is a mapping, the others as their lookup says.

        ``random``: hexadecimal digits that nobody can guess, for what a decision makes up.
        """
        self.now = now
        self.random = random
        self._known: dict[Lookup, Any] = dict(known or {})
        self._lacking: dict[Lookup, None] = {}
        self._reads: dict[str, None] = {}

    def learn(self, answers: Mapping[Lookup, Any]) -> None:
        """Take loaded answers in."""
        self._known.update(answers)

    def begin(self) -> None:
        """Forget what was asked: a decision starts."""
        self._lacking.clear()
        self._reads.clear()

    @property
    def lacking(self) -> tuple[Lookup, ...]:
        """Return the lookups asked for and not known since ``begin``."""
        return tuple(self._lacking)

    @property
    def reads(self) -> frozenset[str]:
        """Return the keys of what was looked at since ``begin``."""
        return frozenset(self._reads)

    def row(self, kind: str, object_id: int) -> Row | None:
        """Return an object's fields, or None when there is no such object.

        Where several kinds share ids, ``KIND`` in the row says which of them it is.
        """
        found: Row | None = None
        for each in members(kind):
            lookup = Object(each, object_id)
            self._reads[lookup.key] = None
            row: Row | None = self._ask(lookup)
            if row is not None:
                found = row if each == kind else {**row, KIND: each}
        return found

    def referenced(self, kind: str, object_id: int) -> Row | None:
        """Return an object's fields; its cascade ancestors join the read set.

        For it goes with them.
        """
        row = self.row(kind, object_id)
        actual = row.get(KIND, kind) if row is not None else kind
        if row is not None and actual in RESOURCES:
            for field in RESOURCES[actual].fields.values():
                above = row.get(field.name)
                if field.ref is not None and field.ref.on_delete == "cascade" and above is not None:
                    self.referenced(field.ref.kind, above)
        return row

    def find(self, kind: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> tuple[int, ...]:
        """Return the ids of objects with these values (null equals null)."""
        lookup = Find(kind, fields, values)
        self._reads[lookup.key] = None
        found: tuple[int, ...] = self._ask(lookup)
        return found

    def targets(self, kind: str, relation: str, object_id: int) -> tuple[int, ...]:
        """Return the targets of a relation in attachment order."""
        self._reads[Object(kind, object_id).key] = None
        found: tuple[int, ...] = self._ask(Targets(kind, relation, object_id))
        return found

    def holders(self, kind: str, relation: str, target: int) -> tuple[int, ...]:
        """Return the objects that hold a target; the target's own key guards the answer."""
        target_kind = next(r.kind for r in RESOURCES[kind].related if r.name == relation)
        self._reads[Object(target_kind, target).key] = None
        found: tuple[int, ...] = self._ask(Holders(kind, relation, target))
        return found

    def linked(self, kind: str, relation: str, object_id: int, target: int) -> bool:
        """Return whether a relation holds a target."""
        self._reads[Object(kind, object_id).key] = None
        held: bool = self._ask(Linked(kind, relation, object_id, target))
        return held

    def active_jobs(self, key: str) -> tuple[tuple[int, str], ...]:
        """Return the active jobs that depend on an object as (id, type).

        JOBS order, no read key.
        """
        found: tuple[tuple[int, str], ...] = self._ask(ActiveJobs(key))
        return found

    def playbooks(self, project: int) -> tuple[str, ...] | None:
        """Return the playbooks of a project's newest content; None while it is not known."""
        found: tuple[str, ...] | None = self._ask(Content(project))
        return found

    def setting(self, name: str) -> Any:
        """Return the value of a setting; raises KeyError for one not declared."""
        default = SETTINGS[name].default
        self._reads[f"setting:{SETTINGS_ID}"] = None
        found = self._ask(SettingValue(name))
        return default if found is None else found

    def held(self, user: int) -> frozenset[tuple[str, int, str]]:
        """Return the object roles of a user, whose own key guards the answer."""
        self._reads[Object("user", user).key] = None
        found: frozenset[tuple[str, int, str]] = self._ask(Held(user=user))
        return found

    def _ask(self, lookup: Lookup) -> Any:
        try:
            return self._known[lookup]
        except KeyError:
            self._lacking[lookup] = None
            return _ABSENT[type(lookup)]


class Unsealed:
    """A secret in the clear on its way through a decision; it must be sealed before it is stored.

    It prints as stars and no encoder takes it, so that it cannot slip into a message or a log.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """Hold a secret."""
        self.text = text

    def __repr__(self) -> str:
        return "Unsealed(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unsealed) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class Given(Struct, frozen=True):
    """The value of a field that the system sets, beside what the body had."""

    value: Any


class Hashed(Struct, frozen=True):
    """A password that is hashed already, in the place of the text that the body had."""

    digest: str


def plain(value: Any) -> bool:
    """Return whether a JSON value holds no character that the read model cannot store."""
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= each <= "\udfff" for each in value)
    if isinstance(value, dict):
        return all(plain(key) and plain(each) for key, each in value.items())
    if isinstance(value, list):
        return all(plain(each) for each in value)
    return True


def deep(value: Any) -> bool:
    """Return whether a JSON value is nested deeper than anything that walks it may go."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            below
            for each in level
            if isinstance(each, dict | list)
            for below in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def decoded(value: Any) -> Any:
    """Return a JSON column as a value, whether or not the connection decodes it."""
    return msgspec.json.decode(value) if isinstance(value, str) else value
