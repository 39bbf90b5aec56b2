"""What a runner publishes about one attempt: frames of AnsibleEvents, and reports.

A frame is one JSON message on OUTPUT holding 1..50 AnsibleEvents in order. ``event_data`` stays
undecoded: it is stored and served as it came. An event whose JSON exceeds ``EVENT_BYTES_MAX`` has
its ``stdout`` and ``event_data`` in BLOBS under ``body`` (sha256 of ``{"stdout": ..., "event_data":
...}``), and both fields shortened.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

FRAME_EVENTS_MAX = 50
FRAME_BYTES_MAX = 32 * 1024
"""A frame is closed at this size (bytes); a larger single event is a frame of its own."""
EVENT_BYTES_MAX = 512 * 1024

COUNTER_MAX = (1 << 24) - 1
"""The last counter that an event id has room for."""

EMPTY_OBJECT = msgspec.Raw(b"{}")


class AnsibleEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One callback record of ansible-runner.

    With the columns that read models need beside its data.
    """

    counter: int
    """1.. in order of emission within the attempt."""
    uuid: str
    event: str
    """AWX's event name, such as ``runner_on_ok``."""
    created: str
    """ISO-8601 UTC, from the callback."""
    parent_uuid: str = ""
    stdout: str = ""
    start_line: int = 0
    end_line: int = 0
    """0-based lines of the whole output: the text covers [start_line, end_line)."""
    verbosity: int = 0
    failed: bool = False
    changed: bool = False
    host: int | None = None
    """Id of the managed host, when the inventory knows it."""
    host_name: str = ""
    play: str = ""
    task: str = ""
    role: str = ""
    playbook: str = ""
    event_data: msgspec.Raw = EMPTY_OBJECT
    body: str | None = None
    """sha256 of the whole stdout and event_data in BLOBS, for an oversized event."""


class Frame(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One OUTPUT message: consecutive events of one attempt."""

    job: int
    attempt: int
    kind: str
    """The unified job's AWX type, such as ``job`` or ``project_update``."""
    created: str
    """When the job was created (ISO-8601 UTC): the day picks the partition of its rows."""
    first: int
    last: int
    """Counters of the first and last event of this frame.

    ``first`` is the previous frame's last + 1.
    """
    offset: int
    """Byte offset in the runner's journal behind the last event: where publishing resumes."""
    traceparent: str | None = None
    events: tuple[AnsibleEvent, ...]
    erased: bool = False
    """The job was deleted: this message, without events, stands in place of all that were here."""


class HostStats(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One host's line of the recap."""

    host: int | None = None
    """Id of the managed host, when the inventory knows it; a constructed one's original."""
    constructed_host: int | None = None
    """Of a constructed inventory: the host in it that stands for the original."""
    ok: int = 0
    changed: int = 0
    dark: int = 0
    failures: int = 0
    ignored: int = 0
    processed: int = 0
    rescued: int = 0
    skipped: int = 0


class Phase(Struct, frozen=True, kw_only=True):
    """One step of an attempt on the runner, for the timeline: its name and its time span."""

    name: str
    started: datetime
    finished: datetime


class AttemptStarted(Struct, frozen=True, kw_only=True, tag="started", tag_field="report"):
    """The supervisor of an attempt has started."""

    at: datetime
    runner: str
    job_args: tuple[str, ...] = ()
    job_cwd: str = ""
    job_env: dict[str, str] = {}
    """The job's environment with secret values masked as AWX masks them."""


class AttemptFinished(Struct, frozen=True, kw_only=True, tag="finished", tag_field="report"):
    """An attempt has ended and every event of it is acknowledged by OUTPUT."""

    at: datetime
    runner: str
    started: datetime | None
    """When the process started; None when it never did."""
    kind: str = "job"
    """The unified job's AWX type: a playbook's recap makes host summaries, a command's counts."""
    status: str
    """``successful``, ``failed``, ``error`` or ``canceled``."""
    rc: int | None = None
    explanation: str = ""
    traceback: str = ""
    last_counter: int = 0
    """Counter of the last event in OUTPUT: completeness is known, never guessed by counting."""
    stats: dict[str, HostStats] = {}
    artifacts: msgspec.Raw = EMPTY_OBJECT
    """The play's ``set_stats`` data (a JSON object)."""
    play_count: int = 0
    task_count: int = 0
    phases: tuple[Phase, ...] = ()
    revision: str = ""
    """Project update: the commit that was fetched."""
    content: str = ""
    """Project update: sha256 of the tree's archive in BLOBS."""
    galaxy: str = ""
    """Project update: sha256 of the roles and collections that the project requires, likewise."""
    facts: str = ""
    """sha256 in BLOBS of the facts of hosts that the run changed; empty when it changed none."""
    playbooks: tuple[str, ...] = ()
    inventory_files: tuple[str, ...] = ()


class AttemptErased(Struct, frozen=True, kw_only=True, tag="erased", tag_field="report"):
    """The job was deleted: this message stands in place of the attempt's reports."""

    at: datetime


Report = AttemptStarted | AttemptFinished | AttemptErased


class StoredReport(Struct, frozen=True, kw_only=True):
    """A REPORTS message: the report itself, or the sha256 of its JSON in BLOBS when oversized."""

    report: Report | None = None
    blob: str | None = None
    traceparent: str | None = None


def event_id(job: int, attempt: int, counter: int) -> int:
    """Return the id of one job event: computed, so that a rebuild gives the same ones.

    Attempt, job and counter stay readable in it; the first attempt's ids fit JavaScript's integers.
    """
    return (attempt - 1) << 49 | job << 24 | counter
