"""Projects from archives and from Subversion."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from runners import archive_source, source_cache, tool
from runners.spec import Secrets
from tests.runners.rig import Rig
from tests.runners.serving import Web, serving, tar_gz
from tests.runners.test_project_sync import Repository, failed, names, update
from tests.servers import free_port
from tests.waiting import eventually

PLAY = b"- hosts: all\n"
LOGIN = Secrets(scm_username="alice", scm_password="secret-password-1")


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_an_archive_brings_its_files(new_rig: Callable[[], Rig]) -> None:
    """A single directory around everything is left out; the revision is the archive's sha1.

    The login is asked for and not told; what did not change is not sent again.
    """
    inside = {"site.yml": PLAY, "inv/hosts": b"web1\n"}
    around = {f"project-1.0/{name}": content for name, content in inside.items()}
    files = {"/a.tar.gz": tar_gz(around), "/a.zip": zipped(around), "/flat.zip": zipped(inside)}
    with serving(Web(login="alice:secret-password-1", files=files)) as web:
        digests = set()
        for path, content in files.items():
            rig = new_rig()
            final = update(rig, f"{web.url}{path}", LOGIN, scm_type="archive")
            assert final.status == "successful", final.explanation
            assert final.scm_revision == hashlib.sha1(content).hexdigest()
            assert (final.playbooks, final.inventory_files) == (("site.yml",), ("inv/hosts",))
            digests.add(final.content_sha256)
            assert b"secret-password-1" not in rig.raw()
        assert len(digests) == 1
        again = new_rig()
        final = update(again, f"{web.url}/a.zip", LOGIN, scm_type="archive")
        assert (final.content_sha256,) == tuple(digests)
        assert again.results("runner_on_ok", "Get archive from url")[0]["changed"] is False
        refused = new_rig()
        told = failed(refused, update(refused, f"{web.url}/a.zip", scm_type="archive"))
        assert told == f"Authentication failed for {web.url}/a.zip"
        gone = new_rig()
        told = failed(gone, update(gone, f"{web.url}/b.zip", LOGIN, scm_type="archive"))
        assert told.startswith(f"{web.url}/b.zip could not be fetched: 404")


def test_a_redirect_does_not_take_the_login_along(new_rig: Callable[[], Rig]) -> None:
    """Another server gets the request, not the password."""
    with serving(Web(files={"/a.zip": zipped({"site.yml": PLAY})})) as other:
        moved = {"/a.zip": f"{other.url}/a.zip", "/b.zip": "file:///etc/passwd"}
        with serving(Web(moved=moved)) as web:
            rig = new_rig()
            final = update(rig, f"{web.url}/a.zip", LOGIN, scm_type="archive")
            assert final.status == "successful", final.explanation
            elsewhere = new_rig()
            final = update(elsewhere, f"{web.url}/b.zip", LOGIN, scm_type="archive")
            assert "could not be fetched" in failed(elsewhere, final)
    assert set(other.seen) == {""}
    assert "" not in web.seen


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>no archive</html>", "is no archive that can be unpacked"),
        (tar_gz({"a/x": PLAY, "a/../../x": PLAY}), "holds a path that leads out of it"),
        (zipped({"../x": PLAY, "y": PLAY}), "holds a path that leads out of it"),
        (tar_gz({"d/x": PLAY})[:-40], "is no archive that can be unpacked"),
    ],
    ids=["page", "tar", "zip", "cut"],
)
def test_what_is_no_archive_is_named(rig: Rig, content: bytes, words: str) -> None:
    """Pages, broken archives and paths that lead out end the update, and nothing is left."""
    with serving(Web(files={"/a.tar.gz": content})) as web:
        final = update(rig, f"{web.url}/a.tar.gz", scm_type="archive")
    assert words in failed(rig, final)
    assert list((rig.dir / "tmp").glob("x")) == []


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    """An archive that is small and comes to much fills no disk."""
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo("a")
        member.size = 60_000
        archive.addfile(member, BytesIO(bytes(60_000)))
        for number in range(50):
            link = tarfile.TarInfo(f"b{number}")
            link.type, link.linkname = tarfile.LNKTYPE, "a"
            archive.addfile(link)
    (tmp_path / "a.tar.gz").write_bytes(content.getvalue())
    (tmp_path / "tree").mkdir()
    with pytest.raises(tool.ToolFailed, match="is larger than"):
        archive_source.unpack(tmp_path / "a.tar.gz", tmp_path / "tree", "u", 100_000)
    assert sum(each.stat().st_size for each in (tmp_path / "tree").iterdir()) <= 100_000


def test_links_that_lead_out_are_told(rig: Rig) -> None:
    """They are in the archive and no job will see them: the update says which."""
    content = tar_gz({"site.yml": PLAY}, {"passwd": "/etc/passwd", "own.yml": "site.yml"})
    with serving(Web(files={"/a.tar.gz": content})) as web:
        final = update(rig, f"{web.url}/a.tar.gz", scm_type="archive")
    assert final.playbooks == ("own.yml", "site.yml")
    assert "passwd" not in final.inventory_files
    (told,) = [each for each in rig.events("runner_on_ok") if "Left out" in each.stdout]
    assert "1 links: 'passwd' -> '/etc/passwd'" in told.stdout


def test_names_that_are_no_text(rig: Rig, tmp_path: Path) -> None:
    """Line breaks and bytes that are no UTF-8 stay as they are; what no text names is unlisted."""
    repository = Repository(tmp_path / "origin")
    strange = b"caf\xe9.yml"
    (repository.path / "two\nlines.yml").write_bytes(PLAY)
    (repository.path / os.fsdecode(strange)).write_bytes(PLAY)
    (repository.path / "loop.yml").symlink_to("loop.yml")
    repository.commit(site_yml="- hosts: all\n")
    final = update(rig, repository.path.as_uri())
    assert final.status == "successful", final.explanation
    assert final.playbooks == ("site.yml", "two\nlines.yml")
    with tarfile.open(rig.dir / "content.tar") as archive:
        assert strange in [os.fsencode(each) for each in archive.getnames()]


def test_a_project_that_is_too_large(rig: Rig) -> None:
    """What a program writes is bounded; the explanation names the limit."""
    text = str(tool.too_large("The content of x"))
    assert text == "The content of x is larger than 2 GiB"
    assert tool.grew_too_large(tool.Done(-25, "", ""))
    assert tool.grew_too_large(tool.Done(1, "", "fatal: write error: File too large"))
    assert not tool.grew_too_large(tool.Done(1, "", "fatal: no"))
    final = update(rig, "ftp://example.org/a.tar.gz", scm_type="archive")
    assert "not allowed" in failed(rig, final)


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_sources_that_were_not_used_make_room(tmp_path: Path) -> None:
    """The least recently used goes, one that an update holds stays."""
    for age, name in enumerate(("old", "held", "newer", "newest")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pack").write_bytes(b"x" * 100)
        (tmp_path / f"{name}.lock").touch()
        os.utime(tmp_path / f"{name}.lock", ns=(age, age))
    with (tmp_path / "held.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        source_cache.make_room(tmp_path, 250)
    left = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {"held", "newest"}


class Subversion:
    """A repository with one revision."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run("svnadmin", "create", str(path))
        self.url = path.as_uri()

    def run(self, *command: str) -> None:
        """Run a program of Subversion."""
        subprocess.run(command, check=True, capture_output=True)

    def commit(self, name: str, content: bytes, *options: str) -> None:
        """Add a file to the trunk."""
        source = self.path.parent / "source"
        source.write_bytes(content)
        target = f"{self.url}/trunk/{name}"
        self.run("svn", "import", "-q", "-m", "x", "--no-auto-props", str(source), target)


