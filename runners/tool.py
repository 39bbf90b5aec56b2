"""Programs that a project update runs: ended when the attempt must end, bounded in what they write.

Their standard input may hold a secret, their command line never does.
"""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from runners.ansible import POLL_S
from runners.ending import Ending, Stopped

CONTENT_BYTES_MAX = 2 * 1024**3
"""What a project may hold, and what any one file of an update may grow to."""
_CAUSE_LINES_MAX = 8
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


class ToolFailed(Exception):
    """A program failed; the text explains it, ``stderr`` is the program's own."""

    def __init__(self, explanation: str, rc: int = 1, stderr: str = "") -> None:
        """``stderr`` is shown in the event; the explanation is the job's."""
        super().__init__(explanation)
        self.rc = rc
        self.stderr = stderr


class Done(Struct, frozen=True):
    """How a program ended and what it printed."""

    rc: int
    out: str
    err: str


def run(
    command: Sequence[str],
    at: Path,
    env: Mapping[str, str],
    ending: Ending,
    stdin: str | None = None,
) -> Done:
    """Run a program to its end. Raises Stopped, and ToolFailed when it is not installed."""
    try:
        process = subprocess.Popen(
            list(command),
            cwd=at,
            env=dict(env),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
        )
    except FileNotFoundError as error:
        raise ToolFailed(f"{command[0]} is not installed on this runner") from error
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (CONTENT_BYTES_MAX,) * 2)
    while True:
        try:
            out, err = process.communicate(stdin, timeout=POLL_S)
            break
        except subprocess.TimeoutExpired:
            stdin = None  # it is on its way and taken only once
            if ending.end_if_due():
                raise Stopped from None
    if ending.due():
        raise Stopped
    return Done(process.returncode, out, err)


def cause(done: Done) -> str:
    """Return the last lines of a complaint as one line, colours left out."""
    text = _COLOR.sub("", done.err if done.err.strip() else done.out)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-_CAUSE_LINES_MAX:])


def grew_too_large(done: Done) -> bool:
    """Tell whether a program was stopped since a file of it grew too large."""
    return done.rc == -signal.SIGXFSZ or "File too large" in done.err


def too_large(what: str) -> ToolFailed:
    """Return the refusal of a project that is larger than any may be."""
    return ToolFailed(f"{what} is larger than {CONTENT_BYTES_MAX // 1024**3} GiB")
