"""From frames on OUTPUT to committed rows, against raw COPY of the same rows; and replay."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec
from nats.aio.client import Client

from ops import clock
from projections import checkpoint
from projections.job_events import Output
from projections.projection import RawMessage, Rows, Statement
from projections.rebuild import apply_span
from projections.statements import execute
from schemas.output import AnsibleEvent, Frame
from tests.bench.measures import Measure, Sizes, cpu_s, tree
from tests.projections.rig import CREATED, Log, frame_subject, opened_log
from tests.servers import NatsServer, PostgresServer

FRAME_EVENTS = 30
"""As many events of 1 kB as fit a runner's frame."""
IN_FLIGHT = 64
ROUNDS = 3
COPY_ROWS = 1000
_DATA = {
    "playbook": "site.yml",
    "play": "all",
    "task": "install packages",
    "host": "web-17.example.org",
    "res": {"changed": True, "msg": "", "results": ["ok"] * 20, "stdout": "x" * 330},
}


def frames(count: int) -> list[Frame]:
    """Return frames of one job with ``count`` events of about 1 kB each."""
    data = msgspec.Raw(msgspec.json.encode(_DATA))
    return [
        Frame(
            job=7,
            attempt=1,
            kind="job",
            created=CREATED,
            first=first,
            last=min(first + FRAME_EVENTS - 1, count),
            offset=first * 1000,
            events=tuple(
                _event(counter, data)
                for counter in range(first, min(first + FRAME_EVENTS, count + 1))
            ),
        )
        for first in range(1, count + 1, FRAME_EVENTS)
    ]


def _event(counter: int, data: msgspec.Raw) -> AnsibleEvent:
    return AnsibleEvent(
        counter=counter,
        uuid=f"0242ac11-0002-7a5f-1b2c-{counter:012x}",
        parent_uuid="0242ac11-0002-7a5f-1b2c-000000000000",
        event="runner_on_ok",
        created=CREATED,
        stdout="changed: [web-17.example.org] => (item=package)",
        start_line=counter,
        end_line=counter + 1,
        changed=True,
        host=17,
        host_name="web-17.example.org",
        play="all",
        task="install packages",
        playbook="site.yml",
        event_data=data,
    )


async def publish(connection: Client, told: Sequence[tuple[str, bytes]]) -> None:
    """Append messages in order, several in flight, each acknowledged."""
    context = connection.jetstream(timeout=60)
    room = asyncio.Semaphore(IN_FLIGHT)

    async def send(subject: str, data: bytes) -> None:
        try:
            await context.publish(subject, data)
        finally:
            room.release()

    async with asyncio.TaskGroup() as sending:
        for subject, data in told:
            await room.acquire()
            sending.create_task(send(subject, data))


