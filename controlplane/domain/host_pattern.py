"""Which hosts of an inventory a limit leaves, as Ansible reads its patterns. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

_SUBSCRIPT = re.compile(r"^(.+)\[(?:(-?[0-9]{1,9})|([0-9]{0,9})([:-])(-?[0-9]{0,9}))\]$")
_SPECIAL = frozenset(".?*[")
_PATTERNS_MAX = 1000


class NotKnown(ValueError):
    """Only Ansible itself can tell: the text says why."""


class Hosts(Struct, frozen=True, kw_only=True):
    """An inventory's enabled hosts by name, in order, and its groups with all hosts below them."""

    names: Sequence[str]
    groups: Mapping[str, Sequence[str]]


def limited(hosts: Hosts, limit: str) -> list[str]:
    """Return the hosts that a limit leaves, in the inventory's order.

    Raises NotKnown for regular expressions, files and templates.
    """
    patterns = _split(limit)
    if not patterns:
        return list(hosts.names)
    for each in patterns:
        bare = each.lstrip("!&")
        if bare.startswith(("~", "@")) or "{{" in bare:
            raise NotKnown(f"{each!r} is known to Ansible alone")
    added = [each for each in patterns if each[0] not in "!&"] or ["all"]
    found: set[str] = set()
    for pattern in added:
        found |= set(_matching(hosts, pattern))
    for pattern in patterns:
        if pattern[0] == "&":
            found &= set(_matching(hosts, pattern[1:]))
    for pattern in patterns:
        if pattern[0] == "!":
            found -= set(_matching(hosts, pattern[1:]))
    return [name for name in hosts.names if name in found]


def unmatched(hosts: Hosts, limit: str) -> list[str]:
    """Return the parts of a limit that match no host: Ansible warns of each."""
    return [
        each
        for each in _split(limit)
        if not each.lstrip("!&").startswith(("~", "@")) and not _matching(hosts, each.lstrip("!&"))
    ]


def _split(limit: str) -> list[str]:
    """Split at commas, or at colons outside brackets where there is no comma."""
    text = limit.strip()
    parts = re.split(r"[,\n]", text) if "," in text else _colons(text)
    found = [part.strip() for part in parts if part.strip().lstrip("!&")]
    if len(found) > _PATTERNS_MAX:
        raise NotKnown(f"more than {_PATTERNS_MAX} patterns")
    return found


def _colons(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == ":" and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _matching(hosts: Hosts, pattern: str) -> list[str]:
    plain = pattern in hosts.groups or pattern in hosts.names
    cut = None if plain else _SUBSCRIPT.match(pattern)
    if cut is None:
        return _named(hosts, pattern)
    found = _named(hosts, cut[1])
    if cut[2] is not None:
        index = int(cut[2])
        return [found[index]] if -len(found) <= index < len(found) else []
    start, end = int(cut[3] or 0), int(cut[5] or -1)
    return found[start:] if end == -1 else found[start : end + 1]


def _named(hosts: Hosts, pattern: str) -> list[str]:
    """Return the hosts of groups whose names match, and those that match themselves."""
    if pattern in ("all", "*"):
        return list(hosts.names)
    wild = any(letter in _SPECIAL for letter in pattern)
    if not wild:
        if pattern in hosts.groups:
            return list(hosts.groups[pattern])
        return [pattern] if pattern in hosts.names else []
    matches = re.compile(fnmatch.translate(pattern)).match
    found: dict[str, None] = {}
    for group, members in hosts.groups.items():
        if matches(group):
            found |= dict.fromkeys(members)
    found |= dict.fromkeys(name for name in hosts.names if matches(name))
    return list(found)


def sliced(names: Sequence[str], number: int, count: int) -> list[str]:
    """Return the hosts of one slice, counted from 1: every so-manieth by name."""
    return sorted(names)[number - 1 :: count]
