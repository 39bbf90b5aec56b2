"""Trees that a job sees as its own and cannot change: overlays in the supervisor's own sight.

The kept tree lies below, what the job writes lies above, in the job's directory. Nobody outside the
attempt's processes sees the mount; it ends with the last of them, however they end.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_MS_FLAGS_HIDDEN = 0x1 | 0x2 | 0x4 | 0x8
"""Read-only, no set-uid, no devices, no programs."""
_TOLD_APART = ",:\\"
"""What the options of a mount are separated by: a path that holds one is not mounted."""


def enter() -> None:
    """Leave the machine's mounts for a sight of our own, that of our children to come.

    Raises OSError.
    """
    _check(_libc().unshare(_CLONE_NEWNS), "unshare")
    _mount("none", "/", "", _MS_REC_PRIVATE, "")


def overlay(tree: Path, own: Path, target: Path) -> None:
    """Show a tree at ``target``; what is written there lands below ``own``. Raises OSError."""
    upper, work = own / "upper", own / "work"
    for each in (upper, work, target):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"lowerdir={tree},upperdir={upper},workdir={work}"
    _mount("overlay", str(target), "overlay", 0, options)


def hide(directory: Path) -> None:
    """Have nothing in a directory for us and our children. Raises OSError."""
    if directory.is_dir():
        _mount("tmpfs", str(directory), "tmpfs", _MS_FLAGS_HIDDEN, "size=4k,mode=0700")


def possible(data: Path) -> bool:
    """Tell whether overlays work for job directories below ``data``: one is tried, in a child."""
    if any(each in str(data) for each in _TOLD_APART):
        return False
    with tempfile.TemporaryDirectory(prefix=".overlay-", dir=data) as place:
        tree = Path(place, "tree")
        tree.mkdir()
        (tree / "file").write_text("below")
        child = os.fork()
        if child == 0:
            os._exit(_try(Path(place), tree))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _try(place: Path, tree: Path) -> int:
    try:
        enter()
        overlay(tree, place / "own", place / "target")
        (place / "target" / "file").write_text("above")
    except OSError:
        return 1
    return 0 if (tree / "file").read_text() == "below" else 1


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    named = (each.encode() for each in (source, target, kind))
    done = _libc().mount(*named, ctypes.c_ulong(flags), options.encode())
    _check(done, f"mount {kind or 'private'} {target}")


def _check(done: int, what: str) -> None:
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
