"""An inventory update: ``ansible-inventory`` in the attempt's own directories, its words as events.

What it prints, what it takes in memory and what it may write are bounded: a script that hangs, or
prints garbage or 100 MB, ends the update and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import select
import shutil
import stat
import subprocess
from pathlib import Path

import msgspec
from msgspec import Struct

from ops import clock
from runners import environment, host_limit, inventory_source, process_tree, rlimits
from runners.ansible import POLL_S
from runners.ending import Ending, Stopped
from runners.isolation import around
from runners.journal import STATUS, JournalWriter, new_uuid
from runners.preparation import Preparation, Unrunnable
from runners.spec import IMPORT_FILE, write_private
from runners.steps import credentials, isolation, workspace

COMMAND = "ansible-inventory"
RESULT_BYTES_MAX = 64 << 20
"""A larger inventory is refused: the control plane holds it in memory while it is imported."""
MEMORY_BYTES_MAX = 2 << 30
FILE_BYTES_MAX = 1 << 30
OUTPUT_BYTES_MAX = 4 << 20
LINE_BYTES_MAX = 16 << 10
EXPLANATION_CHARS_MAX = 1000
CAUSE_CHARS_MAX = 300
CAUSES_MAX = 2
"""Of the lines that tell what went wrong the first so many are told, and the last."""
_READ_BYTES = 1 << 16
_CAUSE = re.compile(r"\[(?:ERROR|WARNING)\]:|^ERROR!", re.IGNORECASE)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_LIMITS = {
    resource.RLIMIT_DATA: MEMORY_BYTES_MAX,
    resource.RLIMIT_FSIZE: FILE_BYTES_MAX,
    resource.RLIMIT_CORE: 0,
}
_STANDARD = {
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
    "ANSIBLE_INVENTORY_EXPORT": "True",
    "ANSIBLE_VERBOSE_TO_STDERR": "True",
    "ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS": "never",
    "ANSIBLE_FORCE_COLOR": "False",
    "ANSIBLE_NOCOLOR": "True",
}


class Synced(Struct, frozen=True, kw_only=True):
    """How the update ended; a subset of the final frame."""

    status: str
    rc: int | None = None
    explanation: str = ""
    scm_revision: str = ""
    content_sha256: str = ""


def sync(job: Preparation, journal: JournalWriter, ending: Ending) -> Synced:
    """Read the source; leave what it says as ``imported.json``. Raises Stopped, Unrunnable."""
    workspace.prepare(job)
    credentials.prepare(job)
    source = inventory_source.prepared(job)
    target = job.dir / "tmp" / IMPORT_FILE
    command = _command(job, source, target)
    job.invocation.env = _environment(job, source)
    isolation.prepare(job)
    around.ready(job, journal, ending)
    env = job.invocation.env
    journal.control(
        STATUS,
        status="running",
        job_args=command,
        job_cwd=str(source.directory),
        job_env=environment.shown({**env, **job.invocation.within, **job.invocation.shown_env}),
    )
    told = _Output(journal)
    rc = _run(command, source.directory, env, told, ending)
    if unstarted := around.explained(job, rc):
        return Synced(status="error", rc=rc, explanation=unstarted)
    if rc != 0:
        named = job.spec.source_path or source.paths[-1].name
        return Synced(status="failed", rc=rc, explanation=f"{named}: {told.cause(rc)}")
    return _result(target, job.dir / IMPORT_FILE, told, job.spec.project_revision)


def _command(job: Preparation, source: inventory_source.Source, target: Path) -> list[str]:
    last = source.paths[-1]
    command = [COMMAND, "--list", "--export"]
    for path in source.paths:
        command += ["-i", str(path)]
    command += host_limit.option(job.spec.limit)
    command += ["--output", str(target)]
    command += ["--playbook-dir", str(last if last.is_dir() else last.parent)]
    if job.spec.verbosity:
        command.append("-" + "v" * min(5, job.spec.verbosity * 2 + 1))
    return command


def _environment(job: Preparation, source: inventory_source.Source) -> dict[str, str]:
    spec = job.spec
    own = {
        **_STANDARD,
        "HOME": str(job.dir / "home"),
        "TMPDIR": str(job.dir / "tmp"),
        "ANSIBLE_HOME": str(job.dir / "home" / ".ansible"),
        "ANSIBLE_LOCAL_TEMP": str(job.dir / "tmp"),
        "JOB_ID": str(spec.job),
        "INVENTORY_ID": str(spec.inventory),
        "INVENTORY_SOURCE_ID": str(spec.inventory_source),
        "INVENTORY_UPDATE_ID": str(spec.job),
        "PROJECT_REVISION": spec.project_revision,
        process_tree.MARK: process_tree.mark_of(job.dir),
        **{name: value for name, value in source.env.items() if name.startswith("ANSIBLE_INV")},
    }
    return {**environment.scrubbed(), **spec.env, **source.env, **job.invocation.env, **own}


def _run(command: list[str], at: Path, env: dict[str, str], told: _Output, ending: Ending) -> int:
    """Run to the end, telling what is printed; returns the exit code. Raises Stopped."""
    program = shutil.which(command[0], path=env.get("PATH"))
    if program is None:
        raise Unrunnable(f"This runner has no {COMMAND}")
    with rlimits.bounded(_LIMITS):
        process = subprocess.Popen(
            [program, *command[1:]],
            cwd=at,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    rlimits.fix(process.pid, _LIMITS)
    if process.stdout is not None:
        with process.stdout as printed:
            _listen(process, printed.fileno(), told, ending)
    told.close()
    while True:
        try:
            return process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            if ending.end_if_due():
                raise Stopped from None


def _listen(process: subprocess.Popen[bytes], fd: int, told: _Output, ending: Ending) -> None:
    """Tell what is printed until it ends, or the process has. Raises Stopped."""
    while True:
        ready, _, _ = select.select([fd], [], [], POLL_S)
        if ready:
            piece = os.read(fd, _READ_BYTES)
            if not piece:
                return
            told.take(piece)
        elif process.poll() is not None:
            return  # whoever still holds the pipe is none of ours to wait for
        if ending.end_if_due():
            raise Stopped


class _Output:
    """What is printed, as events of one line each; too much of it is left out."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._rest = b""
        self._left = OUTPUT_BYTES_MAX
        self._causes: list[str] = []

    def take(self, piece: bytes) -> None:
        """Take a piece of output."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > LINE_BYTES_MAX:
            self._rest = self._rest[: LINE_BYTES_MAX + 1]

    def close(self) -> None:
        """Take the last line."""
        if self._rest:
            self._line(self._rest)
        self._rest = b""

    def tell(self, text: str) -> None:
        """Append a line as an event."""
        event = {
            "event": "verbose",
            "uuid": new_uuid(),
            "created": clock.now().isoformat(),
            "event_data": {},
        }
        self._journal.event(dict(event), f"{text}\n")

    def cause(self, rc: int) -> str:
        """Return what went wrong, by the first words that sounded like it and the last."""
        said = " ".join(self._causes)[:EXPLANATION_CHARS_MAX]
        if said:
            return said
        if rc < 0:
            return f"{COMMAND} was ended by signal {-rc}"
        return f"{COMMAND} failed with exit code {rc}"

    def _line(self, line: bytes) -> None:
        text = line[:LINE_BYTES_MAX].decode(errors="replace").rstrip("\r")
        if len(line) > LINE_BYTES_MAX:
            text += " ... (cut)"
        plain = _COLOR.sub("", text)
        if _CAUSE.search(plain):
            self._causes = [*self._causes[:CAUSES_MAX], plain[:CAUSE_CHARS_MAX]]
        if self._left <= 0:
            return
        self._left -= len(text)
        self.tell(text if self._left > 0 else f"{text}\n... (more output was left out)")


def _result(written: Path, kept: Path, told: _Output, revision: str) -> Synced:
    """Keep what was written and return its digest, if it is an inventory of bearable size."""
    try:
        content = _content(written)
        listing = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        meta = msgspec.json.decode(listing.get("_meta", b"{}"), type=_Meta)
    except (_Unfit, OSError, msgspec.DecodeError) as error:
        text = f"{COMMAND} wrote no inventory that can be used: {error}"
        told.tell(f"[ERROR]: {text}")
        return Synced(status="failed", explanation=text)
    write_private(kept, content)
    groups = listing.keys() - {"_meta", "all", "ungrouped"}
    told.tell(f"Read {len(groups)} groups and variables of {len(meta.hostvars)} hosts.")
    return Synced(
        status="successful",
        rc=0,
        scm_revision=revision,
        content_sha256=hashlib.sha256(content).hexdigest(),
    )


class _Unfit(Exception):
    """What was written cannot be taken."""


def _content(path: Path) -> bytes:
    """Return a plain file's content: a source may have put anything in its place."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _Unfit("it is no file")
        if found.st_size > RESULT_BYTES_MAX:
            raise _Unfit(f"it has {found.st_size} bytes, {RESULT_BYTES_MAX} are taken")
        return stream.read(RESULT_BYTES_MAX)


class _Meta(Struct, frozen=True):
    hostvars: dict[str, msgspec.Raw] = {}
