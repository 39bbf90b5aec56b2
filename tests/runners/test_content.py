"""Content is fetched once, placed whole, and kept while there is room."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import shutil
from pathlib import Path

import pytest

from runners.content import CACHE_DIR, ContentCache, ContentMissing


class Log:
    """Content by digest, and which was asked for."""

    def __init__(self, *contents: bytes) -> None:
        self.contents = {hashlib.sha256(each).hexdigest(): each for each in contents}
        self.asked: list[str] = []

    async def fetch(self, digest: str, target: Path) -> None:
        """Write content. Raises KeyError."""
        self.asked.append(digest)
        target.write_bytes(self.contents[digest])


async def test_content_is_fetched_once(tmp_path: Path) -> None:
    """The second job finds it on disk; each gets a copy of its own.

    What an agent that was killed had fetched of it in part is gone.
    """
    log = Log(b"tree")
    (tmp_path / CACHE_DIR).mkdir()
    for half in (".half", ".half.partial"):
        (tmp_path / CACHE_DIR / half).touch()
    cache = ContentCache(tmp_path, log.fetch)
    assert list((tmp_path / CACHE_DIR).iterdir()) == []
    (digest,) = log.contents
    for name in ("one", "two"):
        await cache.place(digest, tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"tree"
        (tmp_path / name).write_bytes(b"spoilt")
    assert log.asked == [digest]


async def test_the_least_recently_used_goes(tmp_path: Path) -> None:
    """When there is no more room, what was not used for longest makes it."""
    log = Log(b"aaaa", b"bbbb", b"cccc")
    cache = ContentCache(tmp_path, log.fetch, bytes_max=8)
    first, second, third = log.contents
    for digest in (first, second, first, third, first, second):
        await cache.place(digest, tmp_path / "target")
    assert log.asked == [first, second, third, second]


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", ""])
async def test_content_that_is_not_there_is_named(tmp_path: Path, digest: str) -> None:
    """What the log does not hold, or what is no digest, is said and nothing is placed."""
    cache = ContentCache(tmp_path, Log().fetch)
    with pytest.raises(ContentMissing):
        await cache.place(digest, tmp_path / "target")
    assert not (tmp_path / "target").exists()


async def test_what_a_sync_made_need_not_be_fetched(tmp_path: Path) -> None:
    """A file that this runner packed itself is kept under its digest."""
    log = Log(b"tree")
    cache = ContentCache(tmp_path, log.fetch)
    (digest,) = log.contents
    (tmp_path / "packed").write_bytes(b"tree")
    await cache.keep(digest, tmp_path / "packed")
    await cache.place(digest, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"tree"
    assert log.asked == []


async def test_jobs_that_end_with_the_same_content_keep_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the same time: what has the digest's name is whole from its first moment."""
    whole = b"x" * 100_000
    source = tmp_path / "source"
    source.write_bytes(whole)
    digest = hashlib.sha256(whole).hexdigest()
    cache = ContentCache(tmp_path, Log().fetch)
    copied: list[str] = []

    def copy(given: Path, target: Path) -> None:
        copied.append(target.name)
        target.write_bytes(given.read_bytes())

    monkeypatch.setattr(shutil, "copyfile", copy)
    await asyncio.gather(*(cache.keep(digest, source) for _ in range(5)))
    assert copied == [f".{digest}"]
    await cache.place(digest, tmp_path / "placed")
    assert (tmp_path / "placed").read_bytes() == whole


async def test_a_full_disk_is_told_and_not_waited_out(tmp_path: Path) -> None:
    """What a broken connection raises passes through: that is tried again."""
    raised: list[OSError] = []

    async def fetch(_digest: str, _target: Path) -> None:
        raise raised.pop()

    trees = ContentCache(tmp_path / "trees", fetch, in_use=frozenset)
    for place in (ContentCache(tmp_path, fetch).place, trees.place_tree):
        raised[:] = [OSError(errno.ENOSPC, "No space left on device")]
        with pytest.raises(ContentMissing, match="no room for it: No space left"):
            await place("0" * 64, tmp_path / "target")
        raised[:] = [ConnectionResetError(errno.ECONNRESET, "gone")]
        with pytest.raises(ConnectionResetError):
            await place("0" * 64, tmp_path / "target")
