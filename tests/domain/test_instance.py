"""The life of an instance: registered, adjusted, gone, back."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from controlplane.domain.decider import fold
from controlplane.domain.errors import Rejected
from controlplane.domain.instance import (
    INSTANCE,
    Adjust,
    MarkAvailable,
    MarkUnavailable,
    Register,
)
from schemas.capacity import capacity
from schemas.events.instance import (
    InstanceAdjusted,
    InstanceAvailable,
    InstanceRegistered,
    InstanceUnavailable,
)
from schemas.work import RegisterRunner
from tests.factories import NOW
from tests.given import Given

RUNNER = RegisterRunner(
    runner="r1",
    groups=("default",),
    node_type="execution",
    cpu=2.0,
    memory=4 << 30,
    version="1",
    sealing_key="k",
)
REGISTERED = InstanceRegistered(
    id=4,
    hostname="r1",
    uuid="u1",
    node_type="execution",
    groups=("default",),
    cpu=2.0,
    memory=4 << 30,
    version="1",
    at=NOW,
)
GONE = InstanceUnavailable(id=4, at=NOW, reason="lapsed")


def register(uuid: str = "u1", **changes: Any) -> Register:
    """The announcement of the runner."""
    runner = msgspec.structs.replace(RUNNER, **changes)
    return Register(id=4, uuid=uuid, runner=runner, at=NOW)


def test_a_runner_that_says_the_same_again_changes_nothing() -> None:
    """The first registration is stored; a key or what it runs now are no facts of it."""
    Given(INSTANCE).when(register()).then(REGISTERED)
    again = register("u2", sealing_key="other", running=((1, 1),))
    Given(INSTANCE, REGISTERED).when(again).nothing()


def test_other_facts_are_registered_under_the_same_identity() -> None:
    """Size, groups and version may change; the uuid stays that of the first time."""
    grown = msgspec.structs.replace(REGISTERED, cpu=8.0)
    Given(INSTANCE, REGISTERED).when(register("u2", cpu=8.0)).then(grown)


def test_a_registration_of_one_that_was_gone_brings_it_back() -> None:
    """Even with the same facts."""
    Given(INSTANCE, REGISTERED, GONE).when(register()).then(REGISTERED)


def test_presence_is_said_once() -> None:
    """Gone twice is gone, back twice is back."""
    gone, back = MarkUnavailable(at=NOW, reason="lapsed"), MarkAvailable(at=NOW)
    Given(INSTANCE, REGISTERED).when(gone).then(GONE)
    Given(INSTANCE, REGISTERED, GONE).when(gone).nothing()
    Given(INSTANCE, REGISTERED, GONE).when(back).then(InstanceAvailable(id=4, at=NOW))
    Given(INSTANCE, REGISTERED).when(back).nothing()


def test_an_adjustment_keeps_what_it_does_not_name() -> None:
    """And survives a registration; one that changes nothing is not stored."""
    off = InstanceAdjusted(id=4, enabled=False, capacity_adjustment=1.0)
    Given(INSTANCE, REGISTERED).when(Adjust(enabled=False)).then(off)
    Given(INSTANCE, REGISTERED, off).when(Adjust(enabled=False)).nothing()
    half = msgspec.structs.replace(off, capacity_adjustment=0.5)
    Given(INSTANCE, REGISTERED, off).when(Adjust(adjustment=0.5)).then(half)
    again = Given(INSTANCE, REGISTERED, half, REGISTERED)
    assert (again.state.enabled, again.state.adjustment) == (False, 0.5)
    assert again.state.capacity == capacity(2.0, 4 << 30, 0.5).total
    assert not again.state.usable


def test_nobody_adjusts_what_never_registered() -> None:
    """It is not found."""
    Given(INSTANCE).when(Adjust(enabled=True)).rejected(404)
    Given(INSTANCE).when(MarkAvailable(at=NOW)).rejected(404)


COMMANDS = st.one_of(
    st.builds(register, uuid=st.sampled_from(["u1", "u2"]), cpu=st.sampled_from([1.0, 2.0])),
    st.builds(
        Adjust,
        enabled=st.none() | st.booleans(),
        adjustment=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
        managed_by_policy=st.none() | st.booleans(),
    ),
    st.just(MarkUnavailable(at=NOW, reason="lapsed")),
    st.just(MarkAvailable(at=NOW)),
)


@settings(max_examples=200)
@drawn(st.lists(COMMANDS, max_size=12))
def test_redelivery_changes_nothing(commands: list[Any]) -> None:
    """Any command decided again on the state it led to yields no events."""
    state = INSTANCE.initial
    for command in commands:
        try:
            events = INSTANCE.decide(command, state)
        except Rejected:
            assert not state.id
            continue
        state = fold(INSTANCE, events, state)
        assert INSTANCE.decide(command, state) == ()
