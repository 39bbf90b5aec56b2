"""A project update: git, without Ansible (48 times cheaper), told as playbook events.

The repository is kept bare below ``<data>/git-cache/``; the result is a deterministic tar of the
tree. What a repository, a URL or a branch says never becomes an option, a hook, a helper or a
prompt.
"""

from __future__ import annotations

import fcntl
import hashlib
import select
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from runners.ending import Ending, Stopped
from runners.git import Git, GitFailed
from runners.git_remote import (
    Refused,
    check_branch,
    check_refspec,
    could_be_commit,
    parse_refs,
    parse_url,
    pick,
)
from runners.journal import JournalWriter
from runners.playbook_files import offered
from runners.preparation import Preparation
from runners.spec import CONTENT_FILE
from runners.told_play import ToldPlay

CACHE_DIR = "git-cache"
_PLAYBOOK = "project_update.yml"
_PLAY = "Update source tree if necessary"
_LOCK_POLL_S = 0.1
_ATTRIBUTES = "* -export-ignore -export-subst\n"
_SPOOL_BYTES = 1 << 20


class Synced(Struct, frozen=True, kw_only=True):
    """How the update ended; a subset of the final frame."""

    status: str
    rc: int = 0
    explanation: str = ""
    scm_revision: str = ""
    content_sha256: str = ""
    playbooks: tuple[str, ...] = ()
    inventory_files: tuple[str, ...] = ()


def sync(job: Preparation, journal: JournalWriter, ending: Ending) -> Synced:
    """Bring a project's content to the commit its branch means now; leave it as ``content.tar``.

    Raises Stopped when the attempt was ended early.
    """
    play = ToldPlay(journal, _PLAYBOOK, _PLAY)
    play.begin()
    try:
        result = _update(job, play, ending)
    except (Refused, GitFailed) as error:
        shown = getattr(error, "stderr", "")
        play.failed(str(error), **({"stderr": shown} if shown else {}))
        result = Synced(status="failed", rc=getattr(error, "rc", 1), explanation=str(error))
    play.finish()
    return result


def _update(job: Preparation, play: ToldPlay, ending: Ending) -> Synced:
    spec = job.spec
    play.task("Check the source of the project", "assert")
    remote = parse_url(spec.scm_url)
    branch, refspec = check_branch(spec.scm_branch), check_refspec(spec.scm_refspec)
    play.done(f"{remote.url} {branch}".strip())

    play.task("Update project using git", "git")
    git = Git(job, remote, ending)
    with _cache(job, git, f"{remote.url} {refspec}", ending):
        before = git.run("for-each-ref", "--count=1", "refs/playlog/last").strip()
        commit = _fetch(git, branch, refspec)
        git.run("update-ref", "refs/playlog/last", commit)
        changed = not before.startswith(commit)
        play.done(f"{branch or 'HEAD'} is at {commit}", changed=changed, after=commit)

        play.task("Pack the content of the project", "archive")
        archive = job.dir / CONTENT_FILE
        _pack(git, commit, archive, follow=spec.scm_submodules)
    files = offered(archive)
    digest = _sha256(archive)
    play.done(f"{len(files.playbooks)} playbooks, {archive.stat().st_size} bytes", sha256=digest)

    play.task("Set the git repository version", "set_fact")
    play.done(f"Repository Version {commit}", ansible_facts={"scm_version": commit})
    return Synced(
        status="successful",
        scm_revision=commit,
        content_sha256=digest,
        playbooks=files.playbooks,
        inventory_files=files.inventory_files,
    )


def _fetch(git: Git, branch: str, refspec: str) -> str:
    """Return the commit that a branch means at the remote; it is in the repository then.

    Raises GitFailed.
    """
    url = git.remote.url
    refs = parse_refs(git.run("ls-remote", "--", url))
    found = pick(refs, branch)
    if found is not None:
        name, commit = found
        if not _has(git, commit):
            target = hashlib.sha256(name.encode()).hexdigest()[:16]
            _fetch_refs(git, f"+{name}:refs/playlog/by-name/{target}")
        if _has(git, commit):
            return commit
        raise GitFailed(f"{branch or 'HEAD'} of {url} moved while it was fetched; try again", 1, "")
    if not branch:
        raise GitFailed(f"The repository {url} has no commit", 1, "")
    if refspec:
        _fetch_refs(git, refspec if refspec.startswith("+") else f"+{refspec}")
        names = (f"refs/remotes/origin/{branch}", f"refs/{branch}")
        commit = next((each for name in names if (each := _commit_of(git, name))), "")
        if commit:
            return commit
    if could_be_commit(branch):
        _fetch_refs(git, "+refs/heads/*:refs/playlog/heads/*", "+refs/tags/*:refs/playlog/tags/*")
        if commit := _commit_of(git, branch):
            return commit
    raise GitFailed(f"Branch, tag or commit {branch!r} was not found in {url}", 1, "")


def _fetch_refs(git: Git, *refspecs: str) -> None:
    quiet = ("--quiet", "--no-write-fetch-head", "--no-tags", "--no-recurse-submodules", "--prune")
    git.run("fetch", *quiet, "--", git.remote.url, *refspecs)


def _has(git: Git, commit: str) -> bool:
    return git.succeeds("cat-file", "-e", f"{commit}^{{commit}}")


def _commit_of(git: Git, revision: str) -> str:
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return git.run(*asked, accept=(0, 1, 128)).strip()


@contextmanager
def _cache(job: Preparation, git: Git, key: str, ending: Ending) -> Iterator[None]:
    """Hold the repository's cache alone while in use; created when missing."""
    caches = job.dir.parent.parent / CACHE_DIR
    caches.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = caches / hashlib.sha256(key.encode()).hexdigest()[:32]
    with directory.with_suffix(".lock").open("w") as lock:
        _lock(lock.fileno(), ending)
        if job.spec.scm_delete_first:
            shutil.rmtree(directory, ignore_errors=True)
        if not (directory / "HEAD").exists():
            directory.mkdir(mode=0o700, exist_ok=True)
            git.run("init", "--quiet", "--bare", "--template=", str(directory), at=caches)
            (directory / "info").mkdir(exist_ok=True)
            (directory / "info" / "attributes").write_text(_ATTRIBUTES)
        git.directory = directory
        yield


def _lock(descriptor: int, ending: Ending) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            select.select([], [], [], _LOCK_POLL_S)
        else:
            return
        if ending.due():
            raise Stopped


def _pack(git: Git, commit: str, archive: Path, *, follow: bool) -> None:
    """Write the tree of a commit as a tar archive: the same bytes for the same commit."""
    has_submodules = git.succeeds("cat-file", "-e", f"{commit}:.gitmodules")
    if not has_submodules:
        git.run("archive", "--format=tar", f"--output={archive}", commit)
        return
    tree = archive.parent / "tmp" / "checkout"
    git.check_out(tree, commit)
    newest = ("--remote",) if follow else ()
    git.run("submodule", "--quiet", "update", "--init", "--recursive", *newest, at=tree)
    committed = int(git.run("show", "--no-patch", "--format=%ct", commit))
    _archive_tree(tree, archive, committed)
    shutil.rmtree(tree)


def _archive_tree(tree: Path, archive: Path, modified: int) -> None:
    """Write a checked-out tree as a tar archive that depends on its content only."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if Path(member.name).name == ".git":
            return None
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = modified
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as content:
        for path in sorted(tree.iterdir()):
            content.add(path, path.name, filter=plain)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_SPOOL_BYTES):
            digest.update(piece)
    return digest.hexdigest()
