"""From a declaration to its stored events: registers the tags of every declared resource."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas import registry
from schemas.events.resource import VERBS, ResourceEvent
from schemas.resource import RESOURCES

_encoder = msgspec.json.Encoder()
_object = msgspec.json.Decoder(dict[str, Any])
_verb_of = {struct: verb for verb, struct in VERBS.items()}


def tag(event: ResourceEvent) -> str:
    """Return the literal tag of a resource event, such as ``team.created.v1``."""
    return f"{event.kind}.{_verb_of[type(event)]}.v1"


def register_all() -> None:
    """Register every declared kind's tags; called once, when ``schemas.resources`` is imported."""
    for kind in RESOURCES:
        for verb, struct in VERBS.items():
            registry.add(f"{kind}.{verb}.v1", struct, tag, _codec(kind, struct))


def _codec(kind: str, struct: type[ResourceEvent]) -> registry.Codec:
    def encode(event: ResourceEvent) -> bytes:
        data = msgspec.structs.asdict(event)
        del data["kind"]
        return _encoder.encode(data)

    def decode(data: msgspec.Raw) -> ResourceEvent:
        return msgspec.convert({**_object.decode(data), "kind": kind}, struct)

    return registry.Codec(encode=encode, decode=decode)
