"""What is kept of sources between updates: each in a place of its own that one update holds."""

from __future__ import annotations

import fcntl
import hashlib
import os
import select
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from runners.ending import Ending, Stopped
from runners.git_remote import Refused
from runners.preparation import Preparation
from runners.record import JOBS_DIR
from runners.tool import NoRoom, full_disk_told

BYTES_MAX = 4 * 1024**3
"""Of each kind of source; beyond it the least recently used goes, never one that is held."""
_LOCK_POLL_S = 0.1


def check_foreign(data: Path, url: str) -> None:
    """Refuse a URL of a file that leads to what the runner keeps of others. Raises Refused."""
    if not url.startswith("file:"):
        return
    named = url.removeprefix("file:").lstrip("/")
    for each in (named, unquote(named)):
        place = Path("/", each).resolve()
        if place.is_relative_to(data.resolve()) and _is_kept(place.relative_to(data.resolve())):
            raise Refused("The repository URL leads to what the runner keeps for itself")


def _is_kept(place: Path) -> bool:
    first = place.parts[0] if place.parts else ""
    return first.endswith(("-cache", "-trees")) or first == JOBS_DIR


@contextmanager
def held(job: Preparation, kind: str, key: str, ending: Ending) -> Iterator[Path]:
    """Hold a source's place below ``<data>/<kind>`` alone while in use. Raises Stopped, NoRoom.

    It is empty when it was not there, or is to be forgotten first. It goes when the disk is full:
    what has arrived in part is told from the rest by nobody, and would keep the disk full.
    """
    caches = job.data / kind
    caches.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = caches / hashlib.sha256(key.encode()).hexdigest()[:32]
    with place.with_suffix(".lock").open("w") as lock:
        wait_for(lock.fileno(), ending)
        os.utime(lock.fileno())
        if job.spec.scm_delete_first:
            shutil.rmtree(place, ignore_errors=True)
        try:
            with full_disk_told():
                place.mkdir(mode=0o700, exist_ok=True)
                yield place
        except NoRoom:
            shutil.rmtree(place, ignore_errors=True)
            raise
        make_room(caches, BYTES_MAX)


def wait_for(descriptor: int, ending: Ending) -> None:
    """Wait for a lock. Raises Stopped."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            select.select([], [], [], _LOCK_POLL_S)
        else:
            return
        if ending.due():
            raise Stopped


def make_room(caches: Path, bytes_max: int) -> None:
    """Remove what was not used for longest while there is more than may be."""
    locks = sorted(caches.glob("*.lock"), key=lambda path: path.stat().st_mtime_ns)
    sizes = {path: _bytes(path.with_suffix("")) for path in locks}
    used = sum(sizes.values())
    for path in locks[:-1]:
        if used <= bytes_max:
            return
        with path.open("r+") as lock:
            try:
                fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            used -= sizes[path]


def _bytes(place: Path) -> int:
    return sum(
        os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118 - a walk over many files
        for directory, _, names in os.walk(place)
        for name in names
    )
