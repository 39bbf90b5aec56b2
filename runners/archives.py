"""Archives of projects, unpacked so that nothing lands outside the directory they belong to."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

from ops.archive_links import leads_outside, within
from runners.preparation import Unrunnable


def unpack(archive: Path, target: Path) -> None:
    """Extract a tar archive; links that lead outside are left out. Raises Unrunnable."""
    try:
        with tarfile.open(archive) as content:
            content.extractall(target, filter=within)  # noqa: S202 - filtered
    except FileNotFoundError as error:
        raise Unrunnable("The project's content is not on this runner") from error
    except (tarfile.TarError, OSError) as error:
        raise Unrunnable(f"The project's content cannot be unpacked: {error}") from error


def is_left_out(archive: Path, name: str) -> bool:
    """Tell whether a path is, or lies behind, a link that leads outside and is not unpacked."""
    path = PurePosixPath(name)
    with tarfile.open(archive) as content:
        return any(path.is_relative_to(member.name) for member in content if leads_outside(member))
