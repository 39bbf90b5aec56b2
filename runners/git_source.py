"""The content of a git project at the commit that its branch means now.

The repository is kept bare below ``<data>/git-cache/``. What a repository, a URL or a branch says
never becomes an option, a hook, a helper or a prompt.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops import tree_archive
from runners import source_cache
from runners.ending import Ending
from runners.git import SHALLOW, Git
from runners.git_remote import (
    check_branch,
    check_refspec,
    could_be_commit,
    parse_refs,
    parse_url,
    pick,
)
from runners.preparation import Preparation
from runners.spec import CONTENT_FILE
from runners.told_play import ToldPlay
from runners.tool import CONTENT_BYTES_MAX, ToolFailed, too_large

CACHE_DIR = "git-cache"
_ATTRIBUTES = "* -export-ignore -export-subst\n"
_WHOLE_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def fetch(job: Preparation, play: ToldPlay, ending: Ending) -> str:
    """Leave the content as ``content.tar``; returns the commit. Raises Refused, ToolFailed."""
    spec = job.spec
    play.task("Check the source of the project", "assert")
    remote = parse_url(spec.scm_url)
    source_cache.check_foreign(job.data, remote.url)
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
        _pack(git, commit, job.dir / CONTENT_FILE, follow=spec.scm_submodules)
    return commit


def _fetch(git: Git, branch: str, refspec: str) -> str:
    """Return the commit that a branch means at the remote; it is in the repository then.

    Raises ToolFailed.
    """
    url = git.remote.url
    refs = parse_refs(git.run("ls-remote", "--", url))
    found = pick(refs, branch)
    if found is not None:
        name, commit = found
        if not _has(git, commit):
            target = hashlib.sha256(name.encode()).hexdigest()[:16]
            _fetch_tip(git, f"+{name}:refs/playlog/by-name/{target}")
        if _has(git, commit):
            return commit
        raise ToolFailed(f"{branch or 'HEAD'} of {url} moved while it was fetched; try again")
    if not branch:
        raise ToolFailed(f"The repository {url} has no commit")
    if refspec:
        _fetch_refs(git, refspec if refspec.startswith("+") else f"+{refspec}")
        names = (f"refs/remotes/origin/{branch}", f"refs/{branch}")
        commit = next((each for name in names if (each := _commit_of(git, name))), "")
        if commit:
            return commit
    if could_be_commit(branch) and (commit := _fetch_commit(git, branch)):
        return commit
    raise ToolFailed(f"Branch, tag or commit {branch!r} was not found in {url}")


def _fetch_commit(git: Git, name: str) -> str:
    """Return a commit by its hash, from here, alone from the remote, or with all its history."""
    if _WHOLE_COMMIT.fullmatch(name):
        if not _has(git, name):
            git.succeeds("fetch", *_QUIET, "--depth=1", "--", git.remote.url, name)
        if _has(git, name):
            return name
    whole = ("--unshallow",) if (git.directory / SHALLOW).exists() else ()
    heads, tags = "+refs/heads/*:refs/playlog/heads/*", "+refs/tags/*:refs/playlog/tags/*"
    _fetch_refs(git, heads, tags, options=whole)
    return _commit_of(git, name)


_QUIET = ("--quiet", "--no-write-fetch-head", "--no-tags", "--no-recurse-submodules", "--prune")


def _fetch_tip(git: Git, refspec: str) -> None:
    """Fetch one reference without its history; with it from servers that cannot leave it out."""
    if not git.succeeds("fetch", *_QUIET, "--depth=1", "--", git.remote.url, refspec):
        _fetch_refs(git, refspec)


def _fetch_refs(git: Git, *refspecs: str, options: tuple[str, ...] = ()) -> None:
    git.run("fetch", *_QUIET, *options, "--", git.remote.url, *refspecs)


def _has(git: Git, commit: str) -> bool:
    return git.succeeds("cat-file", "-e", f"{commit}^{{commit}}")


def _commit_of(git: Git, revision: str) -> str:
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return git.run(*asked, accept=(0, 1, 128)).strip()


@contextmanager
def _cache(job: Preparation, git: Git, key: str, ending: Ending) -> Iterator[None]:
    """Hold the repository's cache alone while in use; created when missing."""
    with source_cache.held(job, CACHE_DIR, key, ending) as directory:
        git.directory = directory
        for each in _left(directory):
            each.unlink(missing_ok=True)
        attributes = directory / "info" / "attributes"
        if not attributes.exists() or attributes.read_text() != _ATTRIBUTES:
            git.run("init", "--quiet", "--bare", "--template=", str(directory), at=directory)
            attributes.parent.mkdir(exist_ok=True)
            attributes.write_text(_ATTRIBUTES)
        yield


def _left(directory: Path) -> Iterator[Path]:
    """Yield what a git that was killed left: its locks would refuse every later one."""
    yield from directory.glob("*.lock")
    yield from (directory / "refs").rglob("*.lock")
    yield from (directory / "objects").glob("*/tmp_*")


def _pack(git: Git, commit: str, archive: Path, *, follow: bool) -> None:
    """Write the tree of a commit as a tar archive: the same bytes for the same commit."""
    has_submodules = git.succeeds("cat-file", "-e", f"{commit}:.gitmodules")
    if not has_submodules:
        packed = archive.parent / "tmp" / archive.name
        git.run("archive", "--format=tar", f"--output={packed}", commit)
        packed.rename(archive)
        return
    tree = archive.parent / "tmp" / "checkout"
    git.check_out(tree, commit)
    newest = ("--remote",) if follow else ()
    git.run("submodule", "--quiet", "update", "--init", "--recursive", *newest, at=tree)
    committed = int(git.run("show", "--no-patch", "--format=%ct", commit))
    try:
        tree_archive.pack(tree, archive, modified=committed, bytes_max=CONTENT_BYTES_MAX)
    except tree_archive.TooLarge as error:
        raise too_large(f"The content of {git.remote.url}") from error
    shutil.rmtree(tree)
