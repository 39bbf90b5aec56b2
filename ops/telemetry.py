"""Logs and traces: structlog JSON on stderr.

OpenTelemetry spans over OTLP/HTTP when an endpoint is configured.

A span's place in its trace travels as a W3C ``traceparent``. Spans of a job are recorded after the
fact with ids computed from what they describe, so a restarted agent that records one again does not
make a second one.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import logging
import re
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TextIO

import structlog
from msgspec import Struct
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from ops import clock, ids

SEND_SPANS = 1000
"""Spans in one export."""
HELD_SPANS_MAX = 200_000
"""Spans of finished attempts that may wait for the collector."""
ANSWER_WITHIN_S = 5.0
"""How long a collector may take for one export, retries included."""
FLUSH_WITHIN_S = 5.0

Attributes = Mapping[str, str | int | float | bool]

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")
_log = structlog.get_logger()
_current: contextvars.ContextVar[str | None] = contextvars.ContextVar("traceparent", default=None)


def setup_logging(role: str, level: str) -> None:
    """Send every log line as one JSON object to stderr, with role, time and bound ids."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(message)s", force=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_trace,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(level, logging.INFO)
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    warnings.showwarning = _log_warning


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log what a library warns of: a plain line would be none of the role's."""
    del filename, lineno, file, line
    structlog.get_logger().warning(str(message), category=category.__name__)


def current() -> str | None:
    """Return the traceparent of the span this code runs in; None outside any."""
    return _current.get()


@contextlib.contextmanager
def within(traceparent: str | None) -> Iterator[None]:
    """Let a block run as part of a span that stands elsewhere; its log lines name the trace."""
    token = _current.set(traceparent if _trace_id(traceparent) is not None else current())
    try:
        yield
    finally:
        _current.reset(token)


class Recorded(Struct, frozen=True, kw_only=True):
    """A span that is over: where it stands in its trace, and when it was."""

    name: str
    traceparent: str | None
    parent: str | None
    started: datetime
    finished: datetime
    attributes: Attributes = {}
    failure: str = ""


