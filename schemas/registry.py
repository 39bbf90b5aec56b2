"""Tag to event type, both ways: the one decoder of stored events.

Tags are storage formats: written out, versioned, append-only (``tests/replay/tags.txt``). An old
shape is brought to the newest one by ``schemas.upcast`` while decoding; the core knows only the
newest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from schemas import upcast

T = TypeVar("T")


class Event(Protocol):
    """Any registered event: a frozen msgspec Struct."""

    __struct_fields__: ClassVar[tuple[str, ...]]


class UnknownTag(Exception):
    """A stored event's tag is unknown to this build and may not be skipped."""


class Codec(msgspec.Struct, frozen=True, kw_only=True):
    """How one tag is written and read."""

    encode: Callable[[Any], bytes]
    decode: Callable[[msgspec.Raw], Any]


TAGS: dict[str, Codec] = {}
IGNORABLE: set[str] = set()
_by_type: dict[type, Callable[[Any], str]] = {}
_encoder = msgspec.json.Encoder()


def event(tag: str) -> Callable[[type[T]], type[T]]:
    """Register a Struct under a literal tag such as ``job.started.v1``."""

    def register(struct: type[T]) -> type[T]:
        decoder = msgspec.json.Decoder(struct)
        add(tag, struct, lambda _item: tag, Codec(encode=_encoder.encode, decode=decoder.decode))
        return struct

    return register


def add(tag: str, struct: type, tag_of_item: Callable[[Any], str], codec: Codec) -> None:
    """Register one more tag of a type that is stored under several (declared resources)."""
    if tag in TAGS:
        message = f"tag registered twice: {tag}"
        raise ValueError(message)
    TAGS[tag] = codec
    _by_type[struct] = tag_of_item


def tag_of(item: Event) -> str:
    """Return the tag under which an event is stored; raises KeyError for an unregistered type."""
    return _by_type[type(item)](item)


def encode(item: Event) -> bytes:
    """Encode an event's data (JSON, without its tag)."""
    return TAGS[tag_of(item)].encode(item)


def decode(tag: str, data: msgspec.Raw) -> Event | None:
    """Decode stored data to the newest shape; None for a tag that may be skipped.

    Raises UnknownTag, or msgspec.ValidationError when the data does not fit the tag's shape.
    """
    tag, data = upcast.newest(tag, data)
    codec = TAGS.get(tag)
    if codec is None:
        if tag in IGNORABLE:
            return None
        raise UnknownTag(tag)
    item: Event = codec.decode(data)
    return item
