"""Updates on a disk that is too small: the cause is named, nothing stays, and room heals."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runners import tool
from runners.content import ContentCache, ContentMissing
from runners.frames import NO_ROOM
from runners.steps import workspace
from runners.trees import TREE, TREES_DIR
from runners.zygote_client import Zygote
from tests import small_disks
from tests.runners.rig import Rig, tar_of
from tests.runners.serving import Web, serving, tar_gz
from tests.runners.test_project_sync import Repository, failed, update

MEGABYTE = 1 << 20
FULL = "The runner has no room for it: its disk is full"
LOCKS_AND_PLACES = 100_000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A data directory on a disk of 2 MB."""
    data = tmp_path / "small"
    data.mkdir()
    small_disks.mount(data, "2m")
    yield data
    subprocess.run(["umount", "-l", data], check=True)


def _resize(data: Path, megabytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", data], check=True)


def _used(data: Path) -> int:
    found = os.statvfs(data)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@pytest.mark.parametrize("scm_type", ["git", "archive"])
def test_an_update_without_room_ends_and_leaves_nothing(
    small: Path, zygote: Zygote, tmp_path: Path, scm_type: str
) -> None:
    """While it arrives, and while it is packed: its own words have room, then the next has."""
    content = os.urandom(3 * MEGABYTE)
    with serving(Web()) as web:
        if scm_type == "git":
            origin = Repository(tmp_path / "origin")
            (origin.path / "large").write_bytes(content)
            origin.commit(site_yml="- hosts: all\n")
            url = origin.path.as_uri()
        else:
            web.files["/a.tar.gz"] = tar_gz({"a/site.yml": b"- hosts: all\n", "a/large": content})
            url = f"{web.url}/a.tar.gz"
        for number, megabytes in enumerate((2, 5), 1):
            _resize(small, megabytes)
            rig = Rig(small, zygote, number)
            assert failed(rig, update(rig, url, scm_type=scm_type)) == FULL
            assert "PLAY RECAP" in rig.stdout()
            workspace.remove(rig.dir)
            assert _used(small) < LOCKS_AND_PLACES
        _resize(small, 64)
        healed = Rig(small, zygote, 3)
        final = update(healed, url, scm_type=scm_type)
        assert (final.status, final.playbooks) == ("successful", ("site.yml",)), final
        workspace.remove(healed.dir)


async def test_content_without_room_leaves_nothing(small: Path) -> None:
    """Neither half an archive nor half a tree; with room the same content is there for jobs."""
    content = tar_of({"site.yml": "- hosts: all\n", "large": "x" * MEGABYTE})
    digest = hashlib.sha256(content).hexdigest()

    async def fetch(_digest: str, target: Path) -> None:
        target.write_bytes(content)

    cache = ContentCache(small, fetch, in_use=frozenset)
    filler = small / "filler"
    for kilobytes in (1500, 0):
        filler.write_bytes(b"x" * kilobytes * 1024)
        with pytest.raises(ContentMissing, match="No space left on device"):
            await cache.place_tree(digest, small / "unused")
        assert not list(small.rglob(f".{digest}*"))
    _resize(small, 64)
    await cache.place_tree(digest, small / "unused")
    assert (small / TREES_DIR / digest / TREE / "site.yml").read_text() == "- hosts: all\n"


@pytest.mark.parametrize(
    ("said", "full"),
    [
        ("fatal: write error: No space left on device\n", True),
        ("[WARNING]: could not update files: [Errno 28] No space left\non device\n", True),
        ("svn: E000122: Disk quota exceeded\n", True),
        ("remote: fatal: write error: No space left on device\nfatal: bad\n", False),
        ("fatal: not found\n", False),
    ],
)
def test_a_full_disk_is_known_by_what_programs_say(said: str, *, full: bool) -> None:
    """Theirs, not that of the server they talk to."""
    assert tool.met_full_disk(said) is full


def test_other_errors_pass() -> None:
    """Only the numbers of a full disk count."""
    for number in NO_ROOM:
        with pytest.raises(tool.NoRoom, match=FULL), tool.full_disk_told():
            raise OSError(number, "x")
    with pytest.raises(PermissionError), tool.full_disk_told():
        raise PermissionError
