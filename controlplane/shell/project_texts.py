"""The texts of a project's tree that tell what its playbooks do, read from its content."""

from __future__ import annotations

import asyncio
import posixpath
import re
import tarfile
import tempfile
from pathlib import Path

from ops.blobs import Blobs

FILE_BYTES_MAX = 256 * 1024
TEXT_BYTES_MAX = 16 * 1024 * 1024
_TOLD = re.compile(
    r"\.(ya?ml|json|j2)$|(^|/)(vars|defaults|group_vars|host_vars|templates|tasks|handlers)/"
)


class TextsUnknown(ValueError):
    """The texts cannot be read; the text says why."""


async def project_texts(blobs: Blobs, digest: str) -> dict[str, str]:
    """Return path to text of playbooks, task files, variables and templates.

    Raises TextsUnknown. Nothing is unpacked: the tree is as large as it likes.
    """
    if not digest:
        raise TextsUnknown("the job's project has no content")
    with tempfile.TemporaryDirectory(prefix="playlog-texts-") as directory:
        archive = Path(directory, "content.tar")
        try:
            await blobs.get_file(digest, archive)
        except KeyError as error:
            raise TextsUnknown("the job's project is not kept any more") from error
        return await asyncio.to_thread(_read, archive)


def _read(archive: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    left = TEXT_BYTES_MAX
    try:
        with tarfile.open(archive) as content:
            for member in content:
                path = posixpath.normpath(member.name)
                if not member.isfile() or not _TOLD.search(path):
                    continue
                left -= member.size
                if member.size > FILE_BYTES_MAX or left < 0:
                    raise TextsUnknown(f"{path} is too large to be read")
                file = content.extractfile(member)
                found[path] = file.read().decode(errors="replace") if file else ""
    except tarfile.TarError as error:
        raise TextsUnknown("the job's project cannot be read") from error
    return found
