"""A runner agent as its own process, and a small control plane that places.

Grants and cancels by hand.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from ops import clock
from ops.blobs import Blobs
from ops.provision import provision as provision_streams
from runners.journal import JournalEvent, JournalReader
from schemas import subjects
from schemas.output import AnsibleEvent, AttemptFinished, AttemptStarted, Frame, StoredReport
from schemas.work import (
    CancelRequest,
    ClaimRequest,
    Grant,
    PlaybookRun,
    Presence,
    Registered,
    RegisterRunner,
    WorkOrder,
    work_class,
)
from tests.runners.rig import LOCAL, tar_of
from tests.waiting import soon

ROOT = Path(__file__).parent.parent.parent
RUNNER = "runner-1"


class ControlPlane:
    """Answers what an agent asks, and remembers what it was asked."""

    def __init__(self, connection: Client) -> None:
        self.nats = connection
        self.jetstream = connection.jetstream()
        self.grants: dict[tuple[int, int], Grant] = {}
        """Answers to claims; an attempt that is not here is granted."""
        self.claims: list[ClaimRequest] = []
        self.registrations: list[RegisterRunner] = []
        self.released: list[ClaimRequest] = []
        self.answer = Registered(instance=1)

    @classmethod
    async def connected(cls, url: str) -> ControlPlane:
        """Return one that serves, on a provisioned server."""
        plane = cls(await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1))
        await provision(plane)
        await plane.nats.subscribe(subjects.register("*"), cb=plane._on_register)
        await plane.nats.subscribe(subjects.claim("*"), cb=plane._on_claim)
        await plane.nats.subscribe(subjects.released("*"), cb=plane._on_released)
        await plane.nats.flush()
        return plane

    async def order(self, job: int, files: dict[str, str], **changed: Any) -> WorkOrder:
        """Store a playbook's content and place an order for it."""
        hosts = changed.pop("hosts", ("localhost",))
        variables = {name: {**LOCAL, "remote_tower_id": n} for n, name in enumerate(hosts, 100)}
        listing = {"all": {"hosts": list(hosts)}, "_meta": {"hostvars": variables}}
        run = PlaybookRun(
            project_content=await self.blob(tar_of(files)),
            scm_revision="",
            inventory_content=await self.blob(json.dumps(listing).encode()),
            playbook="site.yml",
            **changed.pop("run", {}),
        )
        return await self.place(job, run, **changed)

    async def place(self, job: int, payload: Any, **changed: Any) -> WorkOrder:
        """Publish a work order as the dispatcher does."""
        fields: dict[str, Any] = {
            "attempt": 1,
            "organization": 7,
            "name": f"job {job}",
            "created": clock.now(),
            "group": "default",
            "impact": 1,
        }
        order = WorkOrder(job=job, payload=payload, **(fields | changed))
        await self.jetstream.publish(
            subjects.work_group(order.group, work_class(order.impact)),
            msgspec.json.encode(order),
            headers={"Nats-Msg-Id": f"{job}-{order.attempt}"},
        )
        return order

    async def cancel(self, job: int, runner: str = RUNNER) -> bytes:
        """Send a cancel request; returns the answer."""
        body = msgspec.json.encode(CancelRequest(job=job, attempt=1))
        return (await self.nats.request(subjects.control(runner, "cancel"), body, timeout=5)).data

    async def frames(self, job: int, organization: int = 7) -> list[Frame]:
        """Return the frames of a job's first attempt as OUTPUT holds them."""
        subject = subjects.output(subjects.Attempt(organization, job, 1))
        return [
            msgspec.json.decode(each, type=Frame) for each in await self._stored("OUTPUT", subject)
        ]

    async def reports(self, job: int) -> list[StoredReport]:
        """Return the reports of a job's first attempt."""
        subject = subjects.report(subjects.Attempt(7, job, 1))
        return [
            msgspec.json.decode(each, type=StoredReport)
            for each in await self._stored("REPORTS", subject)
        ]

    async def started(self, job: int) -> AttemptStarted | None:
        """Return the report of the start, if it is there."""
        found = [each.report for each in await self.reports(job)]
        return next((each for each in found if isinstance(each, AttemptStarted)), None)

    async def finished(self, job: int, within_s: float = 60.0) -> AttemptFinished:
        """Wait for the report of the end; there is one only."""

        async def ends() -> list[AttemptFinished]:
            found = [each.report for each in await self.reports(job)]
            return [each for each in found if isinstance(each, AttemptFinished)]

        await soon(ends, within_s)
        return (await ends())[0]

    async def events(self, job: int) -> list[AnsibleEvent]:
        """Return the events of all frames, in the order of the stream."""
        return [event for frame in await self.frames(job) for event in frame.events]

    async def presence(self, runner: str = RUNNER) -> Presence:
        """Return the runner's presence entry."""
        found = await self.jetstream.get_last_msg("KV_presence", f"$KV.presence.{runner}")
        return msgspec.json.decode(found.data or b"", type=Presence)

    async def blob(self, content: bytes) -> str:
        """Store content; returns its sha256."""
        return await Blobs(self.nats).put(content)

    async def waiting_orders(self) -> int:
        """Return how many orders WORK holds."""
        return (await self.jetstream.stream_info("WORK")).state.messages

    async def _stored(self, stream: str, subject: str) -> list[bytes]:
        info = await self.jetstream.stream_info(stream, subjects_filter=subject)
        count = (info.state.subjects or {}).get(subject, 0)
        found: list[bytes] = []
        sequence = 1
        for _ in range(count):
            message = await self.jetstream.get_msg(stream, seq=sequence, subject=subject, next=True)
            found.append(message.data or b"")
            sequence = (message.seq or 0) + 1
        return found

    async def _on_register(self, message: Msg) -> None:
        self.registrations.append(msgspec.json.decode(message.data, type=RegisterRunner))
        await message.respond(msgspec.json.encode(self.answer))

    async def _on_claim(self, message: Msg) -> None:
        request = msgspec.json.decode(message.data, type=ClaimRequest)
        self.claims.append(request)
        grant = self.grants.get((request.job, request.attempt), Grant(granted=True))
        await message.respond(msgspec.json.encode(grant))

    async def _on_released(self, message: Msg) -> None:
        self.released.append(msgspec.json.decode(message.data, type=ClaimRequest))


