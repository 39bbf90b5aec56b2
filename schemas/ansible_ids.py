"""Ansible ids: what organizations, teams and users are called across services, as UUIDs.

An id holds kind and number, so that nothing is stored and nothing needs to be looked up.
"""

from __future__ import annotations

from uuid import UUID

KINDS = ("organization", "team", "user")
"""Append-only: a kind's place is part of its ids."""
_PREFIX = "706c6179"
_LOW = 48
_VERSION = 0x8000
_VARIANT = 0x8000
"""What a UUID of RFC 9562 has in front of its last twelve and forty-eight bits."""


def ansible_id(kind: str, number: int) -> str:
    """Return the ansible id of an object; raises ValueError for a kind that has none."""
    high, low = number >> _LOW, number & ((1 << _LOW) - 1)
    place = KINDS.index(kind) + 1
    return f"{_PREFIX}-{place:04x}-{_VERSION:04x}-{_VARIANT | high:04x}-{low:012x}"


def object_of(text: str) -> tuple[str, int] | None:
    """Return kind and number of an ansible id, or None for one that was never given.

    Raises ValueError for what is no UUID.
    """
    parts = str(UUID(text)).split("-")
    prefix, place, version, high, low = (int(part, 16) for part in parts)
    ours = (prefix, version, high >> 12) == (int(_PREFIX, 16), _VERSION, _VARIANT >> 12)
    if not ours or not 1 <= place <= len(KINDS):
        return None
    return KINDS[place - 1], (high & 0xFFF) << _LOW | low


def resource_type(kind: str) -> str:
    """Return what a kind is called as a shared resource."""
    return f"shared.{kind}"
