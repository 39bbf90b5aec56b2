"""Links in a project's archive that lead out of it: no job sees them, no list offers them."""

from __future__ import annotations

import tarfile


def within(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    """Return a member as it may be extracted below a path, nothing for a link that leads out.

    Raises tarfile.FilterError for any other member that must not be extracted.
    """
    try:
        return tarfile.data_filter(member, path)
    except (tarfile.AbsoluteLinkError, tarfile.LinkOutsideDestinationError):
        return None


def leads_outside(member: tarfile.TarInfo) -> bool:
    """Tell whether a link of an archive leads out of it: such a one is not unpacked."""
    try:
        return member.issym() and within(member, "/nowhere") is None
    except tarfile.FilterError:
        return True
