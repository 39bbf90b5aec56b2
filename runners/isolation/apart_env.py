"""A job's environment, kept from what starts its sandbox or container.

Shell, ssh-agent, bubblewrap and engine run outside, as the runner's user, and obey variables: with
``LD_PRELOAD`` or ``BASH_ENV`` a credential would run there what it likes. They get an environment
of the runner's own; the rest is set within, and stands on no command line.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from runners.environment import scrubbed
from runners.preparation import Unrunnable
from runners.process_tree import MARK

OUTSIDE_PREFIXES = ("ANSIBLE_", "AWX_", "RUNNER_")
"""Nothing outside obeys these; ansible-runner reads some, changes some and adds others."""
OUTSIDE = (MARK, "AD_HOC_COMMAND_ID")
"""By these the runner finds a job's processes, and upstream's callback knows a command."""
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OF_SHELLS = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"})
"""Variables that some shells let nobody set, and end when somebody tries."""


def split(env: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is given to the programs outside, and what is only set within."""
    outside = {
        name: value
        for name, value in env.items()
        if name.startswith(OUTSIDE_PREFIXES) or name in OUTSIDE
    }
    within = {name: value for name, value in env.items() if name not in outside}
    return {**scrubbed(), **outside}, within


def check(env: Mapping[str, str]) -> None:
    """Raise Unrunnable for variables that no process can have."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + value:
            raise Unrunnable(f"No process can have the variable {name!r} as it is given")


def options(within: Mapping[str, str]) -> bytes:
    """Return bubblewrap's options, as its ``--args`` reads them; all were checked."""
    words = [word for name, value in within.items() for word in ("--setenv", name, value)]
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def exports(within: Mapping[str, str]) -> bytes:
    """Return lines by which a shell takes the variables over; those it cannot have are left out."""
    lines = [
        f"export {name}={shlex.quote(value)}\n"
        for name, value in within.items()
        if _IDENTIFIER.fullmatch(name) and name not in _OF_SHELLS
    ]
    return os.fsencode("".join(lines))


@contextmanager
def descriptor(content: bytes) -> Iterator[int]:
    """Give content as a file in memory without a name, to be read once; closed afterwards."""
    number = os.memfd_create("environment", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(number), "wb") as stream:
            stream.write(content)
        os.lseek(number, 0, os.SEEK_SET)
        yield number
    finally:
        os.close(number)
