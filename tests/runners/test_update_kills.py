"""Kill -9 in the middle of updates: each ends once, its output whole, nothing of it left."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from runners import process_tree, watch_end
from runners.conclusion import LOST
from runners.emit import Emitter
from runners.frames import Mask
from runners.journal import STATUS, JournalWriter
from runners.outlet import Outlet
from runners.site import Processes
from runners.spec import JOURNAL_FILE
from runners.zygote_client import SupervisorHandle
from schemas.work import InventorySync, Payload, ProjectSync
from tests.runners.agent_rig import AgentProcess, ControlPlane, patiently
from tests.runners.rig import tar_of
from tests.runners.serving import Web, serving, tar_gz
from tests.runners.test_forged_ends import RUN, SYNC, UPDATE, attempt

pytestmark = pytest.mark.timeout(240)

GOES_ON, LOSES_ALL, LOSES_SUPERVISOR = 1, 2, 3
"""Project updates."""
READS_ON, READS_NO_MORE = 4, 5
"""Inventory updates."""
SCRIPT = """#!/bin/sh
until [ -e {go} ]; do sleep 0.1; done
echo '{{"a": {{"hosts": ["h1"]}}, "_meta": {{"hostvars": {{}}}}}}'
"""


@pytest.fixture
def deaf() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/project.git"


async def _read(plane: ControlPlane, job: int, go: Path) -> None:
    """Place an inventory update whose script waits for a file."""
    content = await plane.blob(tar_of({"hosts.sh": SCRIPT.format(go=go)}))
    source = InventorySync(
        inventory=1, source="scm", source_path="hosts.sh", project_content=content
    )
    await plane.place(job, source)


def _kill_supervisor(agent: AgentProcess, job: int) -> None:
    handle = SupervisorHandle.of(agent.directory(job))
    assert handle is not None
    handle.kill()


async def test_updates_end_once_whatever_is_killed(
    plane: ControlPlane, agent: AgentProcess, directory: Path, deaf: str
) -> None:
    """Those whose supervisor lives go on; a lost one is an error at once, whoever never answers."""
    agent.start()
    go = directory / "go"
    with serving(Web(files={"/a.tar.gz": tar_gz({"site.yml": b"- hosts: all\n"})})) as web:
        web.answers = threading.Event()
        archive = f"{web.url}/a.tar.gz"
        await plane.place(GOES_ON, ProjectSync(project=1, scm_type="archive", scm_url=archive))
        for job in (LOSES_ALL, LOSES_SUPERVISOR):
            url = f"{deaf}?{job}"
            await plane.place(job, ProjectSync(project=job, scm_type="git", scm_url=url))
        await _read(plane, READS_ON, go)
        await _read(plane, READS_NO_MORE, directory / "never")
        for job in (GOES_ON, LOSES_ALL, LOSES_SUPERVISOR, READS_ON, READS_NO_MORE):
            await patiently(partial(agent.processes, job))
        for job in (LOSES_ALL, LOSES_SUPERVISOR, READS_NO_MORE):
            _kill_supervisor(agent, job)
        process_tree.sweep_marked(agent.directory(LOSES_ALL))
        os.killpg(os.getpgid(process_tree.children(agent.pid)[0]), signal.SIGKILL)
        agent.kill()
        agent.start()
        go.touch()
        web.answers.set()
        for job in (LOSES_ALL, LOSES_SUPERVISOR, READS_NO_MORE):
            told = await plane.finished(job)
            assert (told.status, told.explanation) == ("error", LOST)
            assert told.last_counter == len(await plane.events(job))
            await patiently(partial(agent.has_left, job))
        for job in (GOES_ON, READS_ON):
            await plane.ended_well(job)
            assert (await plane.finished(job)).content
            await patiently(partial(agent.has_left, job))
        assert web.asked == ["/a.tar.gz"]


class _Busy:
    """The processes of an attempt that still does something."""

    def marked(self, _job_dir: Path) -> list[int]:
        """Return the pid of a process that never ends."""
        return [1]


@pytest.mark.parametrize("payload", [RUN, UPDATE, SYNC])
async def test_nobody_waits_for_what_plays_nothing(tmp_path: Path, payload: Payload) -> None:
    """A supervisor is killed that prepared a play or an update: its record is over."""
    held = attempt(tmp_path, payload)
    journal = JournalWriter(tmp_path / JOURNAL_FILE, Mask(()))
    journal.control(STATUS, status="starting")
    emitter = Emitter(held, cast(Outlet, None), "runner-1", cast(Any, None))
    await watch_end.watch(cast(Processes, _Busy()), held, emitter)
    assert emitter.is_over
