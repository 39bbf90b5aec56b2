"""The private directories of an attempt; whatever it leaves on this machine goes with them."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from runners.preparation import Preparation, Unrunnable, artifacts_dir, memory_dir
from runners.spec import SPEC_FILE

SUBDIRS = ("bin", "home", "tmp", "cp", "project", "inventory", "env")
ROOM_BYTES_MIN = 1 << 20
"""What is left on a disk for the words that an attempt ends with."""


def prepare(job: Preparation) -> None:
    """Create the attempt's directories, readable by nobody else."""
    make_memory(job.memory)
    make_memory(job.invocation.artifacts)
    for name in SUBDIRS:
        (job.dir / name).mkdir(mode=0o700, exist_ok=True)
    for name in ("tmp", "cp"):
        job.socket_dir(name).mkdir(mode=0o700, exist_ok=True)


def cleanup(job: Preparation) -> None:
    """Remove the secrets; the directory itself stays until the agent has published its journal."""
    shutil.rmtree(job.memory, ignore_errors=True)
    shutil.rmtree(job.invocation.artifacts, ignore_errors=True)


def make_room(job: Preparation) -> None:
    """Where the disk is full, remove what an attempt that has ended put there itself.

    Its last words wait for room, and would wait for ever. Harmless when its directory is gone.
    """
    try:
        found = os.statvfs(job.dir)
    except FileNotFoundError:
        return
    if found.f_bavail * found.f_frsize < ROOM_BYTES_MIN:
        for name in SUBDIRS:
            shutil.rmtree(job.dir / name, ignore_errors=True)


def make_memory(directory: Path) -> None:
    """Create a memory-backed directory below one that is ours alone. Raises Unrunnable."""
    parent = directory.parent
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = parent.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise Unrunnable(f"{parent} is not a private directory of this user")
    directory.mkdir(mode=0o700, exist_ok=True)


def remove(job_dir: Path) -> None:
    """Remove an attempt's directory and secrets, whatever permissions the job left.

    The specification goes first: without it what a kill leaves of the directory is none of an
    attempt, and the next agent removes it.
    """
    shutil.rmtree(memory_dir(job_dir), ignore_errors=True)
    shutil.rmtree(artifacts_dir(job_dir), ignore_errors=True)
    (job_dir / SPEC_FILE).unlink(missing_ok=True)
    for directory, _, _ in os.walk(job_dir):
        Path(directory).chmod(0o700)
    shutil.rmtree(job_dir, ignore_errors=True)
