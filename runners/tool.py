"""Programs that a project update runs: ended when the attempt must end, bounded in what they write.

Their standard input may hold a secret, their command line never does.
"""

from __future__ import annotations

import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from runners.ansible import POLL_S
from runners.ending import Ending, Stopped
from runners.frames import NO_ROOM
from runners.isolation import apart_env, sandbox
from runners.preparation import Preparation
from runners.rlimits import bounded

CONTENT_BYTES_MAX = 2 * 1024**3
"""What a project may hold, and what any one file of an update may grow to."""
_CAUSE_LINES_MAX = 8
_BY_SIGNAL = 128
"""What a sandbox adds to the signal that ended its program."""
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_OF_THE_REMOTE = re.compile(r"^remote:.*$", re.MULTILINE)
_FULL = re.compile(r"no\s+space\s+left\s+on\s+device|disk\s+quota\s+exceeded", re.IGNORECASE)


class ToolFailed(Exception):
    """A program failed; the text explains it, ``stderr`` is the program's own."""

    def __init__(self, explanation: str, rc: int = 1, stderr: str = "") -> None:
        """``stderr`` is shown in the event; the explanation is the job's."""
        super().__init__(explanation)
        self.rc = rc
        self.stderr = stderr


class NoRoom(ToolFailed):
    """The runner's disk is full."""

    def __init__(self, rc: int = 1, stderr: str = "") -> None:
        """Take what the program said that met it; nothing where it was none."""
        super().__init__("The runner has no room for it: its disk is full", rc, stderr)


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Raise NoRoom where a disk turns out to be full."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise NoRoom(stderr=str(error)) from error


class Done(Struct, frozen=True):
    """How a program ended and what it printed."""

    rc: int
    out: str
    err: str


def run(
    job: Preparation,
    command: Sequence[str],
    at: Path,
    env: Mapping[str, str],
    ending: Ending,
    *,
    kept: Sequence[Path] = (),
    stdin: str | None = None,
) -> Done:
    """Run a program to its end, in a sandbox where this runner has one.

    ``kept`` are the caches that it works on. Raises Stopped, ToolFailed when it is not installed,
    NoRoom when it says that the disk is full, and Unrunnable for an impossible environment.
    """
    program = shutil.which(command[0], path=env["PATH"])
    if program is None:
        raise ToolFailed(f"{command[0]} is not installed on this runner")
    started, given, within = [program, *command[1:]], dict(env), dict[str, str]()
    apart_env.check(env)
    if apart := job.spec.isolation.sandbox:
        given, within = apart_env.split(env)
    with (
        apart_env.descriptor(apart_env.options(within)) as options,
        bounded({resource.RLIMIT_FSIZE: CONTENT_BYTES_MAX}),
    ):
        if apart:
            around = sandbox.around_tool(job, at, kept)
            started = [*around, "--args", str(options), "--", *started]
        process = subprocess.Popen(
            started,
            cwd=at,
            env=given,
            pass_fds=[options] if apart else [],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
        )
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
    if process.returncode and met_full_disk(err):
        raise NoRoom(process.returncode, err.strip())
    return Done(process.returncode, out, err)


def met_full_disk(complaint: str) -> bool:
    """Tell whether a program says that this machine's disk is full; git tells the server's too."""
    return _FULL.search(_OF_THE_REMOTE.sub("", complaint)) is not None


def cause(done: Done) -> str:
    """Return the last lines of a complaint as one line, colours left out."""
    text = _COLOR.sub("", done.err if done.err.strip() else done.out)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-_CAUSE_LINES_MAX:])


def grew_too_large(done: Done) -> bool:
    """Tell whether a program was stopped since a file of it grew too large."""
    ended = (-signal.SIGXFSZ, _BY_SIGNAL + signal.SIGXFSZ)
    return done.rc in ended or "File too large" in done.err


def too_large(what: str) -> ToolFailed:
    """Return the refusal of a project that is larger than any may be."""
    return ToolFailed(f"{what} is larger than {CONTENT_BYTES_MAX // 1024**3} GiB")