class _Sender:
    """A thread that exports the spans of whole attempts, one after another.

    It keeps ``HELD_SPANS_MAX`` spans while the collector is slow; beyond, and of an attempt whose
    export has failed, the rest is dropped.
    """

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._waiting: deque[list[ReadableSpan]] = deque()
        self._held = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="spans", daemon=True).start()

    def put(self, spans: list[ReadableSpan]) -> None:
        """Take the spans of one attempt."""
        with self._changed:
            if self._held and self._held + len(spans) > HELD_SPANS_MAX:
                _log.warning("spans dropped", count=len(spans))
                return
            self._held += len(spans)
            self._waiting.append(spans)
            self._changed.notify_all()

    def drain(self, within_s: float) -> None:
        """Wait until all is sent or dropped, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held, within_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                spans = self._waiting.popleft()
            self._export(spans)
            with self._changed:
                self._held -= len(spans)
                self._changed.notify_all()

    def _export(self, spans: list[ReadableSpan]) -> None:
        for begin in range(0, len(spans), SEND_SPANS):
            part = spans[begin : begin + SEND_SPANS]
            if self._exporter.export(part) is not SpanExportResult.SUCCESS:
                _log.warning("spans dropped", count=len(spans) - begin)
                return


class Tracer:
    """Records spans of one role; without an endpoint it only passes parents through."""

    def __init__(self, role: str, endpoint: str) -> None:
        """Export to ``<endpoint>/v1/traces`` when ``endpoint`` is not empty."""
        self._processor: BatchSpanProcessor | None = None
        self._sender: _Sender | None = None
        self._resource = Resource.create({"service.name": f"playlog-{role}"})
        self._scope = InstrumentationScope("playlog")
        if endpoint:
            url = f"{endpoint.rstrip('/')}/v1/traces"
            exporter = OTLPSpanExporter(endpoint=url, timeout=ANSWER_WITHIN_S)
            self._processor = BatchSpanProcessor(exporter, schedule_delay_millis=500)
            self._sender = _Sender(OTLPSpanExporter(endpoint=url, timeout=ANSWER_WITHIN_S))

    @property
    def enabled(self) -> bool:
        """True when spans are exported."""
        return self._processor is not None

    @contextlib.contextmanager
    def span(
        self, name: str, parent: str | None = None, attributes: Attributes | None = None
    ) -> Iterator[str | None]:
        """Record the span of a block; yields its traceparent and makes it the current one.

        ``parent`` defaults to the current span; without any it becomes the root of a new trace.
        """
        above = parent if _trace_id(parent) is not None else current()
        if self._processor is None:
            passed = _current.set(above)
            try:
                yield above
            finally:
                _current.reset(passed)
            return
        span_id = ids.new_id()[:16]
        trace_id = _trace_id(above) or ids.new_id()
        mine = f"00-{trace_id}-{span_id}-01"
        started, failure = clock.now(), ""
        token = _current.set(mine)
        try:
            yield mine
        except Exception as error:
            failure = type(error).__name__
            raise
        finally:
            _current.reset(token)
            self._emit(
                Recorded(
                    name=name,
                    traceparent=mine,
                    parent=above,
                    started=started,
                    finished=clock.now(),
                    attributes=attributes or {},
                    failure=failure,
                )
            )

    def record(
        self,
        name: str,
        parent: str | None,
        span: tuple[datetime, datetime],
        *,
        key: str,
        attributes: Attributes | None = None,
        failure: str = "",
    ) -> str | None:
        """Record a span that is already over; its id follows from ``key``, unique in the trace.

        Returns its traceparent, or ``parent`` when nothing is exported or there is no parent.
        """
        if self._processor is None or _trace_id(parent) is None:
            return parent
        mine = traceparent_for(parent, key)
        self._emit(
            Recorded(
                name=name,
                traceparent=mine,
                parent=parent,
                started=span[0],
                finished=span[1],
                attributes=attributes or {},
                failure=failure,
            )
        )
        return mine

    def send(self, spans: Sequence[Recorded]) -> None:
        """Export many finished spans behind the caller's back.

        The processor's queue drops what does not fit, so a large job's spans go another way.
        """
        if self._sender is not None:
            built = (self._build(span) for span in spans)
            self._sender.put([span for span in built if span is not None])

    def flush(self) -> None:
        """Send what is buffered, for ``FLUSH_WITHIN_S`` at most; called before a role ends."""
        if self._processor is not None and self._sender is not None:
            self._processor.force_flush(int(FLUSH_WITHIN_S * 1000))
            self._sender.drain(FLUSH_WITHIN_S)

    def _emit(self, span: Recorded) -> None:
        built = self._build(span)
        if self._processor is not None and built is not None:
            self._processor.on_end(built)

    def _build(self, span: Recorded) -> ReadableSpan | None:
        context = _context(span.traceparent)
        if context is None:
            return None
        failed = Status(StatusCode.ERROR, span.failure)
        return ReadableSpan(
            name=span.name,
            context=context,
            parent=_context(span.parent),
            resource=self._resource,
            attributes=dict(span.attributes),
            kind=SpanKind.INTERNAL,
            status=failed if span.failure else Status(StatusCode.UNSET),
            start_time=_nanoseconds(span.started),
            end_time=_nanoseconds(span.finished),
            instrumentation_scope=self._scope,
        )


def traceparent_for(parent: str | None, key: str) -> str | None:
    """Return the traceparent that ``Tracer.record`` gives the span ``key`` below ``parent``."""
    trace_id = _trace_id(parent)
    if trace_id is None:
        return None
    span_id = hashlib.sha256(f"{trace_id}/{key}".encode()).hexdigest()[:16]
    return f"00-{trace_id}-{span_id}-01"


def headers(traceparent: str | None) -> dict[str, str]:
    """Return the message headers that carry a place in a trace; none without one."""
    return {} if traceparent is None else {"traceparent": traceparent}


def _trace_id(traceparent: str | None) -> str | None:
    match = _TRACEPARENT.match(traceparent or "")
    return match.group(1) if match else None


def _context(traceparent: str | None) -> SpanContext | None:
    match = _TRACEPARENT.match(traceparent or "")
    if match is None:
        return None
    return SpanContext(
        trace_id=int(match.group(1), 16),
        span_id=int(match.group(2), 16),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


def _add_trace(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    trace_id = _trace_id(current())
    if trace_id:
        event["trace_id"] = trace_id
    return event
