"""The project's tree, unpacked from the content the work order names.

Nothing of it lands elsewhere.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from runners.preparation import Preparation, Unrunnable
from runners.spec import CONTENT_FILE


def prepare(job: Preparation) -> None:
    """Unpack the content and check the playbook's name. Raises Unrunnable."""
    unpack(job.dir / CONTENT_FILE, job.invocation.project)
    check_playbook(job.invocation.project, job.spec.playbook, job.spec.project_revision)


def cleanup(_job: Preparation) -> None:
    """Leave the tree to the removal of the workspace."""


def unpack(archive: Path, target: Path) -> None:
    """Extract a tar archive; links that lead outside are left out. Raises Unrunnable."""
    try:
        with tarfile.open(archive) as content:
            content.extractall(target, filter=_inside)  # noqa: S202 - filtered
    except FileNotFoundError as error:
        raise Unrunnable("The project's content is not on this runner") from error
    except (tarfile.TarError, OSError) as error:
        raise Unrunnable(f"The project's content cannot be unpacked: {error}") from error


def check_playbook(project: Path, playbook: str, revision: str) -> None:
    """Refuse a playbook that is no file within the project. Raises Unrunnable naming it."""
    root = project.resolve()
    path = (root / playbook).resolve()
    if playbook.startswith(("-", "/")) or not path.is_relative_to(root):
        raise Unrunnable(f"Playbook {playbook!r} lies outside the project")
    if not path.is_file():
        where = f" at revision {revision}" if revision else ""
        raise Unrunnable(f"Playbook {playbook!r} was not found in the project{where}")


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
