"""Seeded faults over the real decisions: nothing forbidden happens and every job ends."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from controlplane.processes.loop import Loop
from schemas.status import Status
from tests.simulation import careless
from tests.simulation.clients import ENDLESS
from tests.simulation.invariants import Violation
from tests.simulation.machine import Machine
from tests.simulation.network import ROUGH
from tests.simulation.projector import Projector
from tests.simulation.world import SMALL, Plan, World, kill_each, simulate, without_postgres_each

pytestmark = pytest.mark.timeout(300)

SEEDS = 12
CHEAP = 3
"""A seed whose small run has few messages."""
LOST_AT_ITS_END = 2
"""A seed in whose small run Postgres can lose the last thing that it is told."""
ITS_END = 45
"""The first moment that is near it, in fifths of a second."""
LOST_EVERY = 10
"""Every tenth message is enough for each change; all of them take minutes."""
DEATH_EVERY = 4
"""And every fourth moment."""
SOON = 0.3
"""Of the bound: what is broken on purpose waits for ever, and right runs end long before."""
FOUND_WITHIN = 40
"""Each broken rule is found within so many seeds, from one on that shows it now."""
OFTEN = replace(ROUGH, crash_every_s=3.0)


def test_every_job_ends_whatever_is_lost_and_whoever_dies() -> None:
    """Messages dropped, repeated and reordered, processes, machines and networks gone."""
    ends: set[Status] = set()
    for seed in range(1, SEEDS + 1):
        world = simulate(seed, Plan(patience=SOON))
        ends |= {state.status for state in world.server.states.values()}
    assert ends == {Status.SUCCESSFUL, Status.FAILED, Status.ERROR, Status.CANCELED}


@pytest.mark.parametrize("receiver", [False, True])
def test_every_message_may_be_lost_once(*, receiver: bool) -> None:
    """Messages all over a small run are lost once, and once their receiver dies of it."""
    worlds = kill_each(CHEAP, receivers=(receiver,), every=LOST_EVERY)
    assert _all_runs(worlds) > 18


def test_a_seed_is_the_whole_run() -> None:
    """The same seed gives the same trace, another one does not."""
    traces = [World(seed, Plan()) for seed in (5, 5, 6)]
    for world in traces:
        world.run()
    assert traces[0].scheduler.trace == traces[1].scheduler.trace
    assert traces[0].scheduler.trace != traces[2].scheduler.trace


def test_a_calm_world_loses_nothing() -> None:
    """Without faults no runner is lost and no attempt is repeated."""
    world = simulate(1, SMALL)
    states = world.server.states.values()
    assert max(state.attempt for state in states) == 1
    assert not any(state.lost_attempts for state in states)


@pytest.mark.parametrize(
    ("loop", "what", "first"),
    [
        (careless.GrantsUnasked, "without a claim", 1),
        (careless.SendsOnce, "wedged", 8),
        (careless.EndsWhatStands, "was told to end", 1),
        (careless.BelievesSignals, "though nobody canceled it", 4),
    ],
)
def test_a_broken_rule_is_found(loop: type[Loop], what: str, first: int) -> None:
    """A careless control plane breaks a law within a few seeds, and the text names the seed."""
    with pytest.raises(Violation, match=rf"seed \d+ \(python -m tests.*{what}"):
        _all_seeds(Plan(faults=OFTEN, loops=careless.with_loops(loop), patience=SOON), first)


def test_a_runner_that_is_told_once_is_found() -> None:
    """Who is not there when a job is canceled that ends by nothing else must be told again."""
    loops = careless.with_loops(careless.TellsOnce)
    plan = Plan(faults=OFTEN, cancels=12, lengths=(ENDLESS,), loops=loops, patience=SOON)
    with pytest.raises(Violation, match=r"seed \d+ \(python -m tests.*wedged"):
        _all_seeds(plan, 12)


def test_who_gives_up_an_attempt_that_has_reported_its_end_is_found() -> None:
    """Reports are heard late, and the runner that made them is lost meanwhile."""
    late = Plan(faults=OFTEN, loops=careless.with_loops(careless.HearsLate))
    simulate(6, late)
    loops = careless.with_loops(careless.HearsLate, careless.GivesUpUnheard)
    with pytest.raises(Violation, match=r"seed \d+ \(python -m tests.*its end was reported"):
        _all_seeds(Plan(faults=OFTEN, loops=loops))


def test_a_placement_that_waits_for_ever_is_found() -> None:
    """Jobs larger than any runner are placed on one; it may be gone before it takes them."""
    loops = careless.with_loops(careless.LeavesPlaced)
    with pytest.raises(Violation, match=r"seed \d+ \(python -m tests.*wedged"):
        _all_seeds(Plan(faults=OFTEN, impacts=(12,), loops=loops, patience=SOON), 28)


@pytest.mark.parametrize(
    ("projector", "what"),
    [
        (careless.StoresUnfenced, "applied a message again"),
        (careless.StoresApart, "applied a message again"),
        (careless.SkipsOne, "reads as|has a row|not what the log rebuilds"),
    ],
)
def test_a_careless_projector_is_found(projector: type[Projector], what: str) -> None:
    """Rows and checkpoint that part are noticed at the batch that shows it."""
    with pytest.raises(Violation, match=rf"seed \d+ \(python -m tests.*({what})"):
        _all_seeds(Plan(projector=projector))


def test_postgres_may_die_at_any_moment() -> None:
    """What it lost is projected again, also when no message comes that would tell."""
    assert _all_runs(without_postgres_each(CHEAP, every=DEATH_EVERY)) > 20
    careless_plan = replace(SMALL, projector=careless.NeverLooks, patience=SOON)
    with pytest.raises(Violation, match="the tables lag"):
        _all_runs(without_postgres_each(LOST_AT_ITS_END, careless_plan, first=ITS_END))


@pytest.mark.parametrize(
    ("machine", "what", "first"),
    [
        (careless.StartsAgain, "was started twice", 1),
        (careless.LosesJournals, "events stored|playing", 21),
        (careless.BelievesInAcks, r"events stored|stored \d+ events", 4),
    ],
)
def test_a_careless_runner_is_found(machine: type[Machine], what: str, first: int) -> None:
    """Nothing starts twice, and no event goes with its journal."""
    with pytest.raises(Violation, match=rf"seed \d+ \(python -m tests.*({what})"):
        _all_seeds(Plan(faults=OFTEN, machine=machine), first)


def test_a_log_that_is_read_from_a_lagging_replica_is_found() -> None:
    """Who decides on a history without its end misses a fact, and something waits for ever."""
    faults = replace(ROUGH, stale=0.1)
    with pytest.raises(Violation, match=r"seed \d+ \(python -m tests.*wedged"):
        _all_seeds(Plan(faults=faults, control=careless.LaggingControl, patience=SOON))


def _all_runs(worlds: Iterable[World]) -> int:
    runs = 0
    for world in worlds:
        world.run()
        runs += 1
    return runs


def _all_seeds(plan: Plan, first: int = 1) -> None:
    for seed in range(first, first + FOUND_WITHIN):
        simulate(seed, plan)
