"""given(events).when(command).then(events) over any decider.

``rejected`` for what must be refused.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from controlplane.domain.decider import Decider, fold
from controlplane.domain.errors import Rejected

C = TypeVar("C")
S = TypeVar("S")


class Given(Generic[C, S]):
    """A history of one aggregate."""

    def __init__(self, decider: Decider[C, Any, S], *history: Any) -> None:
        """Fold the history."""
        self._decider = decider
        self.state = fold(decider, history)

    def when(self, command: C) -> When:
        """Decide a command on it."""
        try:
            return When(self._decider.decide(command, self.state), None)
        except Rejected as error:
            return When((), error)


class When:
    """What a command came to."""

    def __init__(self, events: tuple[Any, ...], refused: Rejected | None) -> None:
        """Keep events and refusal."""
        self.events = events
        self._refused = refused

    def then(self, *expected: Any) -> None:
        """Expect exactly these events."""
        assert self._refused is None, self._refused
        assert self.events == expected

    def nothing(self) -> None:
        """Expect no event and no refusal."""
        self.then()

    def rejected(self, status: int) -> None:
        """Expect a refusal with this HTTP status."""
        assert self._refused is not None, self.events
        assert self._refused.status == status
