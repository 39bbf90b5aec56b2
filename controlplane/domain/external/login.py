"""What a login through a back end changes: its user, their fields, and where they belong.

A user is made by one back end and belongs to it: the same name from anywhere else, a local user's
included, is refused; only one who has no password, as after an import, is taken over by a directory
or by SAML. What is as it should be already yields no event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controlplane.domain import field_values
from controlplane.domain.errors import Denied
from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.external.mapping import Place
from controlplane.domain.external.saml import EVERY_OTHER
from controlplane.domain.facts import Facts, Find, Lacking, Object, Row
from controlplane.domain.resource import Decision
from schemas.events.access import RoleGranted, RoleRevoked
from schemas.events.resource import ResourceCreated, ResourceLinked, ResourceUpdated
from schemas.registry import Event
from schemas.resource import RESOURCES

TAKEN = "A user of this name was not made by this way of logging in."
UNKNOWN = "Nobody of this name may log in here."
UNFIT = "The name given by the identity provider cannot be a user name."
GALAXY = "Ansible Galaxy"
ADOPTING = ("ldap", "saml")
"""Providers whose names an administrator gives: their people cannot choose somebody's name."""
NewId = Callable[[str, int], int]
"""Return the id that the n-th new object of a kind gets; the same each time it is asked."""

_OWNED = ("external_provider", "external_uid")


