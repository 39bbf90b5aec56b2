"""Who moves an active job on: for each reachable status and sub-state one loop, and within what.

Nothing waits without an owner, so no job is wedged. ``docs/owners.md`` is this table, written by
``python -m controlplane.domain.owners``; the simulation holds the loops to its bounds.
"""

from __future__ import annotations

import sys
from enum import StrEnum

from msgspec import Struct

from controlplane.domain.canceling import REPEAT_S
from controlplane.domain.dispatch import CLAIM_WITHIN_S, REPUBLISH_AFTER_S
from controlplane.domain.job import JobState
from controlplane.domain.loss import UNKNOWN_GRACE_S
from schemas.status import Status

PRESENCE_TTL_S = 15.0
LOST_GRACE_S = 60.0
"""Defaults of the settings of the same names."""
STOP_S = 45.0
"""A runner ends what it was told to end within this: TERM, TERM again, the sweep."""
PERIOD_S = 1.0
UNNOTICED_S = 2 * PRESENCE_TTL_S
"""A runner that died is missed after its presence lapsed and was not renewed for as long again."""


class SubState(StrEnum):
    """Where within its status an active job stands."""

    UNPLACED = "unplaced"
    PLACED = "placed, unclaimed"
    CLAIMED = "claimed, not started"
    STARTED = "started"
    CANCEL_REQUESTED = "cancel requested"
    CANCEL_DELIVERED = "cancel delivered"
    LOST = "runner lost"


class Owner(Struct, frozen=True, kw_only=True):
    """The loop that sees to it that a job leaves a sub-state."""

    loop: str
    wake_up: str
    """What it acts on at once; the period makes up for a wake-up that was lost."""
    period_s: float
    longest_wait_s: float | None
    """Within this the job moves on, whatever was lost; None where it waits for the world."""
    waits_for: str
    """What ends the wait, and what the loop does at its bound."""


_PLACEMENT = Owner(
    loop="dispatcher",
    wake_up="any change of JOBS or CONFIG",
    period_s=PERIOD_S,
    longest_wait_s=None,
    waits_for="capacity, a dependency or a limit: `job_explanation` names it",
)
_ORDER = Owner(
    loop="dispatcher",
    wake_up="any change of JOBS or CONFIG",
    period_s=PERIOD_S,
    longest_wait_s=CLAIM_WITHIN_S,
    waits_for=f"a claim; the order goes out again each {REPUBLISH_AFTER_S:.0f} s, a placement "
    "that nobody can or did claim is withdrawn",
)
_START = Owner(
    loop="lost_runners",
    wake_up="none: presence lapses in silence",
    period_s=PERIOD_S,
    longest_wait_s=UNNOTICED_S + UNKNOWN_GRACE_S,
    waits_for="the runner's report; a runner that is gone, or that does not know the attempt, "
    "is marked lost",
)
_RUN = Owner(
    loop="lost_runners",
    wake_up="none: presence lapses in silence",
    period_s=PERIOD_S,
    longest_wait_s=None,
    waits_for="the playbook, within its timeout; a runner that is gone is marked lost within "
    f"{UNNOTICED_S:.0f} s",
)
_REQUEST = Owner(
    loop="cancels",
    wake_up="the request",
    period_s=PERIOD_S,
    longest_wait_s=UNNOTICED_S + UNKNOWN_GRACE_S,
    waits_for="the runner's confirmation; repeated each period until it comes or the runner is "
    "marked lost",
)
_STOP = Owner(
    loop="cancels",
    wake_up="the confirmation",
    period_s=PERIOD_S,
    longest_wait_s=STOP_S + UNNOTICED_S,
    waits_for=f"the runner's last report; told again each {REPEAT_S:.0f} s",
)
_GRACE = Owner(
    loop="lost_runners",
    wake_up="none: presence comes back in silence",
    period_s=PERIOD_S,
    longest_wait_s=UNKNOWN_GRACE_S + LOST_GRACE_S,
    waits_for="the runner; then the job ends or is placed anew, by its policy",
)

OWNERS: dict[tuple[Status, SubState], Owner] = {
    (Status.PENDING, SubState.UNPLACED): _PLACEMENT,
    (Status.WAITING, SubState.PLACED): _ORDER,
    (Status.WAITING, SubState.CLAIMED): _START,
    (Status.WAITING, SubState.CANCEL_REQUESTED): _REQUEST,
    (Status.WAITING, SubState.CANCEL_DELIVERED): _STOP,
    (Status.WAITING, SubState.LOST): _GRACE,
    (Status.RUNNING, SubState.STARTED): _RUN,
    (Status.RUNNING, SubState.CANCEL_REQUESTED): _REQUEST,
    (Status.RUNNING, SubState.CANCEL_DELIVERED): _STOP,
    (Status.RUNNING, SubState.LOST): _GRACE,
}


_HEAD = """# Who owns an active job

Written by `python -m controlplane.domain.owners` from `controlplane/domain/owners.py`. Each loop is
one of `controlplane/processes/main.py`. The longest wait holds at the settings' defaults, whatever
message is lost and whoever dies, once the log can be reached and a dispatcher is there.

What no runner runs is moved on by the loop that runs it: a sliced run by `slices`, a system job by
`housekeeping`, an inventory update whose attempt ended well by `inventory_imports`. Whoever leads a
loop next goes on where the last one stopped; an import lasts as long as its inventory takes.

| status | sub-state | loop | wake-up | period | longest wait | waits for |
|---|---|---|---|---|---|---|
"""


def sub_state(state: JobState) -> SubState:
    """Return where an active job stands; every active state has exactly one."""
    if state.status is Status.PENDING:
        return SubState.UNPLACED
    if state.runner is None:
        return SubState.PLACED
    if state.lost:
        return SubState.LOST
    if state.cancel_delivered:
        return SubState.CANCEL_DELIVERED
    if state.cancel_requested:
        return SubState.CANCEL_REQUESTED
    return SubState.STARTED if state.started else SubState.CLAIMED


def owner_of(state: JobState) -> Owner:
    """Return who moves an active job on. Raises KeyError for a state that nobody owns."""
    return OWNERS[state.status, sub_state(state)]


def attempt_bound_s() -> float:
    """Return how long an attempt takes at most, besides the time it waits for the world."""
    return sum(owner.longest_wait_s or UNNOTICED_S for owner in OWNERS.values())


def table() -> str:
    """Return the table as a document."""
    rows = [
        f"| {status} | {where} | `{owner.loop}` | {owner.wake_up} | {owner.period_s:.0f} s "
        f"| {_longest(owner)} | {owner.waits_for} |"
        for (status, where), owner in OWNERS.items()
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _longest(owner: Owner) -> str:
    return "the world" if owner.longest_wait_s is None else f"{owner.longest_wait_s:.0f} s"


if __name__ == "__main__":
    sys.stdout.write(table())
