"""Which files of a project's archive AWX offers as playbooks and as inventories."""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from msgspec import Struct

from ops.archive_links import leads_outside

INVENTORY_FILES_MAX = 50
_PLAYBOOK_LINE = re.compile(
    rb"^\s*-?\s*(?:hosts|include|(?:ansible\.builtin\.)?import_playbook)\s*:", re.MULTILINE
)
_VAULT = b"$ANSIBLE_VAULT;"
_INVENTORY_LINE = re.compile(rb"^[a-zA-Z0-9_.=\[\]]")
_INVENTORY_LINES_READ = 10
_READ_BYTES_MAX = 8 * 1024**2
_SKIPPED = frozenset({"roles", "tasks", "group_vars", "host_vars"})


class Offered(Struct, frozen=True, kw_only=True):
    """Paths within the project, sorted without regard to case."""

    playbooks: tuple[str, ...]
    inventory_files: tuple[str, ...]


def offered(archive: Path, *, follow_links: bool = False) -> Offered:
    """List what a project's archive offers, playbooks behind links to directories if wanted.

    A name that is no text cannot be told and is left out, and so is a link that leads out.
    """
    playbooks, inventories = [], []
    with tarfile.open(archive) as content:
        for member in content:
            path = PurePosixPath(member.name)
            if not (member.isfile() or member.issym()) or not _is_text(member.name):
                continue
            if is_skipped(path) or leads_outside(member):
                continue
            if path.suffix in {".yml", ".yaml"} and could_be_playbook(_content(content, member)):
                playbooks.append(str(path))
            if is_inventory(path, member.mode) or (
                not path.suffix and could_be_inventory(_content(content, member))
            ):
                inventories.append(str(path))
        if follow_links:
            playbooks += _behind_links(content, playbooks)
    return Offered(
        playbooks=_sorted(playbooks), inventory_files=_sorted(inventories)[:INVENTORY_FILES_MAX]
    )


def _behind_links(archive: tarfile.TarFile, playbooks: list[str]) -> list[str]:
    """Return the playbooks once more by each link to a directory that they are in."""
    found = []
    for link in archive:
        if not link.issym() or not _is_text(link.name) or is_skipped(PurePosixPath(link.name)):
            continue
        target = posixpath.normpath(posixpath.join(posixpath.dirname(link.name), link.linkname))
        prefix = "" if target == "." else f"{target}/"
        found += [
            f"{link.name}/{name.removeprefix(prefix)}"
            for name in playbooks
            if name.startswith(prefix) and not f"{link.name}/".startswith(prefix)
        ]
    return found


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_skipped(path: PurePosixPath) -> bool:
    """Tell whether a path lies where no playbook is looked for: roles, tasks, variables, hidden."""
    return any(part in _SKIPPED for part in path.parts[:-1]) or any(
        part.startswith(".") for part in path.parts
    )


def could_be_playbook(content: bytes) -> bool:
    """Tell whether a YAML file has a play or imports one.

    Broken YAML shows up too, a vault file as well.
    """
    return content.startswith(_VAULT) or _PLAYBOOK_LINE.search(content) is not None


def is_inventory(path: PurePosixPath, mode: int) -> bool:
    """Tell whether a file is an inventory by its name or because it can be executed."""
    return path.name in {"inventory", "hosts"} or path.suffix == ".ini" or bool(mode & 0o100)


def could_be_inventory(content: bytes) -> bool:
    """Tell whether the first lines of a file without suffix read like an inventory."""
    lines = content.splitlines()[:_INVENTORY_LINES_READ]
    return all(_INVENTORY_LINE.match(line) for line in lines)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return how a file begins, a link's target included; nothing for a link to nowhere."""
    try:
        stream = archive.extractfile(member)
    except (KeyError, RecursionError):
        return b""
    return stream.read(_READ_BYTES_MAX) if stream else b""


def _sorted(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(paths, key=str.lower))