@pytest.mark.tier_svn
def test_subversion_brings_a_revision(new_rig: Callable[[], Rig], tmp_path: Path) -> None:
    """The newest one or the one that is asked for; what is no revision is refused by name."""
    repository = Subversion(tmp_path / "svn")
    repository.commit("site.yml", PLAY)
    repository.commit("more.yml", PLAY)
    url = f"{repository.url}/trunk"
    newest, first = new_rig(), new_rig()
    final = update(newest, url, scm_type="svn")
    assert (final.status, final.scm_revision) == ("successful", "2"), final.explanation
    assert names(newest) == ["more.yml", "site.yml"]
    final = update(first, url, scm_type="svn", scm_branch="1")
    assert (final.scm_revision, final.playbooks) == ("1", ("site.yml",))
    for branch, words in (("9", "No such revision 9"), ("--x", "is not a revision")):
        rig = new_rig()
        assert words in failed(rig, update(rig, url, scm_type="svn", scm_branch=branch))
    nowhere = new_rig()
    assert "nowhere" in failed(nowhere, update(nowhere, "file:///nowhere/svn", scm_type="svn"))


@pytest.mark.tier_svn
def test_subversion_takes_the_login(new_rig: Callable[[], Rig], tmp_path: Path) -> None:
    """A server that wants a password gets it by standard input; without it the update fails."""
    repository = Subversion(tmp_path / "svn")
    repository.commit("site.yml", PLAY)
    conf = repository.path / "conf"
    conf.joinpath("svnserve.conf").write_text(
        "[general]\nanon-access = none\nauth-access = read\npassword-db = passwd\n"
    )
    conf.joinpath("passwd").write_text("[users]\nalice = secret-password-1\n")
    port = free_port()
    command = ["svnserve", "-d", "--foreground", "-r", str(tmp_path)]
    server = subprocess.Popen([*command, "--listen-host", "127.0.0.1", "--listen-port", str(port)])
    try:
        eventually(lambda: _answers(port))
        url = f"svn://127.0.0.1:{port}/svn/trunk"
        opened, refused = new_rig(), new_rig()
        final = update(opened, url, LOGIN, scm_type="svn")
        assert (final.status, final.scm_revision) == ("successful", "1"), final.explanation
        assert b"secret-password-1" not in opened.raw()
        told = failed(refused, update(refused, url, scm_type="svn"))
        assert told == f"Authentication failed for {url}"
    finally:
        server.terminate()
        server.wait()
