"""Tiers: tests that need a program which a bare machine lacks, and what is said without it."""

from __future__ import annotations

import shutil

from msgspec import Struct


class Tier(Struct, frozen=True, kw_only=True):
    """A program and the Debian package that brings it."""

    program: str
    package: str

    @property
    def present(self) -> bool:
        """True when the program is there."""
        return shutil.which(self.program, path="/usr/sbin:/usr/bin:/usr/local/bin") is not None


TIERS = {
    "sshd": Tier(program="sshd", package="openssh-server"),
    "netns": Tier(program="ip", package="iproute2"),
    "bwrap": Tier(program="bwrap", package="bubblewrap"),
    "podman": Tier(program="podman", package="podman"),
    "svn": Tier(program="svn", package="subversion"),
    "gpg": Tier(program="gpg", package="gnupg"),
    "slapd": Tier(program="slapd", package="slapd"),
}
