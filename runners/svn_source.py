"""The content of a Subversion project, by the ``svn`` command.

Externals are left out: svn would show their servers the login of the project's own.
"""

from __future__ import annotations

import re
import shutil
from urllib.parse import unquote, urlsplit, urlunsplit

from ops import tree_archive
from runners import git, source_cache, tool
from runners.ending import Ending
from runners.git_remote import Refused, Remote
from runners.preparation import Preparation
from runners.spec import CONTENT_FILE
from runners.told_play import ToldPlay
from runners.tool import CONTENT_BYTES_MAX, Done, ToolFailed, too_large

PROTOCOLS = ("file", "http", "https", "svn", "svn+ssh")
_REVISION = re.compile(r"\d{1,10}|HEAD|\{[0-9T:.+ -]{4,40}\}")
_REFUSED_LOGIN = re.compile(
    r"E170001|E215004|authoriz|authentication|permission denied \(", re.IGNORECASE
)


def fetch(job: Preparation, play: ToldPlay, ending: Ending) -> str:
    """Leave the content as ``content.tar``; returns the revision. Raises as git's."""
    play.task("Update project using svn", "subversion")
    remote, revision = parse(job.spec.scm_url), job.spec.scm_branch or "HEAD"
    source_cache.check_foreign(job.data, remote.url)
    if not _REVISION.fullmatch(revision):
        raise Refused(f"{revision!r} is not a revision of Subversion")
    told = _svn(job, remote, ending, "info", "--show-item", "revision", "-r", revision)
    number = told.out.strip()
    if not number.isdigit():
        raise ToolFailed(f"Revision {revision!r} was not found in {remote.url}")
    tree = job.dir / "tmp" / "exported"
    _svn(job, remote, ending, "export", "--ignore-externals", "--quiet", "-r", number, to=str(tree))
    play.done(f"{revision} is revision {number}", changed=True, after=number)
    play.task("Pack the content of the project", "archive")
    try:
        tree_archive.pack(tree, job.dir / CONTENT_FILE, bytes_max=CONTENT_BYTES_MAX)
    except tree_archive.TooLarge as error:
        raise too_large(f"The content of {remote.url}") from error
    shutil.rmtree(tree)
    return number


def parse(url: str) -> Remote:
    """Read a repository's URL; the login comes apart. Raises Refused."""
    if re.search(r"[\x00-\x20\x7f]", url):
        raise Refused("The repository URL is not usable")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError as error:
        raise Refused("The repository URL is not usable") from error
    if parts.scheme not in PROTOCOLS:
        raise Refused(
            f"The protocol {parts.scheme!r} is not allowed; use one of {', '.join(PROTOCOLS)}"
        )
    user = parts.username or ""
    if (parts.scheme != "file") != bool(host) or host.startswith("-") or user.startswith("-"):
        raise Refused("The repository URL names no usable host")
    where = host + (f":{port}" if port else "")
    if parts.scheme == "svn+ssh" and user:
        where = f"{user}@{where}"
    path = parts.path.replace("@", "%40")  # svn reads what follows an @ as a revision
    return Remote(
        url=urlunsplit((parts.scheme, where, path, "", "")),
        protocol=parts.scheme,
        username=unquote(user),
        password=unquote(parts.password or ""),
    )


def _svn(
    job: Preparation, remote: Remote, ending: Ending, command: str, *options: str, to: str = ""
) -> Done:
    login = remote.username or job.secrets.scm_username
    password = remote.password or job.secrets.scm_password
    asked = ["svn", command, "--non-interactive", "--no-auth-cache"]
    asked += ["--config-dir", str(job.dir / "home" / ".subversion")]
    if login and remote.protocol != "svn+ssh":
        asked += ["--username", login, "--password-from-stdin"]
    ssh = git.environment_of(job, remote)
    env = {**git.basic_environment(job), "SVN_SSH": ssh["GIT_SSH_COMMAND"]}
    env |= {name: ssh[name] for name in ("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE")}
    given = [*asked, *options, "--", remote.url, *([to] if to else [])]
    done = tool.run(job, given, job.dir / "tmp", env, ending, stdin=password)
    if done.rc:
        raise _failure(done, remote.url)
    return done


def _failure(done: Done, url: str) -> ToolFailed:
    if tool.grew_too_large(done):
        return too_large(f"The content of {url}")
    if _REFUSED_LOGIN.search(done.err):
        return ToolFailed(f"Authentication failed for {url}", done.rc, done.err.strip())
    return ToolFailed(f"{tool.cause(done)} ({url})", done.rc, done.err.strip())
