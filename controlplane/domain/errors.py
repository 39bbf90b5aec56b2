"""What a decider raises when it refuses a command; one place maps it to HTTP.

```
Rejected
├── Invalid      field errors                                400 {field: [text, ...]}
├── Refused      a rule of the resource, in its own words    400, or another status given with it
├── Denied       the caller may not                          403 {"detail": text}
├── NotFound     no such object                              404 {"detail": text}
├── InUse        active jobs depend on it                    409 {"error", "active_jobs": [..]}
└── Unavailable  cannot be decided now                       503 {"detail": text}
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DENIED = "You do not have permission to perform this action."
IN_USE = "Resource is being used by running jobs."


class Rejected(Exception):
    """A command is refused and nothing is stored; ``body`` is the answer as AWX words it."""

    status = 400

    def __init__(self, body: Mapping[str, Any] | Sequence[str], status: int | None = None) -> None:
        """Keep the answer's body and its HTTP status (the class's own by default)."""
        super().__init__(body)
        self.body: Any = dict(body) if isinstance(body, Mapping) else list(body)
        self.status = self.status if status is None else status

    @property
    def said(self) -> str:
        """Return the body as one line of text, each message behind the field it is about."""
        if isinstance(self.body, dict):
            return "; ".join(f"{name}: {_text(told)}" for name, told in self.body.items())
        return _text(self.body)


def _text(told: Any) -> str:
    return " ".join(map(str, told)) if isinstance(told, list) else str(told)


class Invalid(Rejected):
    """Fields of the body are not acceptable: field name to its messages."""

    @property
    def errors(self) -> dict[str, Any]:
        """Return the messages by field; ``__all__`` holds those about several fields."""
        found: dict[str, Any] = self.body
        return found


class Refused(Rejected):
    """A rule of the resource forbids the command; the body has a key and text of its own."""


class Denied(Rejected):
    """The caller, or anyone, may not do this to this object."""

    status = 403

    def __init__(self, detail: str = DENIED) -> None:
        """Keep the text shown to the caller."""
        super().__init__({"detail": detail})


class NotFound(Rejected):
    """The object of the command does not exist (any more)."""

    status = 404

    def __init__(self, verbose: str) -> None:
        """Name the kind as AWX does (``Job Template``)."""
        super().__init__({"detail": f"No {verbose.replace(' ', '')} matches the given query."})


class InUse(Rejected):
    """Active jobs depend on the object; ``jobs`` are (id, type) pairs."""

    status = 409

    def __init__(self, jobs: Sequence[tuple[int, str]]) -> None:
        """Keep the active jobs in the order given."""
        active = [{"id": number, "type": kind} for number, kind in jobs]
        super().__init__({"error": IN_USE, "active_jobs": active})


class Unavailable(Rejected):
    """The command cannot be decided now and nothing is stored: come back in a moment."""

    status = 503
    retry_after_s = 1

    def __init__(self, detail: str) -> None:
        """Say what is missing."""
        super().__init__({"detail": detail})
