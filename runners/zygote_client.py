"""The agent's way to start supervisors and to watch them; a dead zygote costs time, never a job."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import msgspec

from runners import environment, process_tree
from runners.spec import Secrets
from runners.supervisor import SupervisorFile, read_supervisor

_ROOT = Path(__file__).parent.parent
_ANSWER_BYTES_MAX = 4096
_ANSWER_WITHIN_S = 10.0
_CLAIM_WITHIN_S = 60.0
_CLAIM_POLL_S = 0.02


class SupervisorLost(Exception):
    """A supervisor ended before it took charge of its job directory; the job was never started."""


class SupervisorHandle:
    """A supervisor that was started, by us or by an agent before us; it need not be our child."""

    def __init__(self, pid: int, start_ticks: int) -> None:
        """Take pid and start time (clock ticks since boot): together they are unique."""
        self.pid = pid
        self.start_ticks = start_ticks

    @classmethod
    def of(cls, job_dir: Path) -> Self | None:
        """Return the handle of a job directory's supervisor, dead or alive.

        None when it never had one.
        """
        found = read_supervisor(job_dir)
        return None if found is None else cls(found.pid, found.start_ticks)

    def is_alive(self) -> bool:
        """Tell whether it still runs."""
        return process_tree.is_alive(self.pid, self.start_ticks)

    def cancel(self) -> None:
        """Order it to end its job; a second order takes the grace away.

        Harmless when it has ended.
        """
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once; its job's processes live on. Harmless when it has ended."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        fd = self._open()
        if fd is not None:
            try:
                signal.pidfd_send_signal(fd, number)
            except ProcessLookupError:
                pass
            finally:
                os.close(fd)

    async def wait(self) -> None:
        """Return when it has ended."""
        fd = self._open()
        if fd is None:
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(fd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)

    def _open(self) -> int | None:
        """Open a descriptor of this very process; None when it has ended."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.is_alive():
            return fd
        os.close(fd)
        return None


class Zygote:
    """Starts supervisors through a zygote that is started, and started again, when needed."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Return the zygote's pid while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the zygote ahead of the first job."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runners.zygote", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                cwd=_ROOT,
                env=environment.scrubbed(),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._socket = ours

    def stop(self) -> None:
        """Let the zygote end; running supervisors go on."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.wait()
        self._socket = self._process = None

    async def spawn(self, job_dir: Path, secrets: Secrets) -> SupervisorHandle:
        """Start the supervisor of a job directory, exactly once however often it is asked for.

        Returns the handle of the one that took charge. Raises SupervisorLost.
        """
        fd = _in_memory(msgspec.json.encode(secrets))
        try:
            async with self._turn:
                started = await self._fork(job_dir, fd)
            if started is None:
                started = await asyncio.to_thread(_start_alone, job_dir, fd)
        finally:
            os.close(fd)
        return await _in_charge(job_dir, started)

    async def _fork(self, job_dir: Path, fd: int) -> SupervisorFile | None:
        """Ask the zygote for a supervisor; None when it gives no answer."""
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self.start()
        loop = asyncio.get_running_loop()
        assert self._socket is not None  # noqa: S101 - started above
        try:
            socket.send_fds(self._socket, [os.fsencode(job_dir)], [fd])
            answer = await asyncio.wait_for(
                loop.sock_recv(self._socket, _ANSWER_BYTES_MAX), _ANSWER_WITHIN_S
            )
        except (OSError, TimeoutError):
            answer = b""
        if answer:
            return msgspec.json.decode(answer, type=SupervisorFile)
        self._process.kill()  # type: ignore[union-attr]  # started above
        self.stop()
        return None


def _in_memory(content: bytes) -> int:
    """Return a descriptor to read ``content`` from; it is in no file system."""
    fd = os.memfd_create("secrets", os.MFD_CLOEXEC)
    os.write(fd, content)
    return fd


def _start_alone(job_dir: Path, fd: int) -> SupervisorFile:
    """Start a supervisor without the zygote."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runners.supervisor", str(job_dir)],
        cwd=_ROOT,
        env=environment.scrubbed(),
        stdin=fd,
    )
    return SupervisorFile(pid=process.pid, start_ticks=process_tree.start_ticks(process.pid) or 0)


async def _in_charge(job_dir: Path, started: SupervisorFile) -> SupervisorHandle:
    """Wait until the job directory has a supervisor.

    Ours, or one that an earlier request started. One that does not come to it, on a machine that is
    hopelessly busy, is ended: it must not start a job that is given up.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _CLAIM_WITHIN_S
    late = SupervisorHandle(started.pid, started.start_ticks)
    while True:
        alive = late.is_alive()
        handle = SupervisorHandle.of(job_dir)
        if handle is not None:
            return handle
        if not alive:
            raise SupervisorLost(f"no supervisor took charge of {job_dir.name}")
        if loop.time() > deadline:
            late.kill()
        await asyncio.sleep(_CLAIM_POLL_S)
