"""Old shapes are read as the newest: the rest of the code knows no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from schemas import envelope, registry, upcast
from schemas.envelope import Context, WireEvent
from tests.factories import context


class Painted(Struct, frozen=True, kw_only=True):
    """A test's own event in its third shape."""

    colour: str
    coats: int
    by: str


def _named(data: dict[str, Any]) -> dict[str, Any]:
    return {"colour": data["color"], "coats": 1}


def _signed(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "by": "nobody"}


@pytest.fixture(autouse=True)
def painted() -> Iterator[None]:
    """Three versions of a tag, for the test alone."""
    registry.event("test.painted.v3")(Painted)
    upcast.UPCASTERS["test.painted.v1"] = ("test.painted.v2", _named)
    upcast.UPCASTERS["test.painted.v2"] = ("test.painted.v3", _signed)
    yield
    del registry.TAGS["test.painted.v3"]
    del upcast.UPCASTERS["test.painted.v1"], upcast.UPCASTERS["test.painted.v2"]


def _decoded(tag: str, data: dict[str, Any]) -> registry.Event:
    told: Context = context("p")
    wire = envelope.decode_wire(envelope.encode(told, ()))
    stored = (WireEvent(tag=tag, data=msgspec.Raw(msgspec.json.encode(data))),)
    [event] = envelope.recorded(1, "config.any.1", wire, stored).events
    return event


@pytest.mark.parametrize(
    ("tag", "data", "coats", "by"),
    [
        ("test.painted.v1", {"color": "red"}, 1, "nobody"),
        ("test.painted.v2", {"colour": "red", "coats": 2}, 2, "nobody"),
        ("test.painted.v3", {"colour": "red", "coats": 2, "by": "eve"}, 2, "eve"),
    ],
)
def test_every_shape_is_read_as_the_newest(
    tag: str, data: dict[str, Any], coats: int, by: str
) -> None:
    """A chain of steps leads from each old one to it."""
    assert _decoded(tag, data) == Painted(colour="red", coats=coats, by=by)


def test_only_the_newest_is_written() -> None:
    """What is appended today carries the newest tag."""
    body = envelope.encode(context("p"), (Painted(colour="red", coats=1, by="eve"),))
    assert [event.tag for event in envelope.decode_wire(body).events] == ["test.painted.v3"]


def test_a_tag_from_the_future_is_not_skipped() -> None:
    """Unless it was declared that it may be."""
    with pytest.raises(registry.UnknownTag):
        _decoded("test.painted.v4", {})


def test_a_tag_that_may_be_skipped_leaves_no_event() -> None:
    """Its message is read without it."""
    registry.IGNORABLE.add("test.peeked.v1")
    try:
        assert registry.decode("test.peeked.v1", msgspec.Raw(b"{}")) is None
    finally:
        registry.IGNORABLE.remove("test.peeked.v1")
