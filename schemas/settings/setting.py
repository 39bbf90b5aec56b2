"""What a setting is: one declaration each, from which the API, its OPTIONS and its reader follow.

``declare`` adds a category's settings; any module of ``schemas`` may declare a category of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

Check = Callable[[Any], str]
"""Returns what is wrong with a value of the right type, or an empty string."""
CategoryCheck = Callable[[Mapping[str, Any]], Sequence[str]]
"""Returns what is wrong with the values that a category would have."""


class Setting(Struct, frozen=True, kw_only=True):
    """One setting: its place, its type and bounds, its words, and who reads it."""

    name: str
    kind: str
    """``boolean``, ``integer``, ``string``, ``choice``, ``list``, ``nested object``, ``datetime``
    or ``field`` (an id of ``ref``): the type that OPTIONS names.
    """
    label: str
    slug: str = ""
    """Its category; set by ``declare``."""
    category: str = ""
    """The category's name; set by ``declare``."""
    help: str = ""
    default: Any = None
    required: bool = False
    """True when a PUT of the category must name it."""
    nullable: bool = False
    blank: bool = True
    low: int | None = None
    high: int | None = None
    choices: tuple[tuple[Any, str], ...] = ()
    item: str = "string"
    """Type of what a list or nested object holds: ``string``, ``integer`` or ``any``."""
    keys: tuple[str, ...] = ()
    """The only keys a nested object may have; one left out has its default."""
    ref: str = ""
    """Kind of the object that a ``field`` names by its id."""
    url: bool = False
    """True for a string that is an http or https address."""
    unit: str = ""
    placeholder: Any = None
    secret: bool = False
    """True for a string that is sealed at rest and never shown."""
    hidden: bool = False
    read_only: bool = False
    check: Check | None = None
    reader: str = ""
    """The module that reads it, dotted; empty: it is accepted and has no effect."""


SETTINGS: dict[str, Setting] = {}
"""Every declared setting by its name, in the order of declaration."""
CATEGORIES: dict[str, str] = {"all": "All", "changed": "Changed"}
"""Slug to name; ``all`` and ``changed`` hold no settings of their own."""
CATEGORY_CHECKS: dict[str, CategoryCheck] = {}


def declare(
    slug: str, category: str, settings: Sequence[Setting], check: CategoryCheck | None = None
) -> None:
    """Add settings to a category, which is new or known; raises ValueError for a known setting."""
    CATEGORIES[slug] = category
    for each in settings:
        if each.name in SETTINGS:
            message = f"setting declared twice: {each.name}"
            raise ValueError(message)
        SETTINGS[each.name] = msgspec.structs.replace(each, slug=slug, category=category)
    if check is not None:
        CATEGORY_CHECKS[slug] = check


def of_category(slug: str) -> list[Setting]:
    """Return the settings of a category; those of all for ``all`` and ``changed``."""
    if slug in ("all", "changed"):
        return list(SETTINGS.values())
    return [each for each in SETTINGS.values() if each.slug == slug]


def flag(name: str, label: str, text: str = "", **more: Any) -> Setting:
    """Return a setting that is on or off."""
    return Setting(name=name, kind="boolean", label=label, help=text, **{"default": False, **more})


def whole(name: str, label: str, text: str = "", **more: Any) -> Setting:
    """Return a setting that is a whole number."""
    return Setting(name=name, kind="integer", label=label, help=text, **more)


def words(name: str, label: str, text: str = "", **more: Any) -> Setting:
    """Return a setting that is a string."""
    return Setting(name=name, kind="string", label=label, help=text, **{"default": "", **more})


def one_of(
    name: str, label: str, text: str, choices: tuple[tuple[Any, str], ...], **more: Any
) -> Setting:
    """Return a setting that is one of several words."""
    return Setting(name=name, kind="choice", label=label, help=text, choices=choices, **more)


def several(name: str, label: str, text: str = "", **more: Any) -> Setting:
    """Return a setting that is a list."""
    return Setting(name=name, kind="list", label=label, help=text, **{"default": [], **more})


def mapping(name: str, label: str, text: str = "", **more: Any) -> Setting:
    """Return a setting that is an object."""
    kind = "nested object"
    return Setting(name=name, kind=kind, label=label, help=text, **{"default": {}, **more})


def instant(name: str, label: str, text: str = "", **more: Any) -> Setting:
    """Return a setting that is a time, or none."""
    more = {"nullable": True, "hidden": True, **more}
    return Setting(name=name, kind="datetime", label=label, help=text, **more)
