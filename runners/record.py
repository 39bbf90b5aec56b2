"""What the agent itself keeps of an attempt it holds: enough to go on after a restart.

Stands beside the specification in the job directory. It holds no readable secret: the credentials
of the attempt's own NATS user are kept as they came, sealed to the runner's key.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from runners import order_spec
from runners.isolation.plan import NOTHING, Abilities, plan
from runners.spec import SPEC_FILE, write_private, write_spec
from schemas import subjects
from schemas.output import Phase
from schemas.work import WorkOrder

RECORD_FILE = "order.json"
JOBS_DIR = "jobs"

Key = tuple[int, int]
"""(job, attempt)."""


class Record(Struct, frozen=True, kw_only=True):
    """A work order that this runner has asked for, and when its first steps happened."""

    order: WorkOrder
    received: datetime
    granted: datetime
    nats_creds: str = ""
    """Sealed, as in the grant; empty when the attempt is published over the agent's connection."""

    @property
    def key(self) -> Key:
        """Return (job, attempt)."""
        return self.order.job, self.order.attempt

    @property
    def ident(self) -> str:
        """Return the attempt's name, as its directory and its processes carry it."""
        return f"{self.order.job}-{self.order.attempt}"

    @property
    def kind(self) -> str:
        """Return the unified job's AWX type."""
        return str(self.order.payload.__struct_config__.tag)

    @property
    def attempt(self) -> subjects.Attempt:
        """Return the attempt as subjects name it."""
        return subjects.Attempt(self.order.organization, self.order.job, self.order.attempt)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Return the spans before the start."""
        return (
            Phase(name="queue", started=self.order.created, finished=self.received),
            Phase(name="claim", started=self.received, finished=self.granted),
        )


def write(jobs: Path, record: Record, able: Abilities = NOTHING) -> Path:
    """Put an attempt on disk, durably; returns its directory. A known one's record is replaced.

    The specification comes last: a directory without one is none of an attempt.
    """
    directory = jobs / record.ident
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(directory / RECORD_FILE, msgspec.json.encode(record))
    if not (directory / SPEC_FILE).exists():
        spec = order_spec.spec_of(record.order)
        write_spec(
            directory, msgspec.structs.replace(spec, isolation=plan(record.order.apart, able))
        )
        _sync(jobs)
    _sync(directory)
    return directory


def read(directory: Path) -> Record | None:
    """Return what was put on disk; None when it never was in full. Raises msgspec.DecodeError."""
    if not (directory / SPEC_FILE).exists():
        return None
    return msgspec.json.decode((directory / RECORD_FILE).read_bytes(), type=Record)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
