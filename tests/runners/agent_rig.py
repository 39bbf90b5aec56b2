"""A runner agent as its own process, and a small control plane that is told what to answer.

Users, streams and consumers are a deployment's: the agent may do here what it may do there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from ops import clock, connect, nats_identity, sealing, work_lines
from ops.blobs import Blobs
from ops.provision import provision
from runners import process_tree
from runners.journal import JournalEvent, JournalReader
from runners.preparation import memory_dir
from runners.steps import workspace
from runners.zygote_client import SupervisorHandle
from schemas import subjects
from schemas.output import AnsibleEvent, AttemptFinished, AttemptStarted, Frame, StoredReport
from schemas.subjects import Attempt
from schemas.work import (
    Apart,
    CancelRequest,
    ClaimRequest,
    Grant,
    JobSecrets,
    PlaybookRun,
    Presence,
    Registered,
    RegisterRunner,
    WorkOrder,
    work_class,
)
from tests.runners.rig import LOCAL, tar_of
from tests.servers import NatsServer
from tests.waiting import soon

ROOT = Path(__file__).parent.parent.parent
RUNNER = "runner-1"
PATIENCE_S = 90.0
"""How long a whole agent may take for one step on a busy machine."""


async def patiently(predicate: Callable[[], object]) -> None:
    """Wait for a predicate as long as a whole agent may need."""
    await soon(predicate, PATIENCE_S)


class ControlPlane:
    """Answers what an agent asks, and remembers what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.identity = nats_identity.load_or_create(directory / "identity.json")
        self.directory = directory
        auth = self.identity.auth_conf(directory / "jwt")
        self.server = NatsServer(directory / "nats", auth)
        self.nats: Client
        self.grants: dict[int, Grant] = {}
        """Answers to claims by job; a job that is not here is granted."""
        self.secrets: dict[int, JobSecrets] = {}
        self.deaf = 0
        """So many claims are heard and not answered."""
        self.capacity = 0
        """What runners are told to be; 0 leaves it to them."""
        self.claims: list[ClaimRequest] = []
        self.registrations: list[RegisterRunner] = []
        self.released: list[ClaimRequest] = []

    async def start(self) -> None:
        """Start the server, provision it and serve."""
        self.server.start()
        creds = self.server.directory / "control.json"
        nats_identity.write_creds(creds, self.identity.control_user())
        self.nats = await connect.connect_nats(self.server.url, creds, "control")
        self.jetstream = self.nats.jetstream(timeout=10)
        await provision(self.nats)
        await self.nats.subscribe(subjects.register("*", ()), cb=self._on_register)
        await self.nats.subscribe(subjects.claim("*"), cb=self._on_claim)
        await self.nats.subscribe(subjects.released("*"), cb=self._on_released)
        await connect.flush(self.nats)

    async def stop(self) -> None:
        """Stop the server."""
        await connect.close_quietly(self.nats)
        self.server.stop()

    async def recover(self) -> None:
        """Start the server again after it was killed, and wait until it answers us."""

        async def answers() -> bool:
            with contextlib.suppress(nats.errors.Error):
                await self.jetstream.account_info()
                return True
            return False

        await asyncio.to_thread(self.server.start)
        await patiently(answers)

    async def order(self, job: int, files: dict[str, str], **changed: Any) -> WorkOrder:
        """Store a playbook's content and place an order for it."""
        hosts = changed.pop("hosts", ("localhost",))
        variables = {name: {**LOCAL, "remote_tower_id": n} for n, name in enumerate(hosts, 100)}
        listing = {"all": {"hosts": list(hosts)}, "_meta": {"hostvars": variables}}
        fields = {
            "project_content": await self.blob(tar_of(files)),
            "scm_revision": "",
            "inventory_content": await self.blob(json.dumps(listing).encode()),
            "playbook": "site.yml",
        }
        run = PlaybookRun(**(fields | changed.pop("run", {})))
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
            # What plays note of themselves lies beside the agent's data, which stays hidden.
            "apart": Apart(mounts=(f"{self.directory}:{self.directory}:rw",)),
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

    async def finished(self, job: int, within_s: float = PATIENCE_S) -> AttemptFinished:
        """Wait for the report of the end; there is one only."""

        async def ends() -> list[AttemptFinished]:
            found = [each.report for each in await self.reports(job)]
            return [each for each in found if isinstance(each, AttemptFinished)]

        await soon(ends, within_s)
        (only,) = await ends()
        return only

    async def ended_well(self, job: int) -> list[AnsibleEvent]:
        """Wait for a successful end; return its events, each there once and in order."""
        told = await self.finished(job)
        assert told.status == "successful", told
        events = await self.events(job)
        assert [each.counter for each in events] == list(range(1, told.last_counter + 1))
        lines = [(each.start_line, each.end_line) for each in events]
        assert all(before[1] == after[0] for before, after in pairwise(lines))
        kinds = [type(each.report) for each in await self.reports(job)]
        assert kinds == [AttemptStarted, AttemptFinished]
        return events

    async def events(self, job: int) -> list[AnsibleEvent]:
        """Return the events of all frames, in the order of the stream."""
        return [event for frame in await self.frames(job) for event in frame.events]

    async def erase(self, job: int) -> None:
        """Replace a job's output by what a deletion leaves."""
        attempt = Attempt(7, job, 1)
        frame = Frame(
            job=job,
            attempt=1,
            kind="job",
            created="",
            first=1,
            last=0,
            offset=0,
            events=(),
            erased=True,
        )
        subject = subjects.output(attempt)
        answer = await self.jetstream.publish(subject, msgspec.json.encode(frame))
        await self.jetstream.purge_stream("OUTPUT", seq=answer.seq, subject=subject)

    async def presence(self, runner: str = RUNNER) -> Presence:
        """Return the runner's presence entry."""
        found = await self.jetstream.get_last_msg("KV_presence", f"$KV.presence.{runner}")
        return msgspec.json.decode(found.data or b"", type=Presence)

    async def blob(self, content: bytes) -> str:
        """Store content; returns its sha256."""
        return await Blobs(self.nats).put(content)

    async def drop_orders(self) -> None:
        """Remove all orders."""
        await self.jetstream.purge_stream("WORK")

    async def has_orders(self, count: int) -> bool:
        """Tell whether WORK holds so many orders."""
        return (await self.jetstream.stream_info("WORK")).state.messages == count

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
        request = msgspec.json.decode(message.data, type=RegisterRunner)
        self.registrations.append(request)
        await work_lines.ensure(self.nats, request.runner, request.groups)
        await message.respond(msgspec.json.encode(Registered(instance=1, capacity=self.capacity)))

    async def _on_claim(self, message: Msg) -> None:
        request = msgspec.json.decode(message.data, type=ClaimRequest)
        self.claims.append(request)
        if self.deaf:
            self.deaf -= 1
            return
        grant = self.grants.get(request.job) or self._granted(request)
        await message.respond(msgspec.json.encode(grant))

    def _granted(self, request: ClaimRequest) -> Grant:
        valid = clock.now() + timedelta(hours=1)
        creds = self.identity.job_user(Attempt(7, request.job, request.attempt), valid)
        secrets = self.secrets.get(request.job, JobSecrets())
        return Grant(
            granted=True,
            sealed=sealing.seal_to(request.sealing_key, msgspec.json.encode(secrets)),
            nats_creds=sealing.seal_to(request.sealing_key, msgspec.json.encode(creds)),
        )

    async def _on_released(self, message: Msg) -> None:
        self.released.append(msgspec.json.decode(message.data, type=ClaimRequest))


