"""The projection ``output``: every AnsibleEvent as a row, partitioned by the job's creation day.

The unique key (an id is job, attempt and counter) is the guard against duplicates: a repeated event
is left out. Which counters are stored is kept as ranges, so a gap is seen as a hole and closes when
the missing frame comes. ``event_data`` is inserted as the text it came as.

Rows do not depend on how messages were batched: rows go out before whatever reads them (the stats'
marking of parents, an erasure), in the order of the log. The key carries ``start_line``, so that a
page of a job with a million events is found without reading them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

import msgspec

from projections.projection import Poison, RawMessage, Rows, Run, Statement
from schemas import subjects
from schemas.envelope import Recorded
from schemas.output import COUNTER_MAX, AnsibleEvent, Frame, event_id

_DDL = (
    (
        "CREATE TABLE job_event (id bigint NOT NULL, job_day date NOT NULL, job bigint NOT NULL,"
        " attempt integer NOT NULL, counter integer NOT NULL, uuid text NOT NULL,"
        " parent_uuid text NOT NULL, event text NOT NULL, created text NOT NULL,"
        " stdout text NOT NULL, start_line integer NOT NULL, end_line integer NOT NULL,"
        " verbosity integer NOT NULL, failed boolean NOT NULL, changed boolean NOT NULL,"
        " host bigint, host_name text NOT NULL, play text NOT NULL, task text NOT NULL,"
        " role text NOT NULL, playbook text NOT NULL, event_data text NOT NULL, body text,"
        " PRIMARY KEY (id, job_day) INCLUDE (start_line)) PARTITION BY RANGE (job_day)"
    ),
    "CREATE INDEX ON job_event (host, id) WHERE host IS NOT NULL",
    "CREATE INDEX ON job_event (host, job, counter) WHERE changed AND host IS NOT NULL",
    *(
        f"CREATE INDEX ON job_event (job, hashtext({name})) WHERE {name} <> ''"
        for name in ("task", "host_name", "event", "parent_uuid")
    ),
    *(f"CREATE INDEX ON job_event (job, id) WHERE {name}" for name in ("failed", "changed")),
    (
        "CREATE TABLE job_output (job bigint NOT NULL, attempt integer NOT NULL,"
        " last_counter integer NOT NULL, last_line integer NOT NULL, bytes bigint NOT NULL,"
        " job_day date NOT NULL, stored int4multirange NOT NULL, hole text NOT NULL,"
        " PRIMARY KEY (job, attempt))"
    ),
)
_COLUMNS = (
    *("id", "job_day", "job", "attempt", "counter", "uuid", "parent_uuid", "event", "created"),
    *("stdout", "start_line", "end_line", "verbosity", "failed", "changed", "host"),
    *("host_name", "play", "task", "role", "playbook", "event_data", "body"),
)
_PROGRESS = """
INSERT INTO job_output AS o (job, attempt, last_counter, last_line, bytes, job_day, stored, hole)
VALUES ($1, $2, $4, $5, $6, $7, int4multirange(int4range($3, $4, '[]')),
    CASE WHEN $3 > 1 THEN format('1-%s', $3::integer - 1) ELSE '' END)
ON CONFLICT (job, attempt) DO UPDATE
SET last_counter = greatest(o.last_counter, $4), last_line = greatest(o.last_line, $5),
    stored = o.stored + excluded.stored,
    bytes = CASE WHEN o.stored && excluded.stored
        THEN (SELECT sum(length(stdout)) FROM job_event WHERE id BETWEEN $8 AND $9)
        ELSE o.bytes + $6 END,
    hole = CASE WHEN $3 = o.last_counter + 1 THEN o.hole ELSE (
        SELECT coalesce(string_agg(format('%s-%s', lower(r), upper(r) - 1), ',' ORDER BY r), '')
        FROM unnest(int4multirange(int4range(1, greatest(o.last_counter, $4), '[]'))
            - o.stored - excluded.stored) AS r) END
