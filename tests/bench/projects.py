"""How long a job waits for its project of 10,000 files: the first of a runner, and each later one.

The step is the agent's and the supervisor's part together; the baseline unpacks a copy for the job.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from statistics import median

from ops import clock
from runners import archives, redact
from runners.content import ContentCache
from runners.preparation import Preparation
from runners.spec import JobSpec, Secrets
from runners.steps import project, workspace
from tests.bench.measures import Measure

FILES = 10_000
DIRECTORIES = 100
BYTES = 1024
LATER = 9
GOAL_MS = 50.0


def measure() -> list[Measure]:
    """Return the first and the later jobs' times in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="playlog-bench-") as place:
        return asyncio.run(_measure(Path(place)))


async def _measure(data: Path) -> list[Measure]:
    source = data / "source.tar"
    await asyncio.to_thread(_write, source)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    async def fetch(_digest: str, target: Path) -> None:
        target.hardlink_to(source)

    cache = ContentCache(data, fetch, in_use=frozenset)
    spent = [await _job(data, cache, digest, number) for number in range(1 + LATER)]
    began = clock.monotonic()
    await asyncio.to_thread(archives.unpack, source, data / "copy")
    copied = _ms(clock.monotonic() - began)
    later = _ms(median(spent[1:]))
    return [
        Measure(name="project_first_job", value=_ms(spent[0]), unit="ms", baseline=copied),
        Measure(name="project_second_job", value=later, unit="ms", baseline=copied, goal=GOAL_MS),
    ]


async def _job(data: Path, cache: ContentCache, digest: str, number: int) -> float:
    """Return the seconds of the step in one job; its supervisor's part in a child of its own."""
    spec = JobSpec(kind="job", job=number, attempt=1, playbook="site.yml", project_content=digest)
    directory = data / "jobs" / spec.ident
    directory.mkdir(parents=True)
    job = Preparation(spec=spec, secrets=Secrets(), dir=directory, mask=redact.mask_of(()))
    workspace.prepare(job)
    try:
        began = clock.monotonic()
        await cache.place_tree(digest, directory / "content.tar")
        placed = clock.monotonic() - began
        return placed + _in_a_child(job)
    finally:
        workspace.cleanup(job)


def _in_a_child(job: Preparation) -> float:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        began = clock.monotonic()
        project.prepare(job)
        os.write(writing, repr(clock.monotonic() - began).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        seconds = float(told.read())
    os.waitpid(child, 0)
    return seconds


def _write(target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        for number in range(FILES):
            name = f"d{number % DIRECTORIES}/f{number}.yml"
            _add(archive, name, name.encode().ljust(BYTES))
        _add(archive, "site.yml", b"- hosts: all\n")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, BytesIO(content))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
