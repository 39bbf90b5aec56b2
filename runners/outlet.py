"""Where one attempt's frames and reports go: two subjects, each message chained to the last.

Every message carries the sequence of its predecessor on the subject as expectation. So whatever was
lost, repeated or delayed on the way, the stream holds every event once and in order; who meets a
conflict reads the last message and goes on behind it.

One message is in flight at a time: JetStream's fast ingest keeps its protocol in the reply subject,
which does not survive the way out of the account of the field (``ops.nats_grants``).
"""

from __future__ import annotations

import msgspec
import nats.errors
import nats.js.errors
from msgspec import Struct
from nats.aio.client import Client

from ops import telemetry
from schemas import streams, subjects
from schemas.output import AttemptErased, Frame, StoredReport

CONFLICTS = frozenset({10071, 10164})
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

    async def frame(self, frame: Frame, message_id: str) -> None:
        """Store a frame. Raises Lost, Conflict: then call ``last_frame``."""
        body = _encoder.encode(frame)
        self._frame_sequence = await self._publish(
            self._output, body, message_id, self._frame_sequence, frame.traceparent
        )

    async def report(self, report: StoredReport, message_id: str) -> None:
        """Store a report. Raises Lost, Conflict: then call ``last_report``."""
        body = _encoder.encode(report)
        self._report_sequence = await self._publish(
            self._report, body, message_id, self._report_sequence, report.traceparent
        )

    async def _publish(
        self, subject: str, body: bytes, message_id: str, behind: int, traceparent: str | None
    ) -> int:
        headers = {
            "Nats-Msg-Id": message_id,
            _EXPECTED: str(behind),
            **telemetry.headers(traceparent),
        }
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
