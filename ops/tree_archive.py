"""Directory trees as tar archives that depend on their content alone: same tree, same bytes."""

from __future__ import annotations

import tarfile
from pathlib import Path

_LEFT_OUT = frozenset({".git", ".svn"})


class TooLarge(Exception):
    """The tree holds more than an archive may."""


def pack(tree: Path, archive: Path, *, modified: int = 0, bytes_max: int = 1 << 62) -> None:
    """Write a tree as a tar archive. Raises TooLarge, OSError.

    What is no file, directory or link is left out, and so is what version control keeps.
    """
    used = 0

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        nonlocal used
        if Path(member.name).name in _LEFT_OUT or not _is_content(member):
            return None
        used += member.size
        if used > bytes_max:
            raise TooLarge
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = modified
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as content:
        for path in sorted(tree.iterdir()):
            content.add(path, path.name, filter=plain)


def _is_content(member: tarfile.TarInfo) -> bool:
    return member.isfile() or member.isdir() or member.issym() or member.islnk()