async def provision(plane: ControlPlane) -> None:
    """Create what an agent needs."""
    await provision_streams(plane.nats)


class AgentProcess:
    """``python -m runners`` on a data directory that outlives it."""

    def __init__(self, data: Path, url: str, runner: str = RUNNER, **settings: str) -> None:
        self.data = data
        self.runner = runner
        self._log = data.with_suffix(".log")
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PLAYLOG_DATA": str(data),
            "PLAYLOG_NODE": runner,
            "PLAYLOG_NATS_URL": url,
            "PLAYLOG_RUNNER_GROUPS": "default",
            "PLAYLOG_RUNNER_CAPACITY": "8",
            "PLAYLOG_HEARTBEAT_S": "0.2",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        """Start it; ``settings`` hold for this time only."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runners"],
                cwd=ROOT,
                env={**self._env, **settings},
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it with SIGTERM; returns its exit status."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it has ended by itself."""
        assert self._process is not None
        return self._process.wait(30)

    def directory(self, job: int) -> Path:
        """Directory of a job's first attempt."""
        return self.data / "jobs" / f"{job}-1"

    def journal(self, job: int) -> list[AnsibleEvent]:
        """Return the events that the journal holds now."""
        reader = JournalReader(self.directory(job) / "journal")
        return [each.event for each in reader.all() if isinstance(each, JournalEvent)]

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        status = self._process.wait(30)
        self._process = None
        return status
