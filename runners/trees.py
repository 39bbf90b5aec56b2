"""Unpacked content, shared by all jobs of a runner that run it; see ``runners/mounts.py``.

``<data>/content-trees/<sha256>/tree`` is whole once it has its name: it is unpacked beside and
renamed, so a kill at any moment leaves a leftover that the next agent removes, never half a tree.
Nothing is ever written there again. It need not have reached the disk: a tree of before the
machine's last start counts for nothing. Waiting for the disk cost twice what unpacking does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from runners import archives
from runners.preparation import Unrunnable

TREES_DIR = "content-trees"
TREE = "tree"
_SIZE, _BOOT = "bytes", "boot"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_REMOVED = ".removed-"


def place_of(data: Path, digest: str) -> Path:
    """Return where the tree of a digest is, or would be."""
    return data / TREES_DIR / digest / TREE


class Trees:
    """The kept trees; least recently used goes first, what a job uses stays."""

    def __init__(self, data: Path, bytes_max: int) -> None:
        """Keep trees below ``data``; what an agent before us left half done is removed."""
        self._data = data
        self._directory = data / TREES_DIR
        self._bytes_max = bytes_max
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._boot = _BOOT_ID.read_text()
        for each in self._directory.iterdir():
            if each.name.startswith(".") or _read(each / _BOOT) != self._boot:
                _remove(each)

    def has(self, digest: str) -> bool:
        """Tell whether a tree is here, and remember that it is used."""
        place = self._directory / digest
        if not place.exists():
            return False
        os.utime(place)
        return True

    def unpack(self, digest: str, archive: Path) -> None:
        """Unpack content under its digest. Raises Unrunnable when that is not possible."""
        arriving = self._directory / f".{digest}.{os.getpid()}"
        try:
            (arriving / TREE).mkdir(mode=0o700, parents=True)
            archives.unpack(archive, arriving / TREE)
            (arriving / _SIZE).write_text(str(archive.stat().st_size))
            (arriving / _BOOT).write_text(self._boot)
            arriving.rename(self._directory / digest)
        except OSError as error:
            raise Unrunnable(f"The project's content cannot be unpacked: {error}") from error
        finally:
            _remove(arriving)

    def make_room(self, used: Collection[str]) -> None:
        """Remove what was not used for longest while there is more than may be."""
        found = sorted(
            (place.stat().st_mtime_ns, _size(place), place)
            for place in self._directory.iterdir()
            if not place.name.startswith(".")
        )
        total = sum(size for _, size, _ in found)
        for _, size, place in found[:-1]:
            if total <= self._bytes_max:
                return
            if place.name in used:
                continue
            going = place.with_name(f"{_REMOVED}{place.name}")
            place.rename(going)
            _remove(going)
            total -= size


def _size(place: Path) -> int:
    return int(_read(place / _SIZE) or 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _remove(place: Path) -> None:
    for directory, _, _ in os.walk(place):
        Path(directory).chmod(0o700)
    shutil.rmtree(place, ignore_errors=True)
