"""The command that a login from elsewhere is: one transaction of the writer of CONFIG."""

from __future__ import annotations

from controlplane.domain.external import login
from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.facts import Facts, Lacking
from controlplane.domain.resource import Decision
from controlplane.shell.config_writer import ConfigView, Prepare, Prepared
from controlplane.shell.numbers import Numbers
from controlplane.shell.resource_commands import CommandTools, settle
from schemas import subjects
from schemas.resource import RESOURCES


class _NewIds:
    """Ids of what a login makes: taken once, however often it is decided."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._taken: dict[str, list[int]] = {}
        self._lacking: dict[str, int] = {}

    def __call__(self, kind: str, place: int) -> int:
        """Return the id of the n-th new object of a kind; 0 until it is taken."""
        known = self._taken.get(kind, [])
        if place < len(known):
            return known[place]
        self._lacking[kind] = max(self._lacking.get(kind, 0), place + 1)
        return 0

    async def complete(self) -> bool:
        """Take what was lacking; returns whether nothing was."""
        lacking, self._lacking = self._lacking, {}
        for kind, count in lacking.items():
            known = self._taken.setdefault(kind, [])
            known += await self._numbers.take(RESOURCES[kind].sequence, count - len(known))
        return not lacking


def log_in(identity: Identity, wanted: Wanted, numbers: Numbers, tools: CommandTools) -> Prepare:
    """Return the command; its result is the user's id. It is refused with Denied."""
    new_ids = _NewIds(numbers)

    def decide(facts: Facts) -> Decision | Lacking:
        return login.decide(identity, wanted, new_ids, facts)

    async def prepare(view: ConfigView) -> Prepared:
        decision = await settle(decide, view, tools)
        while not await new_ids.complete():
            decision = await settle(decide, view, tools)
        return Prepared(
            subject=subjects.config(decision.kind, decision.id),
            events=decision.events,
            reads=decision.reads,
            writes=decision.writes,
            result=decision.id,
        )

    return prepare
