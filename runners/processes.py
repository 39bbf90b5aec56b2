"""The processes of attempts on this machine: its supervisors, and whatever carries a mark."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from runners import process_tree
from runners.isolation import remains
from runners.spec import Secrets, read_spec
from runners.zygote_client import SupervisorHandle, Zygote


class MachineProcesses:
    """``runners.site.Processes`` of this machine."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._zygote = Zygote()

    def start(self) -> None:
        """Start the zygote ahead of the first job."""
        self._zygote.start()

    def stop(self) -> None:
        """Let the zygote end; running supervisors go on."""
        self._zygote.stop()

    async def spawn(self, job_dir: Path, secrets: Secrets) -> SupervisorHandle:
        """See ``Zygote.spawn``."""
        return await self._zygote.spawn(job_dir, secrets)

    def supervisor(self, job_dir: Path) -> SupervisorHandle | None:
        """See ``SupervisorHandle.of``."""
        return SupervisorHandle.of(job_dir)

    def marked(self, job_dir: Path) -> list[int]:
        """Return ``process_tree.marked`` by the numbers that the processes know of themselves."""
        return [process_tree.own_number(pid) for pid in process_tree.marked(job_dir)]

    def sweep(self, job_dir: Path) -> int:
        """See ``process_tree.sweep_marked``; its container and control groups go, too."""
        killed = process_tree.sweep_marked(job_dir)
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            remains.remove(read_spec(job_dir).isolation, job_dir)
        return killed
