"""Child processes of ``playlog up``: one a role, restarted when they die, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from ops import clock
from ops.cli.deployment import RoleState, append_private

RESTART_DELAY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Pause before the n-th restart in a row; the last value repeats."""
STEADY_S = 30.0
"""A child that ran this long starts again at the first pause."""
_PR_SET_PDEATHSIG = 1


class Role:
    """One supervised role: how it is started, and what became of it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: dict[str, str],
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Run ``command`` with ``env``; its output is appended to ``log``."""
        self.name = name
        self._command = command
        self._env = env
        self._log = log
        self._stop_signal = stop_signal
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._restarts = 0
        self.changed: Callable[[], None] = lambda: None

    @property
    def state(self) -> RoleState:
        """What ``playlog status`` shows of this role."""
        process = self._process
        running = process is not None and process.returncode is None
        word = "running" if running else "stopped" if self._stopping else "restarting"
        return RoleState(
            role=self.name,
            pid=process.pid if process is not None and running else None,
            state=word,
            restarts=self._restarts,
        )

    def start(self) -> None:
        """Start the role and keep it running until ``stop``."""
        self._task = asyncio.create_task(self._keep(), name=f"role-{self.name}")

    def end(self) -> None:
        """Ask it to end; it is started again."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(self._stop_signal)

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, wait, and after ``grace_s`` seconds kill it."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self._stop_signal)
            try:
                await asyncio.wait_for(process.wait(), grace_s)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.changed()

    async def _keep(self) -> None:
        row = 0
        while not self._stopping:
            begun = clock.monotonic()
            await self._run_once()
            if self._stopping:
                return
            row = 0 if clock.monotonic() - begun > STEADY_S else row + 1
            self._restarts += 1
            self.changed()
            await asyncio.sleep(RESTART_DELAY_S[min(row, len(RESTART_DELAY_S) - 1)])

    async def _run_once(self) -> None:
        with append_private(self._log) as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
            )
        self.changed()
        await self._process.wait()
        self.changed()


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the supervisor dies (runs in the child before exec)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    os.setpgid(0, 0)