"""
"""A repeated frame is a message by itself (its rows were refused in a batch): counting is safe."""
_PARENTS = """
UPDATE job_event AS p SET failed = p.failed OR c.failed, changed = p.changed OR c.changed
FROM (
    SELECT parent_uuid, bool_or(failed) AS failed, bool_or(changed) AS changed
    FROM job_event
    WHERE id BETWEEN $1 AND $2 AND job_day = $3 AND parent_uuid <> '' AND (failed OR changed)
        AND event NOT IN ('playbook_on_play_start', 'playbook_on_task_start',
                          'playbook_on_handler_task_start')
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
    version = 3

    def ddl(self) -> Sequence[str]:
        """Return the statements that make its tables and indexes."""
        return _DDL

    def tables(self) -> Sequence[str]:
        """Return its table names."""
        return ("job_event", "job_output")

    def apply(self, messages: Sequence[Recorded] | Sequence[RawMessage]) -> Iterable[Statement]:
        """Return the statements of a batch of frames; raises Poison for one it cannot read."""
        frames = [_decode(message) for message in messages if isinstance(message, RawMessage)]
        for day in sorted({_day(frame) for frame in frames if not frame.erased}):
            yield _partition(day)
        batch = _Batch()
        for frame in frames:
            if frame.erased:
                yield from batch.flush()
                yield from _erased(frame)
                continue
            batch.add(frame)
            if any(event.event == _STATS for event in frame.events):
                yield from batch.flush()
                place = frame.job, frame.attempt
                yield Run(sql=_PARENTS, args=(first_id(*place), last_id(*place), _day(frame)))
        yield from batch.flush()


class _Stretch(msgspec.Struct):
    """Consecutive counters of one attempt, as far as one batch has them."""

    day: date
    first: int
    last: int
    last_line: int
    size: int


class _Batch:
    """Rows of frames in the making, and how far they bring each attempt."""

    def __init__(self) -> None:
        self._rows: list[tuple[object, ...]] = []
        self._stretches: dict[tuple[int, int], list[_Stretch]] = {}

    def add(self, frame: Frame) -> None:
        """Take one frame in; frames that follow one another become one stretch."""
        self._rows += _rows(frame)
        size = sum(len(event.stdout) for event in frame.events)
        last_line = max(event.end_line for event in frame.events)
        stretches = self._stretches.setdefault((frame.job, frame.attempt), [])
        if stretches and stretches[-1].last + 1 == frame.first:
            before = stretches[-1]
            before.last, before.size = frame.last, before.size + size
            before.last_line = max(before.last_line, last_line)
        else:
            new = _Stretch(_day(frame), frame.first, frame.last, last_line, size)
            stretches.append(new)

    def flush(self) -> Iterator[Statement]:
        """Yield what was taken in, and start anew."""
        yield Rows(table="job_event", columns=_COLUMNS, rows=self._rows)
        for (job, attempt), stretches in self._stretches.items():
            for each in stretches:
                place = (job, attempt, each.first, each.last, each.last_line, each.size, each.day)
                ids = first_id(job, attempt), last_id(job, attempt)
                yield Run(sql=_PROGRESS, args=(*place, *ids))
        self._rows, self._stretches = [], {}


def first_id(job: int, attempt: int) -> int:
    """Return the smallest id that an event of this attempt can have."""
    return event_id(job, attempt, 0)


def last_id(job: int, attempt: int) -> int:
    """Return the largest id that an event of this attempt can have."""
    return event_id(job, attempt, COUNTER_MAX)


def _decode(message: RawMessage) -> Frame:
    try:
        frame = _decoder.decode(message.data)
        _day(frame)
        place = subjects.parse_attempt(message.subject)
    except (msgspec.DecodeError, ValueError) as error:
        raise Poison(message.sequence, str(error)) from error
    if (frame.job, frame.attempt) != (place.job, place.attempt):
        raise Poison(message.sequence, "the frame is of another attempt than its subject")
    counters = [event.counter for event in frame.events]
    if counters != list(range(frame.first, frame.last + 1)):
        raise Poison(message.sequence, "the frame's counters are not consecutive")
    if not frame.erased and not 1 <= frame.first <= frame.last <= COUNTER_MAX:
        raise Poison(message.sequence, "the frame is empty or its counters are out of range")
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


def _erased(frame: Frame) -> Iterator[Run]:
    place = frame.job, frame.attempt
    yield Run(
        sql="DELETE FROM job_event WHERE id BETWEEN $1 AND $2",
        args=(first_id(*place), last_id(*place)),
    )
    yield Run(sql="DELETE FROM job_output WHERE job = $1 AND attempt = $2", args=place)
