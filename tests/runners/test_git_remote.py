"""What git may be told about a repository."""

from __future__ import annotations

import pytest

from runners.git_remote import (
    Refused,
    check_branch,
    check_refspec,
    explain,
    parse_refs,
    parse_url,
    pick,
    secrets_in,
)


@pytest.mark.parametrize(
    ("url", "clean", "protocol"),
    [
        ("https://host/a/b.git", "https://host/a/b.git", "https"),
        ("https://u:p%40w@host:8443/a.git", "https://host:8443/a.git", "https"),
        ("http://[::1]:80/a", "http://[::1]:80/a", "http"),
        ("ssh://git:pw@host/a.git", "ssh://git@host/a.git", "ssh"),
        ("git+ssh://git@host/a.git", "ssh://git@host/a.git", "ssh"),
        ("git@host:a/b.git", "git@host:a/b.git", "ssh"),
        ("git://host/a", "git://host/a", "git"),
        ("file:///srv/a.git", "file:///srv/a.git", "file"),
        ("/srv/a.git", "file:///srv/a.git", "file"),
    ],
)
def test_urls_are_split_from_their_credentials(url: str, clean: str, protocol: str) -> None:
    """What git gets on its command line holds no password."""
    remote = parse_url(url)
    assert (remote.url, remote.protocol) == (clean, protocol)


def test_credentials_of_a_url_are_kept_apart_and_masked() -> None:
    """User and password of a URL are used; a token alone is a secret, a user is not."""
    remote = parse_url("https://u:p%40w@host/a.git")
    assert (remote.username, remote.password) == ("u", "p@w")
    assert secrets_in("https://u:p%40w@host/a.git") == ("p@w",)
    assert secrets_in("https://token@host/a.git") == ("token",)
    assert secrets_in("ssh://git@host/a.git") == ()
    assert secrets_in("svn://u:pw@host/") == ("pw",)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "--upload-pack=touch /tmp/x",
        "-u",
        "ext::sh -c true",
        "ext::true",
        "fd::17",
        "ftp://host/a",
        "https://-oProxyCommand=x/a",
        "ssh://-oProxyCommand=x/a",
        "-oProxyCommand=x:a",
        "x@-oProxyCommand=x:a",
        "https://host/a b",
        "https://host/a\n",
        "https://host:port/a",
        "file://elsewhere/a",
        "relative/path",
        "https://",
    ],
)
def test_dangerous_urls_are_refused(url: str) -> None:
    """Options, transport helpers, unknown protocols and blanks never reach git."""
    with pytest.raises(Refused):
        parse_url(url)


@pytest.mark.parametrize(
    "branch", ["--upload-pack=x", "-b", "a b", "a..b", "a^", "a:b", "x@{1}", "a\n"]
)
def test_dangerous_branches_are_refused(branch: str) -> None:
    """A branch is a name, not an option nor an expression."""
    with pytest.raises(Refused):
        check_branch(branch)


def test_ordinary_branches_and_refspecs_pass() -> None:
    """Names that git knows are passed on."""
    for branch in ("", "main", "feature/x-1", "v1.2", "refs/heads/x", "0a1b2c3d"):
        assert check_branch(branch) == branch
    assert check_refspec("refs/pull/*:refs/remotes/origin/pull/*")
    assert check_refspec("") == ""
    for refspec in ("--x", "main", "refs/a:heads/b", "refs/a: refs/b"):
        with pytest.raises(Refused):
            check_refspec(refspec)


def test_names_resolve_as_git_would() -> None:
    """A branch wins over a tag, an annotated tag stands for its commit, nothing stands for HEAD."""
    one, two, three = (each * 40 for each in "123")
    refs = parse_refs(
        f"{one}\tHEAD\n{one}\trefs/heads/main\n{two}\trefs/tags/main\n"
        f"{two}\trefs/tags/v1\n{three}\trefs/tags/v1^{{}}\nnoise\n"
    )
    assert pick(refs, "") == ("HEAD", one)
    assert pick(refs, "main") == ("refs/heads/main", one)
    assert pick(refs, "v1") == ("refs/tags/v1", three)
    assert pick(refs, "refs/tags/main") == ("refs/tags/main", two)
    assert pick(refs, "gone") is None


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("fatal: Authentication failed for 'https://x/'", "Authentication failed"),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", "Authenti"),
        ("git@x: Permission denied (publickey).", "Authentication failed"),
        ("fatal: repository 'https://x/' not found", "does not exist"),
        ("fatal: '/x' does not appear to be a git repository", "does not exist"),
        ("fatal: unable to access: Could not resolve host: x", "cannot be resolved"),
        ("fatal: unable to connect: Connection refused", "cannot be reached"),
        ("fatal: something new", "something new (URL)"),
        ("", "git failed (URL)"),
    ],
)
def test_complaints_are_told_in_a_sentence(stderr: str, words: str) -> None:
    """A failed update says what is wrong and with which repository."""
    assert words in explain(stderr, "URL")
    assert "URL" in explain(stderr, "URL")
