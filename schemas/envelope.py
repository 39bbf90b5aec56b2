"""The envelope around every stored transaction, and the record a reader gets.

On the wire a message is one JSON object: ``id`` (also its Nats-Msg-Id), ``at``, ``actor``,
``correlation``, ``causation``, ``traceparent``, ``keys`` and either ``events`` (``[{"tag": ...,
"data": {...}}]``) or ``blob`` (the sha256 of a body in BLOBS that holds the same array, for bodies
over ``BODY_BYTES_MAX``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from schemas import registry
from schemas.registry import Event

BODY_BYTES_MAX = 512 * 1024
"""Bodies above this size (bytes) go to BLOBS and the message names their digest."""


class Actor(Struct, frozen=True, kw_only=True):
    """Who caused a transaction: a user by id, or a process or runner by name."""

    kind: Literal["user", "process", "runner", "system"]
    name: str
    id: int | None = None


SYSTEM = Actor(kind="system", name="playlog")


class Context(Struct, frozen=True, kw_only=True):
    """What a transaction carries besides its events.

    Id, time, actor and the chain it belongs to.
    """

    id: str
    at: datetime
    actor: Actor
    correlation: str
    causation: str | None = None
    traceparent: str | None = None


class WireEvent(Struct, frozen=True, kw_only=True):
    """One event as stored: its literal tag and its undecoded data."""

    tag: str
    data: msgspec.Raw


class WireEnvelope(Struct, frozen=True, kw_only=True):
    """One message as stored; ``events`` is empty when ``blob`` names the body."""

    id: str
    at: datetime
    actor: Actor
    correlation: str
    causation: str | None = None
    traceparent: str | None = None
    keys: tuple[str, ...] = ()
    events: tuple[WireEvent, ...] = ()
    blob: str | None = None


class Recorded(Struct, frozen=True, kw_only=True):
    """One stored transaction as read back: where it stands, its context and its decoded events."""

    sequence: int
    subject: str
    context: Context
    keys: tuple[str, ...]
    events: tuple[Event, ...]


_events_encoder = msgspec.json.Encoder()
_events_decoder = msgspec.json.Decoder(tuple[WireEvent, ...])
_envelope_decoder = msgspec.json.Decoder(WireEnvelope)


def wire_events(events: tuple[Event, ...]) -> tuple[WireEvent, ...]:
    """Give the events their stored form, each under its registered tag."""
    return tuple(
        WireEvent(tag=registry.tag_of(event), data=msgspec.Raw(registry.encode(event)))
        for event in events
    )


def encode(context: Context, events: tuple[Event, ...], keys: tuple[str, ...] = ()) -> bytes:
    """Encode one transaction as the message body that holds its events inline."""
    return _events_encoder.encode(_wire(context, keys, wire_events(events), None))


def encode_reference(context: Context, digest: str, keys: tuple[str, ...] = ()) -> bytes:
    """Encode one transaction whose events stand in BLOBS under ``digest`` (sha256, hex)."""
    return _events_encoder.encode(_wire(context, keys, (), digest))


def encode_events(events: tuple[Event, ...]) -> bytes:
    """Encode only the events array: the content of an oversized body in BLOBS."""
    return _events_encoder.encode(wire_events(events))


def decode_wire(body: bytes) -> WireEnvelope:
    """Decode the envelope alone; raises msgspec.DecodeError on a malformed message."""
    return _envelope_decoder.decode(body)


def decode_events(body: bytes) -> tuple[WireEvent, ...]:
    """Decode an events array that was kept in BLOBS."""
    return _events_decoder.decode(body)


def recorded(
    sequence: int, subject: str, wire: WireEnvelope, events: tuple[WireEvent, ...]
) -> Recorded:
    """Build the record a reader gets, upcasting each event to its newest shape.

    Raises registry.UnknownTag for a tag this build does not know and that may not be skipped.
    """
    return Recorded(
        sequence=sequence,
        subject=subject,
        context=Context(
            id=wire.id,
            at=wire.at,
            actor=wire.actor,
            correlation=wire.correlation,
            causation=wire.causation,
            traceparent=wire.traceparent,
        ),
        keys=wire.keys,
        events=tuple(
            event
            for stored in events
            if (event := registry.decode(stored.tag, stored.data)) is not None
        ),
    )


def _wire(
    context: Context, keys: tuple[str, ...], events: tuple[WireEvent, ...], blob: str | None
) -> WireEnvelope:
    return WireEnvelope(
        id=context.id,
        at=context.at,
        actor=context.actor,
        correlation=context.correlation,
        causation=context.causation,
        traceparent=context.traceparent,
        keys=keys,
        events=events,
        blob=blob,
    )
