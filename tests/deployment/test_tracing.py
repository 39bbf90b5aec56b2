"""One trace from the request to each task on a host, as an OTLP collector receives it."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.deployment.conftest import PASSWORD, Deployment
from tests.waiting import eventually

HELD_UP_S = 15.0
"""A job that waited for a hanging collector would end later than this."""

pytestmark = pytest.mark.timeout(180)


class Collector:
    """An OTLP/HTTP receiver that decodes the protobuf and keeps the spans."""

    def __init__(self) -> None:
        """Serve on a free port."""
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.answers = threading.Event()
        """Cleared: exports are taken and never answered."""
        self.answers.set()
        keep, resources, answers = self.spans, self.resources, self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                answers.wait(60)
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    named = resource.resource.attributes
                    resources.append({each.key: each.value.string_value for each in named})
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
    _stand_in_line(spans)
    services = {each["service.name"] for each in collector.resources}
    assert services >= {"playlog-api", "playlog-dispatcher", "playlog-runner"}
    told = str([*collector.resources, *spans])
    assert PASSWORD not in told


def _stand_in_line(spans: list[Span]) -> None:
    """Check who stands below whom, and that nobody begins before who caused it."""
    by_id = {span.span_id: span for span in spans}
    above = {span.name: by_id[span.parent_span_id] for span in spans if span.parent_span_id}
    play = next(span for span in spans if span.name.startswith("play "))
    assert above["task greet"] is play
    assert above[play.name].name == "run"
    assert {above[name].name for name in ("claim", "content", "spawn", "run")} == {"attempt"}
    root = next(span for span in spans if not span.parent_span_id)
    for span in spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert root.start_time_unix_nano <= span.start_time_unix_nano
    run = above[play.name]
    assert run.start_time_unix_nano <= play.start_time_unix_nano
    assert play.end_time_unix_nano <= run.end_time_unix_nano
    hosts = {
        each.value.string_value
        for span in spans
        if span.name == "task greet"
        for each in span.attributes
        if each.key == "ansible.host"
    }
    assert hosts == {"one", "two"}


def test_a_collector_that_hangs_holds_up_no_job(collector: Collector) -> None:
    """Spans wait or are lost; requests, jobs and the stop do not wait for them."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    deployment = Deployment(directory)
    deployment.start(PLAYLOG_OTLP_ENDPOINT=collector.url)
    try:
        deployment.prepare()
        template = deployment.template("traced", "site.yml")
        collector.answers.clear()
        for _ in range(2):
            found = deployment.ended(deployment.launch(template))
            assert found["status"] == "successful"
            ended = datetime.fromisoformat(found["finished"])
            assert (datetime.now(UTC) - ended).total_seconds() < HELD_UP_S
        assert deployment.stop() == 0
    finally:
        collector.answers.set()
        deployment.client.close()
        shutil.rmtree(directory, ignore_errors=True)


def test_log_lines_and_messages_name_the_trace(deployment: Deployment) -> None:
    """Without a collector the caller's trace is passed on: in the log, in messages, in events."""
    trace_id = "ab" * 16
    template = deployment.template("named", "site.yml")
    answered = deployment.client.post(
        f"/api/v2/job_templates/{template}/launch/",
        headers={"traceparent": f"00-{trace_id}-{'cd' * 8}-01"},
    )
    job = answered.json()["job"]
    deployment.ended(job)
    told = deployment.playlog("replay", "--job", str(job), "--json").splitlines()
    events = [each for each in map(json.loads, told) if "tag" in each]
    launched = events[0]
    assert {trace_id in (each["traceparent"] or "") for each in events} == {True}
    for role in ("api", "dispatcher", "runner-1"):
        log = (deployment.data / "log" / f"{role}.log").read_text().splitlines()
        lines = [json.loads(each) for each in log if each.startswith("{")]
        assert any(each.get("job") == job and each.get("trace_id") == trace_id for each in lines), (
            role
        )
        if role == "api":
            assert any(each.get("event_id") == launched["id"] for each in lines)
