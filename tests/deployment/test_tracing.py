"""One trace from the request to each task on a host, as an OTLP collector receives it."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.deployment.conftest import Deployment
from tests.waiting import eventually

pytestmark = [pytest.mark.xdist_group("deployment"), pytest.mark.timeout(180)]


class Collector:
    """An OTLP/HTTP receiver that decodes the protobuf and keeps the spans."""

    def __init__(self) -> None:
        """Serve on a free port."""
        self.spans: list[Span] = []
        keep = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        keep.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The endpoint as the setting takes it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def trace(self, trace_id: bytes) -> list[Span]:
        """Return the spans of one trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A running collector."""
    made = Collector()
    yield made
    made.close()


def test_a_launch_is_one_trace_down_to_each_task_on_a_host(collector: Collector) -> None:
    """One root, every parent present, spans of append, placement, queue, phases, plays, tasks."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    deployment = Deployment(directory)
    deployment.start(PLAYLOG_OTLP_ENDPOINT=collector.url)
    try:
        deployment.prepare()
        job = deployment.launch(deployment.template("traced", "site.yml"))
        assert deployment.ended(job)["status"] == "successful"

        def found() -> bytes | None:
            for span in collector.spans:
                named = {each.key: each.value.int_value for each in span.attributes}
                if span.name == "attempt" and named.get("playlog.job") == job:
                    return bytes(span.trace_id)
            return None

        trace_id = eventually(found, 30)
        assert trace_id is not None
        eventually(lambda: any(not s.parent_span_id for s in collector.trace(trace_id)), 30)
        assert deployment.stop() == 0
    finally:
        deployment.client.close()
        shutil.rmtree(directory, ignore_errors=True)
    spans = collector.trace(trace_id)
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if not span.parent_span_id]
    assert [root.name for root in roots] == ["HTTP POST"]
    assert all(span.parent_span_id in ids for span in spans if span.parent_span_id)
    names = [span.name for span in spans]
    assert {"append", "place", "queue", "attempt", "claim", "run"} <= set(names)
    assert sum(name.startswith("play ") for name in names) == 1
    assert names.count("task greet") == 2
    assert len(ids) == len(spans)
