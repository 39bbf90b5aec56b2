"""Archives of projects, unpacked so that nothing lands outside the directory they belong to."""

from __future__ import annotations

import tarfile
from pathlib import Path

from runners.preparation import Unrunnable


def unpack(archive: Path, target: Path) -> None:
    """Extract a tar archive; links that lead outside are left out. Raises Unrunnable."""
    try:
        with tarfile.open(archive) as content:
            content.extractall(target, filter=_inside)  # noqa: S202 - filtered
    except FileNotFoundError as error:
        raise Unrunnable("The project's content is not on this runner") from error
    except (tarfile.TarError, OSError) as error:
        raise Unrunnable(f"The project's content cannot be unpacked: {error}") from error


def leads_outside(member: tarfile.TarInfo) -> bool:
    """Tell whether a link of an archive leads out of it: such a one is not unpacked."""
    try:
        return _inside(member, "/nowhere") is None
    except tarfile.FilterError:
        return True


def _inside(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    try:
        return tarfile.data_filter(member, path)
    except (tarfile.AbsoluteLinkError, tarfile.LinkOutsideDestinationError):
        return None
