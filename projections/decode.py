"""From stored messages to what a projection applies, oversized bodies fetched."""

from __future__ import annotations

import msgspec

import schemas.catalog  # noqa: F401 - knows every tag that is decoded here
from ops.blobs import Blobs
from ops.pull import StreamMessage
from projections.projection import Poison, RawMessage
from schemas import envelope, registry
from schemas.envelope import Recorded
from schemas.events.job import JobFinished
from schemas.output import StoredReport

_blob_marker = b'"blob":"'
_facts_marker = b'"facts":"'
_report = msgspec.json.Decoder(StoredReport)


class Decoder:
    """Decodes messages of one projection's stream."""

    def __init__(self, blobs: Blobs, *, enveloped: bool) -> None:
        """Fetch oversized bodies from ``blobs``."""
        self._blobs = blobs
        self._enveloped = enveloped

    async def decode(self, message: StreamMessage) -> Recorded | RawMessage:
        """Return a message as its projection takes it; raises Poison when it cannot be read."""
        try:
            if self._enveloped:
                return await self._transaction(message)
            return await self._raw(message)
        except (msgspec.DecodeError, registry.UnknownTag, KeyError, ValueError) as error:
            raise Poison(message.sequence, f"{type(error).__name__}: {error}") from error

    async def _transaction(self, message: StreamMessage) -> Recorded:
        wire = envelope.decode_wire(message.data)
        events = wire.events
        if wire.blob is not None:
            events = envelope.decode_events(await self._blobs.get(wire.blob))
        return envelope.recorded(message.sequence, message.subject, wire, events)

    async def _raw(self, message: StreamMessage) -> RawMessage:
        data = message.data
        if message.subject.startswith("job."):
            data = await self._facts(message)
        if message.subject.startswith("report.") and _blob_marker in data[:200]:
            stored = _report.decode(data)
            if stored.blob is not None:
                body = await self._blobs.get(stored.blob)
                data = b'{"report":' + body + b"}"
        return RawMessage(sequence=message.sequence, subject=message.subject, data=data)

    async def _facts(self, message: StreamMessage) -> bytes:
        """Return the facts that the end of a job names; empty for anything else."""
        if _facts_marker not in message.data and _blob_marker not in message.data:
            return b""
        recorded = await self._transaction(message)
        for event in recorded.events:
            if isinstance(event, JobFinished) and event.facts:
                hosts = msgspec.Raw(await self._blobs.get(event.facts))
                gathered = {"at": event.finished, "content": event.facts, "hosts": hosts}
                return msgspec.json.encode(gathered)
        return b""
