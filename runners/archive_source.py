"""The content of a project that is an archive at a URL: tar, however compressed, or zip.

The archive is kept below ``<data>/archive-cache/`` with the mark that its server gave it, so one
that did not change is not sent again.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any

import msgspec
from msgspec import Struct

from ops import tree_archive
from runners import download, git, source_cache, tool
from runners.ending import Ending
from runners.frames import NO_ROOM
from runners.git_remote import Refused, Remote, parse_url
from runners.preparation import Preparation
from runners.spec import CONTENT_FILE, write_private
from runners.told_play import ToldPlay
from runners.tool import CONTENT_BYTES_MAX, ToolFailed, too_large

CACHE_DIR = "archive-cache"
MEMBERS_MAX = 1_000_000
_SILENCE_S = 60.0
_REFUSED_LOGIN = (401, 403)


class _Kept(Struct, frozen=True):
    """What is known of a kept archive."""

    sha1: str
    etag: str


def fetch(job: Preparation, play: ToldPlay, ending: Ending) -> str:
    """Leave the content as ``content.tar``; returns the archive's sha1. Raises as git's."""
    play.task("Get archive from url", "get_url")
    remote = parse_url(job.spec.scm_url)
    if remote.protocol not in {"http", "https"}:
        raise Refused(f"An archive is fetched by http or https, not by {remote.protocol!r}")
    with source_cache.held(job, CACHE_DIR, remote.url, ending) as place:
        kept, changed = _get(job, remote, place, ending)
        play.done(f"{remote.url} has the sha1 {kept.sha1}", changed=changed)
        play.task("Unpack archive", "project_archive")
        tree = job.dir / "tmp" / "unpacked"
        tree.mkdir()
        unpack(place / "archive", tree, remote.url)
    try:
        tree_archive.pack(tree, job.dir / CONTENT_FILE, bytes_max=CONTENT_BYTES_MAX)
    except tree_archive.TooLarge as error:
        raise too_large(f"The content of {remote.url}") from error
    shutil.rmtree(tree)
    return kept.sha1


def unpack(archive: Path, tree: Path, url: str, bytes_max: int = CONTENT_BYTES_MAX) -> None:
    """Unpack an archive; a single directory around everything is left out.

    Raises ToolFailed, and OSError when the disk is full.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as content:
                _unpack(_zip_members(content), tree, url, bytes_max)
        else:
            with tarfile.open(archive) as content:
                _unpack(_tar_members(content, bytes_max), tree, url, bytes_max)
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        why = str(error).partition("\n")[0].rstrip(":")
        raise ToolFailed(f"{url} is no archive that can be unpacked: {why}") from error


_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, EOFError, OSError),
    *(RuntimeError, ValueError, KeyError, zlib.error, lzma.LZMAError),
)


class _Member(Struct, frozen=True, kw_only=True):
    name: str
    size: int = 0
    is_dir: bool = False
    executable: bool = False
    link: str = ""
    read: Any = None
    """Opens the content of a file."""


def _unpack(members: list[_Member], tree: Path, url: str, left: int) -> None:
    if len(members) > MEMBERS_MAX or sum(each.size for each in members) > left:
        raise too_large(f"The content of {url}")
    roots = {
        PurePosixPath(each.name).parts[0] for each in members if PurePosixPath(each.name).parts
    }
    start = 1 if len(roots) == 1 and _is_around(members, next(iter(roots))) else 0
    links: list[tuple[Path, str]] = []
    for each in members:
        parts = PurePosixPath(each.name).parts[start:]
        if not parts:
            continue
        if ".." in parts or parts[0].startswith("/"):
            raise ToolFailed(f"{url} holds a path that leads out of it: {each.name!r}")
        target = tree.joinpath(*parts)
        if each.is_dir:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if each.link:
            links.append((target, each.link))
        elif each.read is not None:
            left = _write(each, target, url, left)
    # Last, so that nothing is written through a link.
    for target, link in links:
        if not target.exists():
            target.symlink_to(link)