class Login:
    """One login on its way to a decision."""

    def __init__(self, identity: Identity, wanted: Wanted, new_id: NewId, facts: Facts) -> None:
        """Decide on these facts."""
        self._identity = identity
        self._wanted = wanted
        self._new_id = new_id
        self._facts = facts
        self._events: list[Event] = []
        self._writes: set[str] = set()
        self._organizations: dict[str, int | None] = {}
        self._teams: dict[tuple[str, str], int | None] = {}
        self._made = {"organization": 0, "team": 0}
        self.user = 0

    def decide(self) -> Decision:
        """Return what changes; raises Denied."""
        self._user()
        for name in self._wanted.memberships.organizations:
            self._organization(name)
        self._memberships()
        return Decision(
            kind="user",
            id=self.user,
            events=tuple(self._events),
            reads=self._facts.reads,
            writes=frozenset({*self._writes, Object("user", self.user).key}),
            made=(self.user,),
        )

    def _user(self) -> None:
        owned = (self._identity.provider, self._identity.uid)
        same = self._facts.find("user", _OWNED, owned)
        if same:
            self.user = same[0]
            self._update(self._facts.row("user", self.user) or {})
            return
        name = _read("user", "username", self._identity.username)
        if not name or not name.isprintable():
            raise Denied(UNFIT)
        named = self._facts.find("user", ("username",), (name,))
        if named:
            self._adopt(named[0], owned)
            return
        if not self._wanted.new_users:
            raise Denied(UNKNOWN)
        self.user = self._new_id("user", 0)
        self._writes |= {
            Find("user", _OWNED, owned).key,
            Find("user", ("username",), (name,)).key,
        }
        values = {"username": name, **self._fields(), **dict(zip(_OWNED, owned, strict=True))}
        self._create("user", self.user, values)

    def _adopt(self, number: int, owned: tuple[str, str]) -> None:
        """Take over a user whom nobody vouches for; raises Denied for any other."""
        row = self._facts.row("user", number)
        if row is None or self._identity.provider not in ADOPTING or not vouched_by_nobody(row):
            raise Denied(TAKEN)
        self.user = number
        self._writes.add(Find("user", _OWNED, owned).key)
        self._update(row, dict(zip(_OWNED, owned, strict=True)))

    def _update(self, row: Row, more: Mapping[str, Any] | None = None) -> None:
        fields = {**self._fields(), **(more or {})}
        changes = {name: value for name, value in fields.items() if row.get(name) != value}
        if changes:
            self._events.append(ResourceUpdated(kind="user", id=self.user, changes=changes))

    def _fields(self) -> dict[str, Any]:
        """Return the wanted fields; text that is too long is cut, what cannot be kept is left."""
        found: dict[str, Any] = {}
        for name, value in self._wanted.fields.items():
            field = RESOURCES["user"].fields[name]
            longest = None if field.meta is None else field.meta.max_length
            cut = value[:longest] if isinstance(value, str) else value
            read = _read("user", name, cut)
            if read is not None:
                found[name] = read
        return found

    def _create(self, kind: str, number: int, values: Mapping[str, Any]) -> None:
        defaults = {name: field.default for name, field in RESOURCES[kind].fields.items()}
        self._events.append(ResourceCreated(kind=kind, id=number, values={**defaults, **values}))
        self._writes.add(Object(kind, number).key)

    def _organization(self, name: str) -> int | None:
        """Return an organization, made if it may be; None where there is none."""
        if name not in self._organizations:
            self._organizations[name] = self._existing_or_new("organization", {"name": name})
        return self._organizations[name]

    def _team(self, organization: str, name: str) -> int | None:
        key = (organization, name)
        if key not in self._teams:
            above = self._organization(organization)
            if above is None:
                return None
            values = {"organization": above, "name": name}
            self._teams[key] = self._existing_or_new("team", values)
        return self._teams[key]

    def _existing_or_new(self, kind: str, values: Mapping[str, Any]) -> int | None:
        key = Find(kind, tuple(values), tuple(values.values()))
        found = self._facts.find(key.kind, key.fields, key.values)
        if found:
            self._facts.referenced(kind, found[0])
            return found[0]
        if not self._wanted.new_objects or _read(kind, "name", values["name"]) is None:
            return None
        number = self._new_id(kind, self._made[kind])
        self._made[kind] += 1
        self._create(kind, number, values)
        self._writes.add(key.key)
        if kind == "organization":
            self._join_galaxy(number)
        return number

    def _join_galaxy(self, organization: int) -> None:
        """Give a new organization the credential that content is installed with, as AWX does."""
        managed = self._facts.find("credential", ("name", "managed"), (GALAXY, True))
        for credential in managed[:1]:
            self._events.append(
                ResourceLinked(
                    kind="organization",
                    id=organization,
                    relation="galaxy_credentials",
                    target=credential,
                )
            )
            self._writes.add(Object("credential", credential).key)

    def _memberships(self) -> None:
        held = self._facts.held(self.user)
        named: set[tuple[str, int, str]] = set()
        places = self._wanted.memberships.places
        for place, holds in places.items():
            if place.organization == EVERY_OTHER:
                continue
            kind = "team" if place.team else "organization"
            number = self._number(place, make=holds)
            if number is None:
                continue
            named.add((kind, number, place.role))
            self._change(kind, number, place.role, held, holds=holds)
        for place in places:
            if place.organization == EVERY_OTHER:
                self._leave(place.role, held, named)

    def _number(self, place: Place, *, make: bool) -> int | None:
        """Return the object of a place; one to be left need not be made."""
        if not make and not self._there(place):
            return None
        if place.team:
            return self._team(place.organization, place.team)
        return self._organization(place.organization)

    def _there(self, place: Place) -> bool:
        if self._organizations.get(place.organization) is not None and not place.team:
            return True
        found = self._facts.find("organization", ("name",), (place.organization,))
        if not place.team or not found:
            return bool(found)
        return bool(self._facts.find("team", ("organization", "name"), (found[0], place.team)))

    def _leave(
        self, role: str, held: Iterable[tuple[str, int, str]], named: set[tuple[str, int, str]]
    ) -> None:
        for kind, number, each in sorted(held):
            if kind == "organization" and each == role and (kind, number, each) not in named:
                self._change(kind, number, role, held, holds=False)

    def _change(
        self,
        kind: str,
        number: int,
        role: str,
        held: Iterable[tuple[str, int, str]],
        *,
        holds: bool,
    ) -> None:
        if ((kind, number, role) in held) == holds:
            return
        event = RoleGranted if holds else RoleRevoked
        self._events.append(event(user=self.user, kind=kind, object_id=number, role=role))
        self._writes.add(Object(kind, number).key)


def vouched_by_nobody(row: Row) -> bool:
    """Return whether a user has neither a password nor a provider, as after an import."""
    return row["external_provider"] is None and not row["password"]


def decide(identity: Identity, wanted: Wanted, new_id: NewId, facts: Facts) -> Decision | Lacking:
    """Decide a login on these facts; raises Denied, but only when no fact is lacking."""
    facts.begin()
    try:
        decision = Login(identity, wanted, new_id, facts).decide()
    except Denied:
        if facts.lacking:
            return Lacking(lookups=facts.lacking)
        raise
    return Lacking(lookups=facts.lacking) if facts.lacking else decision


def _read(kind: str, name: str, value: Any) -> Any:
    """Return a field's value as a body would set it; None for one that it does not take."""
    try:
        return field_values.read(RESOURCES[kind].fields[name], value)
    except field_values.Unreadable:
        return None
