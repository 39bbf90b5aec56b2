"""What a check looks at: an object as a command would leave it, or a link about to be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from controlplane.domain.facts import Row
from schemas.resource import Related


class Draft:
    """An object in the making; a check may set fields of it and note errors."""

    def __init__(
        self,
        *,
        kind: str,
        id: int,  # noqa: A002 - the field's name everywhere
        before: Row | None,
        values: dict[str, Any],
        given: frozenset[str],
        copied: bool = False,
    ) -> None:
        """Start from the values after the command; ``given`` names what the body held."""
        self.kind = kind
        self.id = id
        self.before = before
        self.values = values
        self.given = given
        self.copied = copied
        self.errors: dict[str, Any] = {}

    @property
    def creating(self) -> bool:
        """Return whether the object is new."""
        return self.before is None

    def changed(self, name: str) -> bool:
        """Return whether a field differs from before; of a new object, every field does."""
        return self.before is None or bool(self.before[name] != self.values[name])

    def error(self, name: str, message: str) -> None:
        """Note a message about a field (``__all__`` for the object)."""
        self.errors.setdefault(name, []).append(message)


class Companion(Struct, frozen=True, kw_only=True):
    """An object that the system makes along with another, its id allotted before."""

    id: int
    values: Mapping[str, Any] = {}
    """Fields that are not as the system would have them."""


class Relation(Struct, frozen=True, kw_only=True):
    """A link, seen from the side that holds it, with both ends' fields."""

    kind: str
    related: Related
    id: int
    target: int
    source_row: Mapping[str, Any]
    target_row: Mapping[str, Any] | None
