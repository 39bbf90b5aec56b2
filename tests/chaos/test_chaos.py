"""The core of the campaign: each fault once, under load, with the whole proof after it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import campaign
from tests.chaos.campaign import Plan, Report, Struck

pytestmark = pytest.mark.timeout(600)

LASTING_S = 6
ONCE_S = 1000.0
KINDS = {("kill api", "kill projector", "kill dispatcher", "kill runner agent"), ("power off",)}
"""Which rounds have every kind of job, once each: what a campaign does in all of its rounds."""


@pytest.fixture(scope="module")
def struck() -> Iterator[Struck]:
    """One deployment for every fault."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    try:
        with campaign.prepared(directory) as made:
            yield made
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize(
    "names",
    [
        ("kill api", "kill projector", "kill dispatcher", "kill runner agent"),
        ("kill nats", "kill postgres"),
        ("stop postgres", "hang nats"),
        ("kill supervisor", "kill everything"),
        ("power off",),
    ],
    ids=", ".join,
)
def test_nothing_is_lost_twice_or_stuck(struck: Struck, names: tuple[str, ...]) -> None:
    """Jobs end truthfully, events stand once and in order, promises are kept, nothing is left."""
    plan = Plan(
        faults=names,
        jobs=4,
        steps=40,
        lasting_s=LASTING_S,
        launches_every_s=1,
        kinds_every_s=ONCE_S if names in KINDS else None,
    )
    found = campaign.strike(struck, plan, Report())
    assert not found.all()
    assert found.events > plan.jobs * campaign.BEGUN_EVENTS
