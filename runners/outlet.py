"""Where one attempt's frames and reports go: two subjects, each message chained to the last.

Every message carries the sequence of its predecessor on the subject as expectation. So whatever was
lost, repeated or delayed on the way, the stream holds every event once and in order; who meets a
conflict reads the last message and goes on behind it.

Of several frames in flight only the first carries the expectation: the server takes the others in
order behind it, and knows a frame that it has by its message id.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import nats.errors
import nats.js.errors
from msgspec import Struct
from nats.aio.client import Client

from runners import batch
from runners.batch import Message
from schemas import streams, subjects
from schemas.output import AttemptErased, Frame, StoredReport

CONFLICTS = frozenset({10071, 10164})
IN_FLIGHT_MAX = 16
"""Frames sent before the first of them is acknowledged: half a megabyte."""
_ACK_WITHIN_S = 5.0
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"


class Lost(Exception):
    """No acknowledgement came; nobody knows whether the message is stored."""


class Conflict(Exception):
    """The subject's last message is another one than expected."""


class Erased(Exception):
    """The job was deleted and its record with it: nothing of the attempt may be stored any more."""


class Last(Struct, frozen=True, kw_only=True):
    """The last message of a subject: its sequence (0 for none) and body."""

    sequence: int = 0
    body: bytes = b""


_frame = msgspec.json.Decoder(Frame)
_report = msgspec.json.Decoder(StoredReport)
_encoder = msgspec.json.Encoder()


class Outlet:
    """Publishes one attempt's record."""

    def __init__(self, connection: Client, attempt: subjects.Attempt) -> None:
        """Ask ``last_frame`` and ``last_report`` before the first publish."""
        self._connection = connection
        self._jetstream = connection.jetstream()
        self._output = subjects.output(attempt)
        self._report = subjects.report(attempt)
        self._frame_sequence = 0
        self._report_sequence = 0

    async def last_frame(self) -> Frame | None:
        """Return the last frame that is stored, and publish behind it from now on.

        Raises Lost, Erased.
        """
        last = await self._last(streams.OUTPUT.name, self._output)
        self._frame_sequence = last.sequence
        if not last.sequence:
            return None
        frame = _frame.decode(last.body)
        if frame.erased:
            raise Erased(self._output)
        return frame

    async def last_report(self) -> StoredReport | None:
        """Return the last report that is stored, and publish behind it from now on.

        Raises Lost, Erased.
        """
        last = await self._last(streams.REPORTS.name, self._report)
        self._report_sequence = last.sequence
        if not last.sequence:
            return None
        stored = _report.decode(last.body)
        if isinstance(stored.report, AttemptErased):
            raise Erased(self._report)
        return stored

    async def frames(self, frames: Sequence[tuple[Frame, str]]) -> None:
        """Store at most ``IN_FLIGHT_MAX`` frames, each with its message id, in order.

        Raises Lost, Conflict: then call ``last_frame``; some of them may be stored.
        """
        if len(frames) == 1:
            ((frame, message_id),) = frames
            self._frame_sequence = await self._publish(
                self._output, _encoder.encode(frame), message_id, self._frame_sequence
            )
            return
        messages = [
            Message(headers={"Nats-Msg-Id": message_id}, body=_encoder.encode(frame))
            for frame, message_id in frames
        ]
        messages[0].headers[_EXPECTED] = str(self._frame_sequence)
        try:
            ack = await batch.publish(self._connection, self._output, messages, _ACK_WITHIN_S)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise Lost(f"{self._output}: {error!r}") from error
        if ack.error is not None and ack.error.err_code not in CONFLICTS:
            raise Lost(f"{self._output}: {ack.error.description}")
        if ack.count != len(messages):
            raise Conflict(self._output)
        self._frame_sequence = ack.seq

    async def report(self, report: StoredReport, message_id: str) -> None:
        """Store a report. Raises Lost, Conflict: then call ``last_report``."""
        body = _encoder.encode(report)
        self._report_sequence = await self._publish(
            self._report, body, message_id, self._report_sequence
        )

    async def _publish(self, subject: str, body: bytes, message_id: str, behind: int) -> int:
        headers = {"Nats-Msg-Id": message_id, _EXPECTED: str(behind)}
        try:
            ack = await self._jetstream.publish(
                subject, body, headers=headers, timeout=_ACK_WITHIN_S
            )
        except nats.js.errors.APIError as error:
            if error.err_code in CONFLICTS:
                raise Conflict(subject) from error
            raise Lost(f"{subject}: {error}") from error
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise Lost(f"{subject}: {error!r}") from error
        return ack.seq

    async def _last(self, stream: str, subject: str) -> Last:
        try:
            found = await self._jetstream.get_last_msg(stream, subject, direct=True)
        except nats.js.errors.NotFoundError:
            return Last()
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise Lost(f"{subject}: {error!r}") from error
        return Last(sequence=found.seq or 0, body=found.data or b"")
