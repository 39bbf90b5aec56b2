"""Live clients that do not read: dropped with a reason and a cursor, at no cost to the rest."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.bench import capture
from tests.deployment.conftest import Deployment
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(180)

TOO_SLOW = 4008
GROWN_MB_MAX = 60
"""More than the bounds of one slow viewer, and far less than what it was sent."""
WIDE = capture.LOOKUP.replace('"line %d of a job that prints" % number', "os.urandom(1000).hex()")
"""Lines that compression does not make small."""


@contextlib.contextmanager
def _joined(deployment: Deployment, job: int) -> Iterator[ClientConnection]:
    """Yield a connection that has joined a job's events and asks for nothing more."""
    token = deployment.post("/api/v2/tokens/", {"description": "ws", "scope": "read"})["token"]
    headers = {"Cookie": "csrftoken=abc", "Authorization": f"Bearer {token}"}
    address = deployment.url.replace("http", "ws") + "/websocket/"
    with connect(address, additional_headers=headers, max_queue=4) as socket:
        assert json.loads(socket.recv(10))["accept"] is True
        socket.send(json.dumps({"xrftoken": "abc", "groups": {"job_events": [job]}}))
        assert f"job_events-{job}" in json.loads(socket.recv(10))["groups_joined"]
        yield socket


def _api_mb(deployment: Deployment) -> float:
    status = Path(f"/proc/{deployment.roles()['api']['pid']}/status").read_text()
    line = next(each for each in status.splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _end(socket: ClientConnection) -> tuple[int, str, list[int]]:
    """Read to the end; returns code and reason of the close, and the counters that came."""
    counters: list[int] = []
    try:
        while True:
            told: dict[str, Any] = json.loads(socket.recv(30))
            if "counter" in told:
                counters.append(told["counter"])
    except ConnectionClosed as closed:
        if closed.rcvd is None:
            raise
        return closed.rcvd.code, closed.rcvd.reason, counters


def test_a_client_that_does_not_read_is_dropped_with_its_cursor(deployment: Deployment) -> None:
    """The API's memory stays, others see everything, and the cursor is where it has come to."""
    deployment.write(capture.project(f"import os\n{WIDE}"))
    deployment.commit("lines")
    template = deployment.template("lines", "lines.yml", limit="one,localhost")
    before = _api_mb(deployment)
    job = deployment.launch(template)
    most = before
    counters: list[int] = []
    with _joined(deployment, job) as sleeping, _joined(deployment, job) as reading:
        while not counters or counters[-1] < capture.LINES:
            told = json.loads(reading.recv(60))
            if "counter" in told:
                counters.append(told["counter"])
                if told["counter"] % 1000 == 0:
                    most = max(most, _api_mb(deployment))
        code, reason, seen = _end(sleeping)
    assert counters == sorted(set(counters))
    assert most - before < GROWN_MB_MAX
    assert code == TOO_SLOW
    assert reason.startswith("too slow")
    assert json.loads(reason.removeprefix("too slow "))["cursors"][str(job)] == seen[-1]
    assert seen == list(range(1, seen[-1] + 1))
    eventually(lambda: deployment.job(job)["event_processing_finished"], 60)
