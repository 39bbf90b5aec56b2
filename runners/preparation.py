"""One attempt while it is being prepared: where its files are and what will be run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runners.ansible import Invocation
from runners.frames import Mask
from runners.process_tree import mark_of
from runners.spec import JobSpec, Secrets

SOCKET_DIR_CHARS_MAX = 75
"""A socket's path may have 107 characters; ssh adds up to 31 to its directory."""


class Unrunnable(Exception):
    """The job cannot be run; the text is its explanation."""


@dataclass(kw_only=True)
class Preparation:
    """What the steps of one attempt share."""

    spec: JobSpec
    secrets: Secrets
    dir: Path
    mask: Mask
    facts_given: dict[str, str] = field(default_factory=dict)
    """Host name to what tells whether its facts have changed since they were given."""
    fact_hosts: Mapping[str, int] = field(default_factory=dict)
    """Host name to id of those whose facts are kept, as the job was given them."""
    invocation: Invocation = field(init=False)

    def __post_init__(self) -> None:
        self.invocation = Invocation(
            ident=self.spec.ident,
            private=self.dir,
            artifacts=artifacts_dir(self.dir),
            project=self.dir / "project",
        )

    @property
    def data(self) -> Path:
        """The agent's data directory, where its caches are."""
        return self.dir.parent.parent

    @property
    def memory(self) -> Path:
        """Memory-backed private directory of this attempt: what it holds never reaches a disk."""
        return memory_dir(self.dir)

    def socket_dir(self, name: str) -> Path:
        """Return the job's directory of that name, or a shorter one if sockets do not fit."""
        wanted = self.dir / name
        return wanted if len(str(wanted)) <= SOCKET_DIR_CHARS_MAX else self.memory / name


def memory_dir(job_dir: Path) -> Path:
    """Return the directory for the secrets of a job directory's attempt."""
    ours = Path(f"/dev/shm/playlog-{os.getuid()}")  # noqa: S108 - 0700 and ours, see workspace
    return ours / mark_of(job_dir)


def artifacts_dir(job_dir: Path) -> Path:
    """Return the directory that ansible-runner keeps its files in, beside that of the secrets.

    A job kept apart must not see it: upstream follows whatever links lie there.
    """
    memory = memory_dir(job_dir)
    return memory.with_name(f"{memory.name}.out")