def _is_around(members: list[_Member], root: str) -> bool:
    """Tell whether a name is a directory that everything is in, not a file alone."""
    return all(each.is_dir or each.name.rstrip("/") != root for each in members)


def _write(member: _Member, target: Path, url: str, left: int) -> int:
    """Write a file of at most so many bytes; returns how many are left.

    A hard link costs what it leads to, whatever size it says.
    """
    with member.read() as source, target.open("wb") as file:
        while piece := source.read(1 << 20):
            left -= len(piece)
            if left < 0:
                raise too_large(f"The content of {url}")
            file.write(piece)
    target.chmod(0o755 if member.executable else 0o644)
    return left


def _tar_members(content: tarfile.TarFile, bytes_max: int) -> list[_Member]:
    found: list[_Member] = []

    def opens(member: tarfile.TarInfo) -> Any:
        return lambda: content.extractfile(member)

    size = 0
    for each in content:
        size += each.size
        if len(found) > MEMBERS_MAX or size > bytes_max:
            found.append(_Member(name=each.name, size=size))
            break  # what follows would be unpacked only to be counted
        name = each.name.removeprefix("./")
        if each.isdir():
            found.append(_Member(name=name, is_dir=True))
        elif each.isfile() or each.islnk():
            executable = bool(each.mode & 0o100)
            found.append(
                _Member(name=name, size=each.size, executable=executable, read=opens(each))
            )
        elif each.issym():
            found.append(_Member(name=name, link=each.linkname))
    return found


def _zip_members(content: zipfile.ZipFile) -> list[_Member]:
    def opens(member: zipfile.ZipInfo) -> Any:
        def read() -> IO[bytes]:
            return content.open(member)

        return read

    return [
        _Member(
            name=each.filename.removeprefix("./"),
            size=each.file_size,
            is_dir=each.is_dir(),
            executable=bool(each.external_attr >> 16 & 0o100),
            read=opens(each),
        )
        for each in content.infolist()
    ]


def _get(job: Preparation, remote: Remote, place: Path, ending: Ending) -> tuple[_Kept, bool]:
    """Return what is known of the archive, which is in its place then, and whether it is new."""
    kept = _kept(place)
    target = job.dir / "tmp" / "arriving"
    asked = {
        "url": remote.url,
        "username": remote.username or job.secrets.scm_username,
        "password": remote.password or job.secrets.scm_password,
        "etag": kept.etag if kept else "",
        "target": str(target),
        "bytes_max": CONTENT_BYTES_MAX,
        "timeout_s": _SILENCE_S,
    }
    command = [sys.executable, "-I", "-S", str(Path(download.__file__))]
    env = git.basic_environment(job)
    done = tool.run(job, command, target.parent, env, ending, stdin=json.dumps(asked))
    try:
        told: dict[str, Any] = msgspec.json.decode(done.out)
    except msgspec.DecodeError as error:
        raise ToolFailed(f"{remote.url} could not be fetched: {tool.cause(done)}") from error
    if "error" in told:
        raise _failure(told, remote.url)
    if told.get("unchanged") and kept is not None:
        return kept, False
    found = _Kept(told["sha1"], told["etag"])
    target.rename(place / "archive")
    write_private(place / "known.json", msgspec.json.encode(found))
    return found, kept is None or kept.sha1 != found.sha1


def _failure(told: dict[str, Any], url: str) -> ToolFailed:
    if told["error"] == "too large":
        return too_large(url)
    if told.get("status") in _REFUSED_LOGIN:
        return ToolFailed(f"Authentication failed for {url}")
    if "status" in told:
        return ToolFailed(f"{url} could not be fetched: {told['status']} {told['reason']}")
    return ToolFailed(f"The host of {url} cannot be reached: {told['reason']}")


def _kept(place: Path) -> _Kept | None:
    """Return what is known of the archive kept here, if it is as it was."""
    try:
        kept = msgspec.json.decode((place / "known.json").read_bytes(), type=_Kept)
        with (place / "archive").open("rb") as file:
            same = hashlib.file_digest(file, "sha1").hexdigest() == kept.sha1
    except (OSError, msgspec.DecodeError):
        return None
    return kept if same else None
