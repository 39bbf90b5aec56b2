"""A project update brings a commit's tree, or says why not."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runners.git_remote import Refused
from runners.journal import Final
from runners.source_cache import check_foreign
from runners.spec import Secrets
from tests.runners.rig import NO_SECRETS, Rig

_ENV = {
    "PATH": os.defpath,
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ALLOW_PROTOCOL": "file",
}


class Repository:
    """A repository to fetch from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *args: str) -> str:
        """Run git in it."""
        done = subprocess.run(
            ["git", *args], cwd=self.path, env=_ENV, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        """Write files (``__`` for a slash, ``_yml`` for the suffix) and return the new commit."""
        for name, text in files.items():
            path = self.path / name.replace("__", "/").replace("_yml", ".yml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--message=x", "--allow-empty")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one playbook."""
    found = Repository(tmp_path / "origin")
    found.commit(site_yml="- hosts: all\n", inv__hosts="web1\n")
    return found


def update(rig: Rig, url: str, secrets: Secrets = NO_SECRETS, **spec: Any) -> Final:
    """Run a project update."""
    rig.write(kind="project_update", scm_url=url, **spec)
    return rig.run(secrets)


def names(rig: Rig) -> list[str]:
    """Return the paths in the update's archive."""
    with tarfile.open(rig.dir / "content.tar") as archive:
        return sorted(each.name for each in archive if each.isfile())


def test_an_update_brings_the_tree(rig: Rig, repository: Repository) -> None:
    """The content is the tree at HEAD, named by commit and digest, told as playbook events."""
    commit = repository.git("rev-parse", "HEAD")
    final = update(rig, repository.path.as_uri())
    assert (final.status, final.rc, final.scm_revision) == ("successful", 0, commit)
    assert (final.playbooks, final.inventory_files) == (("site.yml",), ("inv/hosts",))
    content = (rig.dir / "content.tar").read_bytes()
    assert final.content_sha256 == hashlib.sha256(content).hexdigest()
    assert names(rig) == ["inv/hosts", "site.yml"]
    told = [each.event for each in rig.events()]
    assert told[:2] == ["playbook_on_start", "playbook_on_play_start"]
    assert told[-1] == "playbook_on_stats"
    assert told.count("runner_on_ok") == told.count("playbook_on_task_start")
    facts = rig.results("runner_on_ok", "Set the git repository version")[0]["ansible_facts"]
    assert facts == {"scm_version": commit}
    assert "PLAY RECAP" in rig.stdout()


def test_a_commit_has_one_content(new_rig: Callable[[], Rig], repository: Repository) -> None:
    """Fetching again, through the cache or anew, gives the same bytes; new commits are seen."""
    url = repository.path.as_uri()
    first = update(new_rig(), url)
    second = update(new_rig(), url)
    third = update(new_rig(), url, scm_delete_first=True)
    assert first.content_sha256 == second.content_sha256 == third.content_sha256
    commit = repository.commit(more_yml="- hosts: all\n")
    assert update(new_rig(), url).scm_revision == commit


def test_an_update_that_was_killed_stops_no_later_one(
    new_rig: Callable[[], Rig], repository: Repository, tmp_path: Path
) -> None:
    """Whatever its git has left in the cache: locks, half a pack, a repository half made."""
    url = repository.path.as_uri()
    assert update(new_rig(), url).status == "successful"
    (cache,) = (path for path in (tmp_path / "git-cache").iterdir() if path.is_dir())
    (named,) = (cache / "refs" / "playlog" / "by-name").iterdir()
    left = [
        *(cache / "shallow.lock", cache / "packed-refs.lock", cache / "config.lock"),
        *(cache / "refs" / "playlog" / "last.lock", named.with_suffix(".lock")),
        *(cache / "objects" / "pack" / "tmp_pack_x", cache / "objects" / "xx" / "tmp_obj_x"),
    ]
    for each in left:
        each.parent.mkdir(exist_ok=True)
        each.touch()
    commit = repository.commit(more_yml="- hosts: all\n")
    final = update(new_rig(), url)
    assert (final.status, final.scm_revision) == ("successful", commit), final.explanation
    assert not any(each.exists() for each in left)
    (cache / "config").unlink()
    (cache / "info" / "attributes").write_text("")
    assert update(new_rig(), url).scm_revision == commit


def test_branches_tags_and_commits(new_rig: Callable[[], Rig], repository: Repository) -> None:
    """Any name of a commit is found: branch, tag, full or short hash, a reference by refspec."""
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "--annotate", "--message=x", "v1")
    repository.git("checkout", "--quiet", "-b", "feature/x")
    second = repository.commit(two_yml="- hosts: all\n")
    repository.git("update-ref", "refs/pull/7/head", second)
    repository.git("checkout", "--quiet", "main")
    repository.git("branch", "--quiet", "-D", "feature/x")
    url = repository.path.as_uri()
    assert update(new_rig(), url, scm_branch="v1").scm_revision == first
    assert update(new_rig(), url, scm_branch=first[:9]).scm_revision == first
    assert update(new_rig(), url, scm_branch=first).scm_revision == first
    refspec = "refs/pull/*:refs/remotes/origin/pull/*"
    found = update(new_rig(), url, scm_branch="pull/7/head", scm_refspec=refspec)
    assert found.scm_revision == second


