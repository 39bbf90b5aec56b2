"""Journal events to output frames (pure): which share one, and what an oversized one leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from ops import clock
from runners.journal import JournalEvent
from runners.record import Record
from schemas.output import (
    EVENT_BYTES_MAX,
    FRAME_BYTES_MAX,
    FRAME_EVENTS_MAX,
    AnsibleEvent,
    Frame,
)

SHORT_STDOUT_CHARS = 16_384
SHORT_VALUE_BYTES = 2_048

_encoder = msgspec.json.Encoder()
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Body(Struct, frozen=True, kw_only=True):
    """The whole text and data of an oversized event, as stored in BLOBS."""

    stdout: str
    event_data: msgspec.Raw


class Cut(Struct, frozen=True, kw_only=True):
    """One frame ready to publish, and the bodies that must be stored before it."""

    frame: Frame
    bodies: tuple[bytes, ...] = ()

    @property
    def message_id(self) -> str:
        """Return the frame's Nats-Msg-Id."""
        frame = self.frame
        return f"{frame.job}-{frame.attempt}-{frame.first}-{frame.last}"


def split(events: Sequence[JournalEvent], offset: int) -> Iterator[Sequence[JournalEvent]]:
    """Yield the events in runs of at most one frame's count and bytes.

    ``offset`` is where the event before them ends in the journal: an event's bytes there stand for
    its bytes in the frame. All runs but the last are what they are whatever follows.
    """
    begin, size = 0, 0
    for index, each in enumerate(events):
        own = each.after.offset - offset
        full = index - begin == FRAME_EVENTS_MAX or size + own > FRAME_BYTES_MAX
        if full and index > begin:
            yield events[begin:index]
            begin, size = index, 0
        size += own
        offset = each.after.offset
    if begin < len(events):
        yield events[begin:]


def cut(record: Record, events: Sequence[JournalEvent], hosts: Mapping[str, int]) -> Cut:
    """Return the frame of one run of events; ``hosts`` gives host names their ids."""
    shortened = [_shortened(each.event) for each in events]
    frame = Frame(
        job=record.order.job,
        attempt=record.order.attempt,
        kind=record.kind,
        created=clock.iso(record.order.created),
        first=events[0].event.counter,
        last=events[-1].event.counter,
        offset=events[-1].after.offset,
        traceparent=record.order.traceparent,
        events=tuple(_with_host(event, hosts) for event, _ in shortened),
    )
    return Cut(frame=frame, bodies=tuple(body for _, body in shortened if body is not None))


def digest_of(body: bytes) -> str:
    """Return the sha256 (hex) under which BLOBS keeps a body."""
    return hashlib.sha256(body).hexdigest()


def _with_host(event: AnsibleEvent, hosts: Mapping[str, int]) -> AnsibleEvent:
    known = hosts.get(event.host_name)
    return event if known is None else msgspec.structs.replace(event, host=known)


def _shortened(event: AnsibleEvent) -> tuple[AnsibleEvent, bytes | None]:
    """Return the event, or its short form and the body that holds the rest."""
    if _small(event) or len(_encoder.encode(event)) <= EVENT_BYTES_MAX:
        return event, None
    body = _encoder.encode(Body(stdout=event.stdout, event_data=event.event_data))
    short = msgspec.structs.replace(
        event,
        stdout=event.stdout[:SHORT_STDOUT_CHARS],
        event_data=_short_data(event.event_data),
        body=digest_of(body),
    )
    return short, body


def _small(event: AnsibleEvent) -> bool:
    """Tell, without encoding, that an event surely fits (a character takes at most 6 bytes)."""
    return len(bytes(event.event_data)) + 6 * len(event.stdout) < EVENT_BYTES_MAX // 2


def _short_data(data: msgspec.Raw) -> msgspec.Raw:
    """Keep what names the event (host, task, play) and leave out what is long, such as ``res``."""
    kept = {
        name: value
        for name, value in _parts.decode(data).items()
        if len(bytes(value)) <= SHORT_VALUE_BYTES
    }
    return msgspec.Raw(_encoder.encode(kept))
