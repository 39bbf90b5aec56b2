"""The projection ``output``: every AnsibleEvent as a row, partitioned by the job's creation day.

The unique key (an id is job, attempt and counter) is the guard against duplicates: a repeated event
is left out, and a frame that leaves a gap is recorded as a hole, so nothing is lost without being
seen. ``event_data`` is inserted as the text it came as.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

import msgspec

from projections.projection import Poison, RawMessage, Rows, Run, Statement
from schemas.envelope import Recorded
from schemas.output import AnsibleEvent, Frame, event_id

_DDL = (
    (
        "CREATE TABLE job_event (id bigint NOT NULL, job_day date NOT NULL, job bigint NOT NULL,"
        " attempt integer NOT NULL, counter integer NOT NULL, uuid text NOT NULL,"
        " parent_uuid text NOT NULL, event text NOT NULL, created text NOT NULL,"
        " stdout text NOT NULL, start_line integer NOT NULL, end_line integer NOT NULL,"
        " verbosity integer NOT NULL, failed boolean NOT NULL, changed boolean NOT NULL,"
        " host bigint, host_name text NOT NULL, play text NOT NULL, task text NOT NULL,"
        " role text NOT NULL, playbook text NOT NULL, event_data text NOT NULL, body text,"
        " PRIMARY KEY (id, job_day)) PARTITION BY RANGE (job_day)"
    ),
    "CREATE INDEX ON job_event (host, id) WHERE host IS NOT NULL",
    (
        "CREATE TABLE job_output (job bigint NOT NULL, attempt integer NOT NULL,"
        " last_counter integer NOT NULL, last_line integer NOT NULL, bytes bigint NOT NULL,"
        " job_day date NOT NULL, hole text NOT NULL DEFAULT '', PRIMARY KEY (job, attempt))"
    ),
)
_COLUMNS = (
    *("id", "job_day", "job", "attempt", "counter", "uuid", "parent_uuid", "event", "created"),
    *("stdout", "start_line", "end_line", "verbosity", "failed", "changed", "host"),
    *("host_name", "play", "task", "role", "playbook", "event_data", "body"),
)
_PROGRESS = """
INSERT INTO job_output AS o (job, attempt, last_counter, last_line, bytes, job_day, hole)
VALUES ($1, $2, $4, $5, $6, $7, CASE WHEN $3 > 1 THEN format('1-%s', $3::integer - 1) ELSE '' END)
ON CONFLICT (job, attempt) DO UPDATE
SET last_counter = greatest(o.last_counter, $4), last_line = greatest(o.last_line, $5),
    bytes = o.bytes + $6,
    hole = CASE WHEN $3 > o.last_counter + 1
        THEN ltrim(o.hole || format(',%s-%s', o.last_counter + 1, $3::integer - 1), ',')
        ELSE o.hole END
"""
_PARENTS = """
UPDATE job_event AS p SET failed = p.failed OR c.failed, changed = p.changed OR c.changed
FROM (
    SELECT parent_uuid, bool_or(failed) AS failed, bool_or(changed) AS changed
    FROM job_event
    WHERE id BETWEEN $1 AND $2 AND job_day = $3 AND parent_uuid <> '' AND (failed OR changed)
    GROUP BY parent_uuid
) AS c
WHERE p.id BETWEEN $1 AND $2 AND p.job_day = $3 AND p.uuid = c.parent_uuid
    AND p.event IN ('playbook_on_play_start', 'playbook_on_task_start',
                    'playbook_on_handler_task_start')
"""
"""Direct parents of failed or changed events are marked when the stats come (AWX 6.1)."""
_STATS = "playbook_on_stats"
_decoder = msgspec.json.Decoder(Frame)


class Output:
    """The projection of OUTPUT; see the module."""

    name = "output"
    stream = "OUTPUT"
    enveloped = False
    version = 1

    def ddl(self) -> Sequence[str]:
        """Return the statements that make its tables and indexes."""
        return _DDL

    def tables(self) -> Sequence[str]:
        """Return its table names."""
        return ("job_event", "job_output")

    def apply(self, messages: Sequence[Recorded] | Sequence[RawMessage]) -> Iterable[Statement]:
        """Return the statements of a batch of frames; raises Poison for one it cannot read."""
        decoded = [_decode(message) for message in messages if isinstance(message, RawMessage)]
        frames = [frame for frame in decoded if not frame.erased]
        for days in sorted({_day(frame) for frame in frames}):
            yield _partition(days)
        rows: list[tuple[object, ...]] = []
        for frame in frames:
            rows += _rows(frame)
        yield Rows(table="job_event", columns=_COLUMNS, rows=rows)
        for frame in frames:
            yield _progress(frame)
        for frame in frames:
            yield from _parents(frame)
        for frame in decoded:
            if frame.erased:
                yield from _erased(frame)


def first_id(job: int, attempt: int) -> int:
    """Return the smallest id that an event of this attempt can have."""
    return event_id(job, attempt, 0)


def last_id(job: int, attempt: int) -> int:
    """Return the largest id that an event of this attempt can have."""
    return event_id(job, attempt, (1 << 24) - 1)


def _decode(message: RawMessage) -> Frame:
    try:
        frame = _decoder.decode(message.data)
        _day(frame)
    except (msgspec.DecodeError, ValueError) as error:
        raise Poison(message.sequence, str(error)) from error
    counters = [event.counter for event in frame.events]
    if counters != list(range(frame.first, frame.last + 1)):
        raise Poison(message.sequence, "the frame's counters are not consecutive")
    return frame


def _day(frame: Frame) -> date:
    return date.fromisoformat(frame.created[:10])


def _partition(day: date) -> Run:
    after = day + timedelta(days=1)
    return Run(
        sql=(
            f"CREATE TABLE IF NOT EXISTS job_event_{day:%Y%m%d} PARTITION OF job_event"
            f" FOR VALUES FROM ('{day}') TO ('{after}')"
        )
    )


def _rows(frame: Frame) -> Iterator[tuple[object, ...]]:
    day = _day(frame)
    for event in frame.events:
        yield _row(frame, event, day)


def _row(frame: Frame, event: AnsibleEvent, day: date) -> tuple[object, ...]:
    return (
        event_id(frame.job, frame.attempt, event.counter),
        day,
        frame.job,
        frame.attempt,
        event.counter,
        event.uuid,
        event.parent_uuid,
        event.event,
        event.created,
        event.stdout,
        event.start_line,
        event.end_line,
        event.verbosity,
        event.failed,
        event.changed,
        event.host,
        event.host_name,
        event.play,
        event.task,
        event.role,
        event.playbook,
        bytes(event.event_data).decode(),
        event.body,
    )


def _progress(frame: Frame) -> Run:
    size = sum(len(event.stdout) for event in frame.events)
    last_line = max(event.end_line for event in frame.events)
    return Run(
        sql=_PROGRESS,
        args=(frame.job, frame.attempt, frame.first, frame.last, last_line, size, _day(frame)),
    )


def _erased(frame: Frame) -> Iterator[Run]:
    place = frame.job, frame.attempt
    yield Run(
        sql="DELETE FROM job_event WHERE id BETWEEN $1 AND $2",
        args=(first_id(*place), last_id(*place)),
    )
    yield Run(sql="DELETE FROM job_output WHERE job = $1 AND attempt = $2", args=place)


def _parents(frame: Frame) -> Iterator[Run]:
    if any(event.event == _STATS for event in frame.events):
        place = frame.job, frame.attempt
        yield Run(sql=_PARENTS, args=(first_id(*place), last_id(*place), _day(frame)))
