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
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import structlog
from msgspec import Struct
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from ops import clock, ids

SEND_SPANS = 1000
"""Spans in one export."""

Attributes = Mapping[str, str | int | float | bool]

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")
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


def current() -> str | None:
    """Return the traceparent of the span this code runs in; None outside any."""
    return _current.get()


class Recorded(Struct, frozen=True, kw_only=True):
    """A span that is over: where it stands in its trace, and when it was."""

    name: str
    traceparent: str | None
    parent: str | None
    started: datetime
    finished: datetime
    attributes: Attributes = {}
    failure: str = ""


class Tracer:
    """Records spans of one role; without an endpoint it only passes parents through."""

    def __init__(self, role: str, endpoint: str) -> None:
        """Export to ``<endpoint>/v1/traces`` when ``endpoint`` is not empty."""
        self._processor: BatchSpanProcessor | None = None
        self._exporter: OTLPSpanExporter | None = None
        self._resource = Resource.create({"service.name": f"playlog-{role}"})
        self._scope = InstrumentationScope("playlog")
        if endpoint:
            self._exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
            self._processor = BatchSpanProcessor(self._exporter, schedule_delay_millis=500)

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

    def send(self, spans: Iterable[Recorded]) -> None:
        """Export many finished spans at once, in the calling thread.

        The background queue is bounded and drops what does not fit, so a large job's spans go
        here; what the collector does not take is logged by the exporter and dropped.
        """
        if self._exporter is None:
            return
        batch: list[ReadableSpan] = []
        for span in spans:
            built = self._build(span)
            if built is not None:
                batch.append(built)
            if len(batch) >= SEND_SPANS:
                self._exporter.export(batch)
                batch = []
        if batch:
            self._exporter.export(batch)

    def flush(self) -> None:
        """Send what is buffered; called before a role ends."""
        if self._processor is not None:
            self._processor.force_flush()

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
