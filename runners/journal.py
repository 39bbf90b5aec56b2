"""A job's journal: written by Ansible and the supervisor, read by the agent from any offset.

Reading survives what a crash leaves: a frame is either whole or not there yet. Counters and line
numbers are not stored; they follow from the order of frames, so a reader resumes from (offset,
counter, line).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ops import clock, ids
from runners import frames
from runners.frames import HEADER, Mask
from schemas.output import EMPTY_OBJECT, AnsibleEvent

STATUS = "_status"
FINAL = "_final"
READ_BYTES = 1 << 20

_COLOR = r"(?:\x1b\[[0-9;]*m)*"
_BLOCK = re.compile(_COLOR + r"\[(?:ERROR|WARNING|DEPRECATION WARNING)\]:")
_RESULT_LINE = re.compile(_COLOR + r"(?:fatal|failed|ok|changed|skipping): \[")

FAILED_EVENTS = frozenset(
    {
        "runner_on_failed",
        "runner_on_error",
        "runner_on_unreachable",
        "runner_on_async_failed",
        "runner_item_on_failed",
        "error",
    }
)


class Frame(Struct, frozen=True):
    """One whole frame: where it begins, where the next one does, and its JSON."""

    offset: int
    next_offset: int
    body: bytes


class Position(Struct, frozen=True, kw_only=True):
    """Where a reader stands: bytes read, events seen, output lines seen."""

    offset: int = 0
    counter: int = 0
    line: int = 0


class JournalEvent(Struct, frozen=True, kw_only=True):
    """One event as it is published, and the position behind it."""

    event: AnsibleEvent
    pid: int
    """The process that wrote it; 0 when unknown."""
    after: Position


class Status(Struct, frozen=True, kw_only=True):
    """A supervisor's word about its progress.

    The first ``running`` tells what was started and where.
    """

    status: str
    created: str
    job_args: tuple[str, ...] = ()
    job_cwd: str = ""
    job_env: dict[str, str] = {}
    after: Position = Position()


class Final(Struct, frozen=True, kw_only=True):
    """The last frame: how the attempt ended."""

    status: str
    """``successful``, ``failed``, ``error`` or ``canceled``."""
    created: str
    rc: int | None = None
    explanation: str = ""
    traceback: str = ""
    ansible_pid: int = 0
    scm_revision: str = ""
    content_sha256: str = ""
    galaxy_sha256: str = ""
    playbooks: tuple[str, ...] = ()
    inventory_files: tuple[str, ...] = ()
    after: Position = Position()


Entry = JournalEvent | Status | Final


class PlaybookStats(Struct, frozen=True, kw_only=True):
    """What ``playbook_on_stats`` carries: counts by host, and the play's ``set_stats`` data."""

    ok: dict[str, int] = {}
    changed: dict[str, int] = {}
    dark: dict[str, int] = {}
    failures: dict[str, int] = {}
    ignored: dict[str, int] = {}
    processed: dict[str, int] = {}
    rescued: dict[str, int] = {}
    skipped: dict[str, int] = {}
    artifact_data: Raw = EMPTY_OBJECT

    @property
    def failed(self) -> bool:
        """Whether any host failed or could not be reached."""
        return any(self.failures.values()) or any(self.dark.values())


def read_stats(event: AnsibleEvent) -> PlaybookStats:
    """Decode a ``playbook_on_stats`` event. Raises msgspec.ValidationError on another shape."""
    return msgspec.json.decode(event.event_data, type=PlaybookStats)


class JournalReader:
    """Reads one journal; keeps no position of its own."""

    def __init__(self, path: Path) -> None:
        """Take a journal that need not exist yet."""
        self._path = path

    def size(self) -> int:
        """Return the journal's bytes; 0 when it does not exist yet."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, offset: int, bytes_max: int = READ_BYTES) -> list[Frame]:
        """Return whole frames from an offset, about ``bytes_max``.

        Returns at least one when there is one, however large.
        """
        try:
            with self._path.open("rb") as stream:
                stream.seek(offset)
                data = stream.read(max(bytes_max, HEADER.size))
                missing = _missing(data)
                if missing:
                    data += stream.read(missing)
        except FileNotFoundError:
            return []
        return list(_split(data, offset))

    def entries(self, position: Position, bytes_max: int = READ_BYTES) -> list[Entry]:
        """Return what follows a position, each entry with the position behind it."""
        found: list[Entry] = []
        for frame in self.read(position.offset, bytes_max):
            entry = decode(frame, position)
            position = entry.after
            found.append(entry)
        return found

    def all(self) -> Iterator[Entry]:
        """Yield every entry that is whole now."""
        position = Position()
        while batch := self.entries(position):
            yield from batch
            position = batch[-1].after


class JournalWriter:
    """Appends the supervisor's own frames; everything is masked before it is written."""

    def __init__(self, path: Path, mask: Mask) -> None:
        """Open a journal, created when missing."""
        self._path = path
        self._mask = mask
        self._fd = frames.open_journal(str(path))

    def event(self, event: dict[str, object], printed: str) -> None:
        """Append one event with the text that was printed for it (line ends included)."""
        encoded = frames.encode(event, self._mask)
        frames.append(self._fd, frames.with_output(encoded, printed, self._mask))

    def from_terminal(self, event: dict[str, object]) -> None:
        """Append what came through the terminal.

        Stray output, or an event of upstream's own callback.
        """
        shown = str(event.pop("stdout", "")).replace("\r\n", "\n")
        first, last = event.pop("start_line", 0), event.pop("end_line", 0)
        lines = last - first if isinstance(first, int) and isinstance(last, int) else 0
        for name in ("counter", "runner_ident"):
            event.pop(name, None)
        printed = uncensored_cut(event, shown) + "\n" * max(0, lines - shown.count("\n"))
        self.event(event, printed)

    def text(self, printed: str) -> None:
        """Append output that belongs to no event, as AWX shows it: one ``verbose`` event a line."""
        for line in printed.splitlines(keepends=True):
            self.event(verbose(), line)

    def control(self, kind: str, **fields: object) -> None:
        """Append a frame that is no event: ``STATUS`` or ``FINAL``."""
        body = {"event": kind, "created": clock.iso(clock.now()), **fields}
        frames.append(self._fd, frames.to_bytes(frames.encode(body, self._mask)))

    def trim(self) -> None:
        """Cut off a frame that a killed process left half written.

        Only when no other writer lives.
        """
        whole = 0
        reader = JournalReader(self._path)
        while batch := reader.read(whole):
            whole = batch[-1].next_offset
        if whole < reader.size():
            os.truncate(self._path, whole)

    def close(self) -> None:
        """Close the journal."""
        os.close(self._fd)


