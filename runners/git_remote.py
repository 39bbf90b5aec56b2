"""What a project says about its repository, checked before git sees any of it (pure)."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec import Struct

PROTOCOLS = ("file", "git", "http", "https", "ssh")
_SCP_LIKE = re.compile(r"(?:(?P<user>[^@/:\s]+)@)?(?P<host>[^@/:\s]+):(?P<path>[^\s]+)")
_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
_BAD_IN_REVISION = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{")
_REFSPEC = re.compile(r"\+?(?P<source>refs/[^\s:]+):(?P<target>refs/[^\s:]+)")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


class Refused(ValueError):
    """The URL, branch or refspec cannot be used; the text says why and holds no secret."""


class Remote(Struct, frozen=True, kw_only=True):
    """Where to fetch from: a URL without credentials, and those that stood in it."""

    url: str
    protocol: str
    username: str = ""
    password: str = ""


class Place(Struct, frozen=True, kw_only=True):
    """Whom a password is for: git names ``scheme`` and ``place`` (host and port), ssh ``host``."""

    scheme: str
    place: str
    host: str


def parse_url(url: str) -> Remote:
    """Read a repository's URL: ``scheme://``, ``user@host:path`` or an absolute path.

    Raises Refused.
    """
    if not url or url.startswith("-") or re.search(r"[\x00-\x20\x7f]", url) or _HELPER.match(url):
        raise Refused("The repository URL is not usable")
    if url.startswith("/"):
        return Remote(url=f"file://{url}", protocol="file")
    if "://" in url:
        return _with_scheme(url)
    scp = _SCP_LIKE.fullmatch(url)
    if scp is None or scp["host"].startswith("-") or (scp["user"] or "").startswith("-"):
        raise Refused("The repository URL is not usable")
    return Remote(url=url, protocol="ssh")


def place(remote: Remote) -> Place:
    """Return how git and ssh name a remote when they ask for a password."""
    if "://" not in remote.url:
        return Place(scheme="ssh", place="", host=remote.url.partition(":")[0].rpartition("@")[2])
    parts = urlsplit(remote.url)
    where = parts.netloc.rpartition("@")[2]
    return Place(scheme=parts.scheme, place=where, host=parts.hostname or "")


def secrets_in(url: str) -> tuple[str, ...]:
    """Return what must be masked of a URL.

    Its password, or a token that stands for user and password.
    """
    try:
        remote = parse_url(url)
    except Refused:
        return tuple(re.findall(r"://[^/\s:@]*:([^/\s@]+)@", url))
    token = remote.username if not remote.password and remote.protocol in {"http", "https"} else ""
    return tuple(each for each in (remote.password, token) if each)


def check_branch(branch: str) -> str:
    """Return a branch, tag or commit name that git cannot take for anything else.

    Raises Refused.
    """
    if branch.startswith("-") or branch.endswith(("/", ".lock")) or _BAD_IN_REVISION.search(branch):
        raise Refused(f"{branch!r} is not a branch, tag or commit")
    return branch


def check_refspec(refspec: str) -> str:
    """Return a refspec that only adds references. Raises Refused."""
    if not refspec or _REFSPEC.fullmatch(refspec):
        return refspec
    raise Refused(f"{refspec!r} is not a refspec like refs/pull/*:refs/remotes/origin/pull/*")


def could_be_commit(revision: str) -> bool:
    """Tell whether a name may be a commit's (abbreviated) hash."""
    return _COMMIT.fullmatch(revision) is not None


def parse_refs(listing: str) -> dict[str, str]:
    """Read ``git ls-remote``: reference name to commit.

    An annotated tag stands for what it tags.
    """
    refs: dict[str, str] = {}
    for line in listing.splitlines():
        commit, _, name = line.partition("\t")
        if could_be_commit(commit):
            refs[name.removesuffix("^{}")] = commit
    return refs


def pick(refs: dict[str, str], branch: str) -> tuple[str, str] | None:
    """Return (reference, commit) that a branch or tag name means.

    The remote's HEAD for an empty one.
    """
    names = [f"refs/heads/{branch}", f"refs/tags/{branch}", branch] if branch else ["HEAD"]
    return next(((name, refs[name]) for name in names if name in refs), None)


def explain(stderr: str, url: str) -> str:
    """Return git's complaint in a sentence."""
    for pattern, text in _COMPLAINTS:
        if re.search(pattern, stderr, re.IGNORECASE):
            return text.format(url=url)
    last = next(
        (line for line in reversed(stderr.strip().splitlines()) if line.strip()), "git failed"
    )
    return f"{last.removeprefix('fatal: ')} ({url})"


_REFUSED_LOGIN = (
    r"authentication failed|could not read (username|password)|terminal prompts disabled"
    r"|permission denied \(|access denied|invalid username or (password|token)|error: 40[13]"
)
_UNREACHABLE = (
    r"connection (refused|timed out|reset)|failed to connect|couldn't connect|no route to host"
)
_MISSING = (
    r"not found|does not exist|not appear to be a git repository|no such file or directory"
    r"|error: 404"
)
_COMPLAINTS = (
    (_REFUSED_LOGIN, "Authentication failed for {url}"),
    (r"could not resolve host|name or service not known", "The host of {url} cannot be resolved"),
    (_UNREACHABLE, "The host of {url} cannot be reached"),
    (_MISSING, "The repository {url} does not exist or is not readable"),
    (r"transport '.*' not allowed", "The protocol of {url} is not allowed"),
)


def _with_scheme(url: str) -> Remote:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError as error:
        raise Refused("The repository URL is not usable") from error
    protocol = "ssh" if parts.scheme == "git+ssh" else parts.scheme
    if protocol not in PROTOCOLS:
        raise Refused(
            f"The protocol {protocol!r} is not allowed; use one of {', '.join(PROTOCOLS)}"
        )
    if protocol == "file":
        if host not in {"", "localhost"} or parts.username:
            raise Refused("A file URL names no host")
        return Remote(url=f"file://{parts.path}", protocol=protocol)
    if not host or host.startswith("-") or (parts.username or "").startswith("-"):
        raise Refused("The repository URL names no usable host")
    where = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    if protocol == "ssh" and parts.username:
        where = f"{parts.username}@{where}"
    return Remote(
        url=urlunsplit((protocol, where, parts.path, parts.query, "")),
        protocol=protocol,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