class AgentProcess:
    """``python -m runners`` on a data directory that outlives it."""

    def __init__(
        self, data: Path, plane: ControlPlane, runner: str = RUNNER, **settings: str
    ) -> None:
        self.data = data
        data.mkdir(mode=0o700)
        creds = data / "nats.json"
        nats_identity.write_creds(creds, plane.identity.runner_user(runner, ("default",)))
        self.runner = runner
        self.prefix: tuple[str, ...] = ()
        """Put before its command."""
        self._log = data.with_suffix(".log")
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PLAYLOG_DATA": str(data),
            "PLAYLOG_NODE": runner,
            "PLAYLOG_NATS_URL": plane.server.url,
            "PLAYLOG_NATS_CREDS_FILE": str(creds),
            "PLAYLOG_RUNNER_GROUPS": "default",
            "PLAYLOG_RUNNER_CAPACITY": "8",
            "PLAYLOG_HEARTBEAT_S": "0.2",
            "PLAYLOG_ISOLATION": "sandbox,limits",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        """Start it; ``settings`` hold for this time only."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "runners"],
                cwd=ROOT,
                env={**self._env, **settings},
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

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

    def processes(self, job: int) -> list[int]:
        """Return the living processes of a job's first attempt."""
        return process_tree.marked(self.directory(job))

    def has_left(self, job: int) -> bool:
        """Tell whether nothing of a job is on this machine any more."""
        left = self.directory(job).exists() or memory_dir(self.directory(job)).exists()
        return not left and self.processes(job) == []

    def close(self) -> None:
        """End it and every process of the jobs it was running."""
        self.kill()
        for directory in (self.data / "jobs").glob("*"):
            handle = SupervisorHandle.of(directory)
            if handle is not None:
                handle.kill()
            process_tree.sweep_marked(directory)
            workspace.remove(directory)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        status = self._process.wait(30)
        self._process = None
        return status