def uncensored_cut(event: dict[str, object], shown: str) -> str:
    """Drop what upstream's callback prints before the censored result of a no_log task."""
    data = event.get("event_data")
    result = data.get("res") if isinstance(data, dict) else None
    if not isinstance(result, dict) or "censored" not in result:
        return shown
    lines = shown.split("\n")
    begin = next((at for at, line in enumerate(lines) if _BLOCK.match(line)), None)
    end = next((at for at, line in enumerate(lines) if _RESULT_LINE.match(line)), len(lines))
    if begin is None or begin >= end:
        return shown
    return "\n".join(lines[:begin] + lines[end:])


def verbose() -> dict[str, object]:
    """Return a new event for output that belongs to no other."""
    return {"event": "verbose", "uuid": new_uuid(), "created": clock.now().isoformat()}


def new_uuid() -> str:
    """Return an event's uuid as upstream writes it."""
    return str(UUID(ids.new_id()))


class _Wire(Struct, frozen=True, kw_only=True):
    event: str
    uuid: str = ""
    parent_uuid: str | None = None
    created: str = ""
    pid: int = 0
    verbosity: int = 0
    stdout: str = ""
    lines: int = msgspec.field(default=0, name="_lines")
    event_data: Raw = EMPTY_OBJECT


class _Result(Struct, frozen=True, kw_only=True):
    changed: object = False


class _Data(Struct, frozen=True, kw_only=True):
    host: object = ""
    playbook: object = ""
    play: object = ""
    task: object = ""
    role: object = ""
    ignore_errors: object = False
    res: Raw | UnsetType = UNSET


_wire = msgspec.json.Decoder(_Wire)
_data = msgspec.json.Decoder(_Data)
_result = msgspec.json.Decoder(_Result)
_status = msgspec.json.Decoder(Status)
_final = msgspec.json.Decoder(Final)


def decode(frame: Frame, position: Position) -> Entry:
    """Read a frame that follows ``position``. Raises msgspec.DecodeError."""
    wire = _wire.decode(frame.body)
    if wire.event in (STATUS, FINAL):
        decoder: msgspec.json.Decoder[Status] | msgspec.json.Decoder[Final]
        decoder = _status if wire.event == STATUS else _final
        after = msgspec.structs.replace(position, offset=frame.next_offset)
        return msgspec.structs.replace(decoder.decode(frame.body), after=after)
    after = Position(
        offset=frame.next_offset, counter=position.counter + 1, line=position.line + wire.lines
    )
    return JournalEvent(event=_published(wire, position, after), pid=wire.pid, after=after)


def _published(wire: _Wire, before: Position, after: Position) -> AnsibleEvent:
    data = _data.decode(wire.event_data)
    failed, changed = _outcome(wire, data)
    return AnsibleEvent(
        counter=after.counter,
        uuid=wire.uuid,
        event=wire.event,
        created=wire.created,
        parent_uuid=wire.parent_uuid or "",
        stdout=wire.stdout,
        start_line=before.line,
        end_line=after.line,
        verbosity=wire.verbosity,
        failed=failed,
        changed=changed,
        host_name=_text(data.host),
        play=_text(data.play),
        task=_text(data.task),
        role=_text(data.role),
        playbook=_text(data.playbook),
        event_data=wire.event_data,
    )


def _outcome(wire: _Wire, data: _Data) -> tuple[bool, bool]:
    """Return (failed, changed) by AWX's rules."""
    if wire.event == "playbook_on_stats":
        stats = msgspec.json.decode(wire.event_data, type=PlaybookStats)
        return stats.failed, any(stats.changed.values())
    failed = wire.event in FAILED_EVENTS and not data.ignore_errors
    if data.res is UNSET or not bytes(data.res).startswith(b"{"):
        return failed, False
    return failed, bool(_result.decode(data.res).changed)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)


def _split(data: bytes, offset: int) -> Iterator[Frame]:
    at = 0
    while at + HEADER.size <= len(data):
        (length,) = HEADER.unpack_from(data, at)
        end = at + HEADER.size + length
        if end > len(data):
            return
        yield Frame(offset + at, offset + end, data[at + HEADER.size : end])
        at = end


def _missing(data: bytes) -> int:
    """Return how many bytes the first frame still lacks, when not even one is whole."""
    if len(data) < HEADER.size:
        return 0
    (length,) = HEADER.unpack_from(data)
    return int(max(0, HEADER.size + length - len(data)))
