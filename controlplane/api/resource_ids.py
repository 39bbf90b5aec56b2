"""Ansible ids: what an organization, team or user is called by other services (``api.md`` 1.9).

A version 8 UUID that holds the installation, the kind and the id: it is the same on every node and
after every rebuild, and says by itself which object it names.
"""

from __future__ import annotations

import uuid

SHARED = {"organization": 1, "team": 2, "user": 3}
"""Kinds that services share, with their number in an ansible id; append only."""
_KINDS = {number: kind for kind, number in SHARED.items()}
_INSTALL_SHIFT, _KIND_SHIFT, _VARIANT, _ID_BITS = 80, 64, 0b10 << 62, 62


def type_of(kind: str) -> str:
    """Return the resource type of a shared kind."""
    return f"shared.{kind}"


def ansible_id(installed: str, kind: str, number: int) -> str:
    """Return the ansible id of an object of the installation with this INSTALL_UUID."""
    install = uuid.UUID(installed).int >> _INSTALL_SHIFT << _INSTALL_SHIFT
    named = 8 << 76 | SHARED[kind] << _KIND_SHIFT
    return str(uuid.UUID(int=install | named | _VARIANT | number))


def named_by(installed: str, text: str) -> tuple[str, int] | None:
    """Return kind and id of the object that an ansible id names; None for any other text."""
    try:
        value = uuid.UUID(text).int
    except ValueError:
        return None
    kind = _KINDS.get(value >> _KIND_SHIFT & 0xFFF, "")
    number = value & ((1 << _ID_BITS) - 1)
    made = kind and ansible_id(installed, kind, number)
    return (kind, number) if kind and made == str(uuid.UUID(int=value)) else None
