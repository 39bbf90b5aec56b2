"""What of this machine a job kept apart may see."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct

from runners import download, galaxy_names
from runners.ansible import PLUGIN_DIR, UPSTREAM_PLUGIN_DIR
from runners.preparation import Preparation
from runners.spec import JOURNAL_FILE

_OURS = ("home", "tmp", "cp", "project", "inventory", "fact_cache")


_TOP = 2
"""Parts of the path of a directory like ``/home``."""


class Mount(Struct, frozen=True, kw_only=True):
    """A file or directory of the machine at its place in the job's sight."""

    source: Path
    target: Path
    writable: bool = False
    option: str = ""
    """As the operator wrote it."""


def workspace(job: Preparation) -> list[Mount]:
    """Return the job's own directories: all readable, written where a job writes."""
    found = [Mount(source=job.dir, target=job.dir)]
    for name in (*_OURS, JOURNAL_FILE):
        place = job.dir / name
        if place.exists():
            real = place.resolve()
            found.append(_same(place, real, writable=real.is_relative_to(job.dir.resolve())))
    found.append(Mount(source=job.memory, target=job.memory, writable=True))
    found += [Mount(source=each.resolve(), target=each) for each in job.invocation.shown]
    return found


def plugins() -> list[Mount]:
    """Return what brings a job's events to its journal."""
    frames = PLUGIN_DIR.parent / "frames.py"
    large = PLUGIN_DIR.parent / "large_inventory.py"
    places = (PLUGIN_DIR, frames, large, UPSTREAM_PLUGIN_DIR)
    return [Mount(source=each, target=each) for each in places]


def update(job: Preparation, kept: Sequence[Path]) -> list[Mount]:
    """Return the directories of a project update that its programs write to."""
    places = (job.dir / "home", job.dir / "tmp", job.memory, *kept)
    return [Mount(source=each.resolve(), target=each, writable=True) for each in places]


def tools() -> list[Mount]:
    """Return our own programs that a project update runs."""
    places = (Path(download.__file__), Path(galaxy_names.__file__))
    return [Mount(source=each, target=each) for each in places]


def local_source(job: Preparation) -> Path | None:
    """Return a project's source that is on this machine, unless all that the runner keeps is."""
    path = unquote(job.spec.scm_url.removeprefix("file://").removeprefix("localhost"))
    source = Path(path)
    if job.spec.scm_type == "svn":  # its URL goes on within the repository
        source = next((each for each in (source, *source.parents) if each.exists()), source)
    if not source.is_absolute() or source == Path("/") or not source.exists():
        return None
    return None if job.data.resolve().is_relative_to(source.resolve()) else source


def around(source: Path) -> list[Path]:
    """Return the directory that a local source is in and the one around it, but none like /home."""
    near = list(source.parents)[:2]
    return [each for each in reversed(near) if len(each.parts) > _TOP]


def interpreter() -> list[Mount]:
    """Return where the runner's own Python and Ansible are."""
    places = dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix)))
    return [Mount(source=each, target=each) for each in places]


def shown(mounts: Sequence[str]) -> Iterator[Mount]:
    """Yield what the operator shows to every job, as far as it is there."""
    for each in mounts:
        source, _, rest = each.partition(":")
        target, _, option = rest.partition(":")
        if Path(source).exists():
            yield Mount(
                source=Path(source),
                target=Path(target or source),
                writable=option in {"", "z", "Z", "rw"},
                option=option,
            )


def _same(target: Path, source: Path, *, writable: bool) -> Mount:
    return Mount(source=source, target=target, writable=writable)
