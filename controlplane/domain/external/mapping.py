"""AWX's organization and team maps: who of an external directory belongs where.

A map says for each role who holds it: nobody is touched where it says null, true is everybody,
false nobody, a text or a list of them whom it names. ``remove`` takes the role from whom it does
not name. What names somebody is the back end's: groups of a directory, or user names and addresses.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from controlplane.domain.external.values import (
    Reader,
    Unfit,
    flag,
    mapping,
    normal_dn,
    record,
    required_text,
    text,
    within,
)

ROLES = (("admins", "admin"), ("users", "member"), ("auditors", "auditor"))
"""Key in an organization's entry, and the role it is about."""
NAME_MAX = 512
_REGEX = re.compile(r"/(?P<pattern>.*)/(?P<flags>[im]*)", re.DOTALL)

Who = bool | tuple[str, ...] | None
Named = Callable[[str], bool]
"""Tells whether one text of a map names the person."""


class Place(NamedTuple):
    """A role that a person may hold: in a team of an organization, or in the organization."""

    organization: str
    team: str
    """Empty for the organization itself."""
    role: str


class Rule(Struct, frozen=True, kw_only=True):
    """Who holds one role by a map."""

    place: Place
    who: Who
    remove: bool


class Maps(Struct, frozen=True, kw_only=True):
    """An organization map and a team map, read."""

    rules: tuple[Rule, ...] = ()
    organizations: tuple[str, ...] = ()
    """Organizations that the maps name; they are made when they are not there."""


class Memberships(Struct, frozen=True, kw_only=True):
    """Where somebody belongs: True holds the role, False does not; what is not named stays."""

    places: Mapping[Place, bool] = {}
    organizations: tuple[str, ...] = ()
    """To be there in any case."""


def evaluate(maps: Maps, named: Named) -> Memberships:
    """Return where the maps want somebody; one entry that takes in counts more than others."""
    places: dict[Place, bool] = {}
    for rule in maps.rules:
        held = verdict(rule, named)
        if held is not None:
            places[rule.place] = places.get(rule.place, False) or held
    return Memberships(places=places, organizations=maps.organizations)


def verdict(rule: Rule, named: Named) -> bool | None:
    """Return whether somebody shall hold a role; None leaves it as it is."""
    if rule.who is None:
        return None
    holds = rule.who if isinstance(rule.who, bool) else any(named(each) for each in rule.who)
    if holds:
        return True
    return False if rule.remove else None


def in_groups(groups: Iterable[str]) -> Named:
    """Return what names a member of these groups (distinguished names)."""
    held = {normal_dn(each) for each in groups}
    return lambda group: normal_dn(group) in held


def by_name(*names: str) -> Named:
    """Return what names somebody by user name or address: as it is, or ``/expression/i``."""
    known = tuple(name for name in names if name)

    def named(wanted: str) -> bool:
        expression = compiled(wanted)
        if expression is None:
            return wanted in known
        return any(expression.match(name) for name in known)

    return named


@functools.lru_cache(maxsize=1024)
def compiled(wanted: str) -> re.Pattern[str] | None:
    """Return the expression that a text between slashes is; None for a plain text."""
    found = _REGEX.fullmatch(wanted)
    if found is None:
        return None
    flags = {"i": re.IGNORECASE, "m": re.MULTILINE}
    chosen = functools.reduce(lambda all_, each: all_ | flags[each], found["flags"], re.NOFLAG)
    try:
        return re.compile(found["pattern"], chosen)
    except (re.error, OverflowError, RecursionError) as error:
        raise Unfit(f"{error}: {wanted}") from None


def read_maps(organizations: Any, teams: Any) -> Maps:
    """Return two maps that were read by their readers, as one."""
    return Maps(
        rules=(*organizations[0], *teams[0]),
        organizations=tuple(dict.fromkeys((*organizations[1], *teams[1]))),
    )


def organization_map(of_text: Reader) -> Reader:
    """Return the reader of an organization map whose texts ``of_text`` checks."""
    who = _who(of_text)
    fields: dict[str, Reader] = {
        **dict.fromkeys(("admins", "users", "auditors"), who),
        **dict.fromkeys(("remove", "remove_admins", "remove_users", "remove_auditors"), flag),
        "organization_alias": text,
    }

    def read(value: Any) -> tuple[list[Rule], list[str]]:
        rules: list[Rule] = []
        names: list[str] = []
        for key, entry in mapping(value).items():
            found = within(key, lambda each: record(each, fields), entry)
            name = within(key, named_object, found.get("organization_alias") or key)
            names.append(name)
            rules += (
                Rule(
                    place=Place(name, "", role),
                    who=found.get(word),
                    remove=found.get(f"remove_{word}", found.get("remove", True)),
                )
                for word, role in ROLES
            )
        return rules, names

    return read


def team_map(of_text: Reader) -> Reader:
    """Return the reader of a team map whose texts ``of_text`` checks."""
    fields = {"organization": named_object, "users": _who(of_text), "remove": flag}

    def read(value: Any) -> tuple[list[Rule], list[str]]:
        rules: list[Rule] = []
        for key, entry in mapping(value).items():
            found = within(
                key, lambda each: record(each, fields, required=("organization",)), entry
            )
            place = Place(found["organization"], within(key, named_object, key), "member")
            rules.append(
                Rule(place=place, who=found.get("users"), remove=found.get("remove", True))
            )
        return rules, [rule.place.organization for rule in rules]

    return read


def named_object(value: Any) -> str:
    """Return the name of an organization or team."""
    found = required_text(value)
    if len(found) > NAME_MAX:
        raise Unfit(f"Ensure this field has no more than {NAME_MAX} characters.")
    return found


def expression(value: Any) -> str:
    """Return a user name, an address, or an expression between slashes that can be used."""
    found = required_text(value)
    compiled(found)
    return found


def _who(of_text: Reader) -> Reader:
    def read(value: Any) -> Who:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return (of_text(value),)
        if isinstance(value, list | tuple):
            return tuple(of_text(each) for each in value)
        name = type(value).__name__
        raise Unfit(f"Expected None, True, False, a string or list of strings but got {name}.")

    return read