def test_history_comes_only_where_it_is_asked_for(
    new_rig: Callable[[], Rig], repository: Repository, tmp_path: Path
) -> None:
    """A branch is fetched without its history; a commit of it alone, a short hash with all."""
    first = repository.git("rev-parse", "HEAD")
    for number in range(3):
        newest = repository.commit(**{f"a{number}_yml": "- hosts: all\n"})
    url = repository.path.as_uri()
    assert update(new_rig(), url).scm_revision == newest
    (cache,) = (path for path in (tmp_path / "git-cache").iterdir() if path.is_dir())
    assert (cache / "shallow").exists()
    whole = update(new_rig(), url, scm_branch=first)
    assert (whole.scm_revision, whole.playbooks) == (first, ("site.yml",))
    assert update(new_rig(), url, scm_branch=first[:9]).content_sha256 == whole.content_sha256
    assert not (cache / "shallow").exists()


def test_attributes_do_not_change_the_tree(rig: Rig, repository: Repository) -> None:
    """A file that git archive would leave out is there, as in a checkout."""
    (repository.path / ".gitattributes").write_text("secret.yml export-ignore\n")
    repository.commit(secret_yml="- hosts: all\n")
    assert "secret.yml" in update(rig, repository.path.as_uri()).playbooks


def test_submodules_come_along(rig: Rig, repository: Repository, tmp_path: Path) -> None:
    """The commit of a submodule that the project names is in its content."""
    inner = Repository(tmp_path / "inner")
    inner.commit(inner_yml="- hosts: all\n")
    repository.git("submodule", "--quiet", "add", "../inner", "sub")
    repository.commit()
    final = update(rig, repository.path.as_uri())
    assert final.playbooks == ("site.yml", "sub/inner.yml")
    assert not [name for name in names(rig) if ".git/" in name]


def failed(rig: Rig, final: Final) -> str:
    """Return the explanation of a failed update, which its events tell as well."""
    assert final.status == "failed"
    assert final.explanation in rig.events("runner_on_failed")[0].stdout
    assert rig.events()[-1].failed
    return final.explanation


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scm_branch": "gone"}, "Branch, tag or commit 'gone' was not found"),
        ({"scm_branch": "0123456789abcdef"}, "was not found"),
        ({"scm_branch": "--upload-pack=touch x"}, "is not a branch"),
        ({"scm_refspec": "--exec=x"}, "is not a refspec"),
        ({"scm_url": "file:///nowhere/at/all.git"}, "does not exist or is not readable"),
        ({"scm_url": "ext::sh -c touch% x"}, "not usable"),
    ],
)
def test_failures_say_why(
    rig: Rig, repository: Repository, change: dict[str, Any], words: str
) -> None:
    """A wrong URL or branch fails the update with a sentence about it."""
    given = {"scm_url": repository.path.as_uri()} | change
    assert words in failed(rig, update(rig, given.pop("scm_url"), **given))


@pytest.mark.parametrize(
    "path", ["git-cache/0f", "content-trees/0f/tree", "jobs/1-1", "x/../git%2dcache/0f", "link"]
)
def test_what_the_runner_keeps_is_no_source(tmp_path: Path, path: str) -> None:
    """The URL of a file leads to no other project's repository, tree or workspace."""
    (tmp_path / "git-cache" / "0f").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "git-cache" / "0f")
    with pytest.raises(Refused, match="keeps for itself"):
        check_foreign(tmp_path, f"file://{tmp_path}/{path}")
    check_foreign(tmp_path, f"file://{tmp_path}/origin")
    check_foreign(tmp_path, f"https://h{tmp_path}/{path}")


def test_an_empty_repository_fails(rig: Rig, tmp_path: Path) -> None:
    """A repository without a commit has no content."""
    empty = Repository(tmp_path / "empty")
    assert "has no commit" in failed(rig, update(rig, empty.path.as_uri()))


@pytest.fixture
def locked() -> Iterator[tuple[str, list[str]]]:
    """A web server that wants a password and knows none; the credentials it was offered."""
    offered: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            offered.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", offered
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("userinfo", ["", "bob:url-password-1@"])
def test_refused_credentials_are_told_and_not_shown(
    rig: Rig, locked: tuple[str, list[str]], userinfo: str
) -> None:
    """A refused login fails the update at once: no prompt, no password shown."""
    host, offered = locked
    secrets = Secrets(scm_username="alice", scm_password="field-password-1")
    final = update(rig, f"http://{userinfo}{host}/a.git", secrets)
    assert failed(rig, final) == f"Authentication failed for http://{host}/a.git"
    expected = "Basic " + (
        "Ym9iOnVybC1wYXNzd29yZC0x" if userinfo else "YWxpY2U6ZmllbGQtcGFzc3dvcmQtMQ=="
    )
    assert expected in offered
    for secret in (b"url-password-1", b"field-password-1"):
        assert secret not in rig.raw()


def test_a_repository_runs_nothing(rig: Rig, repository: Repository, tmp_path: Path) -> None:
    """No filter or hook of a repository is run by fetching it."""
    (repository.path / ".gitattributes").write_text("* filter=evil\n")
    (repository.path / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch {tmp_path}/ran"\n'
    )
    repository.commit(a_yml="- hosts: all\n")
    update(rig, repository.path.as_uri())
    assert not (tmp_path / "ran").exists()


def test_cancel_of_a_waiting_update(new_rig: Callable[[], Rig], repository: Repository) -> None:
    """An update that waits for another one of the same repository can be canceled."""
    import fcntl

    first = new_rig()
    update(first, repository.path.as_uri())
    (lock,) = (first.dir.parent.parent / "git-cache").glob("*.lock")
    rig = new_rig()
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        rig.write(kind="project_update", scm_url=repository.path.as_uri())
        handle = rig.start()
        rig.seen("playbook_on_task_start", "Update project using git")
        handle.cancel()
        assert rig.finish().status == "canceled"
    assert msgspec.json.decode(rig.events()[0].event_data)
