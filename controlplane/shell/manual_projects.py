"""Manual projects: directories below PROJECTS_ROOT of the control plane's machine.

Somebody else puts files there. A launch packs the directory as it is then, so the job runs what
stood there whatever happens to it afterwards; a directory that did not change is packed once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ops import tree_archive
from ops.blobs import Blobs
from ops.playbook_files import Offered, offered

BYTES_MAX = 2 * 1024**3
KEPT = 1_000


class ManualProjects:
    """The directories of one control plane."""

    def __init__(self, root: Path) -> None:
        """Look below ``root``, which need not exist."""
        self.root = root
        self._packed: dict[str, tuple[str, str]] = {}
        """Directory to what it looked like and the sha256 of its archive."""

    def local_paths(self) -> list[str]:
        """Return the directories that a manual project may name."""
        try:
            found = [each for each in self.root.iterdir() if each.is_dir()]
        except OSError:
            return []
        return sorted(each.name for each in found if not each.name.startswith((".", "_")))

    def directory(self, local_path: str) -> Path:
        """Return a project's directory. Raises FileNotFoundError.

        As in AWX the last part of the path counts: nothing leads out of the root.
        """
        name = Path(local_path).name
        found = self.root / name
        if not name or name.startswith(".") or "\x00" in name or not found.is_dir():
            raise FileNotFoundError(local_path)
        return found

    async def offered(self, local_path: str) -> Offered:
        """Return the playbooks and inventories in a directory. Raises FileNotFoundError."""
        return await asyncio.to_thread(self._offered, self.directory(local_path))

    async def pack(self, local_path: str, blobs: Blobs) -> str:
        """Store a directory's content; returns its sha256. Raises FileNotFoundError."""
        tree = self.directory(local_path)
        looks = await asyncio.to_thread(_looks, tree)
        known = self._packed.get(tree.name)
        if known is not None and known[0] == looks:
            return known[1]
        with tempfile.TemporaryDirectory(prefix="playlog-") as directory:
            archive = Path(directory) / "content.tar"
            await asyncio.to_thread(tree_archive.pack, tree, archive, bytes_max=BYTES_MAX)
            digest = await blobs.put_file(archive)
        if len(self._packed) >= KEPT:
            self._packed.clear()
        self._packed[tree.name] = (looks, digest)
        return digest

    @staticmethod
    def _offered(tree: Path) -> Offered:
        with tempfile.TemporaryDirectory(prefix="playlog-") as directory:
            archive = Path(directory) / "content.tar"
            tree_archive.pack(tree, archive, bytes_max=BYTES_MAX)
            return offered(archive)


def _looks(tree: Path) -> str:
    """Return what changes whenever a file of a tree does: names, sizes and times."""
    sha = hashlib.sha256()
    for line in _lines(tree):
        sha.update(line)
    return sha.hexdigest()


def _lines(tree: Path) -> Iterator[bytes]:
    for directory, names, files in os.walk(tree):
        names.sort()
        for name in sorted([*names, *files]):
            path = os.path.join(directory, name)  # noqa: PTH118 - a walk over many files
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue
            told = (path, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            yield repr(told).encode(errors="surrogateescape")