async def measure(sizes: Sizes) -> list[Measure]:
    """Measure on servers of its own."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    nats, postgres = NatsServer(directory / "nats"), PostgresServer(directory / "pg")
    try:
        await asyncio.to_thread(nats.start)
        await asyncio.to_thread(postgres.start)
        async with opened_log(nats.url, postgres.dsn) as log:
            return await _measure(log, (nats, postgres), sizes.ingested)
    finally:
        postgres.stop()
        nats.stop()
        shutil.rmtree(directory, ignore_errors=True)


async def _measure(
    log: Log, servers: tuple[NatsServer, PostgresServer], count: int
) -> list[Measure]:
    """Alternate the projector on a backlog with raw COPY of its rows; medians of both."""
    part = count // ROUNDS
    projector = _start_projector(log)
    spent: list[tuple[float, float]] = []
    copied: list[tuple[float, float]] = []
    position = 0
    try:
        await log.passed("output", 0)
        for number in range(1, ROUNDS + 1):
            told = [(frame_subject(each), msgspec.json.encode(each)) for each in _of(number, part)]
            projector.send_signal(signal.SIGSTOP)
            await publish(log.connection, told)
            position += len(told)
            spent.append(await _ingested(log, projector, servers, position))
            copied.append(await _copy(log, servers[1], told))
    finally:
        projector.terminate()
        await asyncio.to_thread(projector.wait)
    ingest_s, used_s = (median(each) for each in zip(*spent, strict=True))
    copy_s, copy_cpu_s = (median(each) for each in zip(*copied, strict=True))
    replay_s = await _replay(log, position)
    copy_rate = part / copy_s
    return [
        Measure(
            name="ingest_vs_copy",
            value=round(copy_s / ingest_s, 2),
            unit="of raw COPY",
            baseline=1.0,
            goal=0.6,
        ),
        Measure(
            name="ingest_cpu_us_per_event",
            value=round(used_s / part * 1e6, 1),
            unit="us",
            baseline=round(copy_cpu_s / part * 1e6, 1),
            goal=20,
        ),
        Measure(name="ingest_events_per_s", value=round(part / ingest_s), unit="events/s"),
        Measure(name="copy_rows_per_s", value=round(copy_rate), unit="rows/s"),
        Measure(name="replay_events_per_s", value=round(ROUNDS * part / replay_s), unit="events/s"),
        Measure(
            name="replay_vs_copy",
            value=round(ROUNDS * part / replay_s / copy_rate, 2),
            unit="of raw COPY",
            baseline=1.0,
        ),
    ]


def _of(job: int, count: int) -> Iterator[Frame]:
    return (msgspec.structs.replace(each, job=job) for each in frames(count))


async def _ingested(
    log: Log,
    projector: subprocess.Popen[bytes],
    servers: tuple[NatsServer, PostgresServer],
    position: int,
) -> tuple[float, float]:
    """Return the wall and processor seconds from a waiting backlog to committed rows."""
    pids = {projector.pid}.union(*(tree(server.pid) for server in servers))
    before = cpu_s(pids)
    begun = clock.monotonic()
    projector.send_signal(signal.SIGCONT)
    await log.passed("output", position)
    return clock.monotonic() - begun, cpu_s(pids) - before


def _start_projector(log: Log) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PLAYLOG_NATS_URL": log.url, "PLAYLOG_POSTGRES_DSN": log.dsn}
    command = [sys.executable, "-m", "ops.cli.main", "projector", "--only", "output"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


async def _copy(
    log: Log, postgres: PostgresServer, told: Sequence[tuple[str, bytes]]
) -> tuple[float, float]:
    """Return the wall and processor seconds of raw COPY of the same rows into the same tables."""
    output = Output()
    await checkpoint.install(log.reader, output, "bench_copy")
    await log.reader.execute("SET search_path TO bench_copy; SET synchronous_commit TO off")
    batches = list(_rows(output, told))
    for statement in batches[0][1]:
        await execute(log.reader, statement)
    before = cpu_s({os.getpid(), *tree(postgres.pid)})
    begun = clock.monotonic()
    for rows, _ in batches:
        async with log.reader.transaction():
            await log.reader.copy_records_to_table(
                rows.table, records=rows.rows, columns=rows.columns
            )
    taken = clock.monotonic() - begun, cpu_s({os.getpid(), *tree(postgres.pid)}) - before
    await log.reader.execute("SET search_path TO playlog; DROP SCHEMA bench_copy CASCADE")
    return taken


def _rows(
    output: Output, told: Sequence[tuple[str, bytes]]
) -> Iterator[tuple[Rows, list[Statement]]]:
    """Yield the rows of about ``COPY_ROWS`` events, and what must be done before them."""
    step = COPY_ROWS // FRAME_EVENTS
    for begin in range(0, len(told), step):
        messages = [
            RawMessage(sequence=number, subject=subject, data=data)
            for number, (subject, data) in enumerate(told[begin : begin + step], 1)
        ]
        statements = list(output.apply(messages))
        [rows] = [each for each in statements if isinstance(each, Rows)]
        yield rows, statements[: statements.index(rows)]


async def _replay(log: Log, last: int) -> float:
    """Return the seconds from the log to fresh tables."""
    own = await log.opened()
    try:
        await own.execute("SET synchronous_commit TO off")
        await checkpoint.install(own, Output(), "bench_replay")
        await own.execute("SET search_path TO bench_replay")
        begun = clock.monotonic()
        await apply_span(Output(), log.connection, own, (1, last))
        taken = clock.monotonic() - begun
        await own.execute("DROP SCHEMA bench_replay CASCADE")
        return taken
    finally:
        await own.close()
