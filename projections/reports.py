"""The projection ``reports``: results of attempts, recaps by host, each host's last job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from projections import host_metrics
from projections.projection import Poison, RawMessage, Run, Statement
from schemas import subjects
from schemas.envelope import Recorded
from schemas.events.host_metric import metric_id
from schemas.output import (
    AttemptErased,
    AttemptFinished,
    AttemptStarted,
    HostStats,
    StoredReport,
)

_DDL = (
    (
        "CREATE TABLE job_result (job bigint NOT NULL, attempt integer NOT NULL,"
        " job_args text NOT NULL DEFAULT '', job_cwd text NOT NULL DEFAULT '',"
        " job_env text NOT NULL DEFAULT '{}', artifacts text NOT NULL DEFAULT '{}',"
        " host_status_counts text, play_count integer NOT NULL DEFAULT 0,"
        " task_count integer NOT NULL DEFAULT 0, phases text NOT NULL DEFAULT '[]',"
        " last_counter bigint, reported boolean NOT NULL DEFAULT false,"
        " PRIMARY KEY (job, attempt))"
    ),
    (
        "CREATE TABLE job_host_summary (id bigint PRIMARY KEY, job bigint NOT NULL,"
        " attempt integer NOT NULL, host bigint, constructed_host bigint,"
        " host_name text NOT NULL,"
        " changed integer NOT NULL, dark integer NOT NULL, failures integer NOT NULL,"
        " ok integer NOT NULL, processed integer NOT NULL, skipped integer NOT NULL,"
        " failed boolean NOT NULL, ignored integer NOT NULL, rescued integer NOT NULL,"
        " created timestamptz NOT NULL)"
    ),
    "CREATE INDEX ON job_host_summary (job, id)",
    "CREATE INDEX ON job_host_summary (host, id)",
    ("CREATE INDEX ON job_host_summary (constructed_host, id) WHERE constructed_host IS NOT NULL"),
    (
        "CREATE TABLE host_last_job (host bigint PRIMARY KEY, job bigint NOT NULL,"
        " summary bigint NOT NULL, failed boolean NOT NULL)"
    ),
    *host_metrics.COUNT_DDL,
)
_SUMMARIES = """
INSERT INTO job_host_summary
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[],
    $6::text[], $7::integer[], $8::integer[], $9::integer[], $10::integer[], $11::integer[],
    $12::integer[], $13::boolean[], $14::integer[], $15::integer[], $16::timestamptz[])
ON CONFLICT (id) DO NOTHING
"""
_LAST = """
INSERT INTO host_last_job
SELECT n.host, s.job, s.id, s.failed FROM (
    SELECT w.host, max(w.id) AS id FROM (
        SELECT host, id FROM job_host_summary WHERE job = $1 AND attempt = $2
        UNION ALL
        SELECT constructed_host, id FROM job_host_summary WHERE job = $1 AND attempt = $2
    ) AS w
    WHERE w.host IS NOT NULL GROUP BY w.host
) AS n
JOIN job_host_summary AS s ON s.id = n.id
WHERE true
ON CONFLICT (host) DO UPDATE
SET job = excluded.job, summary = excluded.summary, failed = excluded.failed
WHERE host_last_job.job <= excluded.job
"""
_ERASE = (
    """
    UPDATE host_last_job AS h SET job = s.job, summary = s.id, failed = s.failed
    FROM (
        SELECT DISTINCT ON (host) host, job, id, failed FROM (
            SELECT l.host, r.job, r.id, r.failed FROM host_last_job AS l
            JOIN job_host_summary AS r ON r.host = l.host OR r.constructed_host = l.host
            WHERE l.job = $1 AND r.job <> $1
        ) AS b
        ORDER BY host, job DESC, id DESC
    ) AS s
    WHERE h.host = s.host AND h.job = $1
    """,
    "DELETE FROM host_last_job WHERE job = $1",
    "DELETE FROM job_host_summary WHERE job = $1",
    "DELETE FROM job_result WHERE job = $1",
)
_CLASSES = ("skipped", "ok", "changed", "failures", "dark")
"""From best to worst: a host counts once, by its worst class (AWX 6.1)."""
_decoder = msgspec.json.Decoder(StoredReport)


class Reports:
    """The projection of REPORTS; see the module."""

    name = "reports"
    stream = "REPORTS"
    enveloped = False
    version = 3

    def ddl(self) -> Sequence[str]:
        """Return the statements that make its tables and indexes."""
        return _DDL

    def tables(self) -> Sequence[str]:
        """Return its table names."""
        return ("job_result", "job_host_summary", "host_last_job", "host_metric")

    def apply(self, messages: Sequence[Recorded] | Sequence[RawMessage]) -> Iterable[Statement]:
        """Return the statements of a batch of reports; raises Poison for one it cannot read."""
        for message in messages:
            if isinstance(message, RawMessage):
                yield from _of_message(message)


def _of_message(message: RawMessage) -> Iterator[Statement]:
    try:
        report = _decoder.decode(message.data).report
        place = subjects.parse_attempt(message.subject)
    except (msgspec.DecodeError, ValueError) as error:
        raise Poison(message.sequence, str(error)) from error
    match report:
        case AttemptStarted():
            yield Run(
                sql=(
                    "INSERT INTO job_result (job, attempt, job_args, job_cwd, job_env)"
                    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (job, attempt) DO UPDATE"
                    " SET job_args = $3, job_cwd = $4, job_env = $5"
                ),
                args=(
                    place.job,
                    place.attempt,
                    _text(report.job_args),
                    report.job_cwd,
                    _text(report.job_env),
                ),
            )
        case AttemptFinished():
            yield from _finished(place, report)
        case AttemptErased():
            yield from _erased(place.job)
        case None:
            raise Poison(message.sequence, "a report without content")


def _erased(job: int) -> Iterator[Statement]:
    """Take a deleted job's results out; its hosts' last job is the one before it again."""
    for statement in (*host_metrics.SUBTRACT, *_ERASE):
        yield Run(sql=statement, args=(job,))


def _finished(place: subjects.Attempt, report: AttemptFinished) -> Iterator[Statement]:
    counts = _text(status_counts(report.stats)) if report.stats else None
    yield Run(
        sql=(
            "INSERT INTO job_result (job, attempt, artifacts, host_status_counts, play_count,"
            " task_count, phases, last_counter, reported)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, true)"
            " ON CONFLICT (job, attempt) DO UPDATE SET artifacts = $3, host_status_counts = $4,"
            " play_count = $5, task_count = $6, phases = $7, last_counter = $8, reported = true"
        ),
        args=(
            place.job,
            place.attempt,
            bytes(report.artifacts).decode(),
            counts,
            report.play_count,
            report.task_count,
            _text(report.phases),
            report.last_counter,
        ),
    )
    if report.stats and report.kind == "job":
        names = sorted(report.stats)
        numbers = [metric_id(each) for each in names]
        first = _summary_id(place, 1)
        yield Run(sql=host_metrics.ADD, args=(names, numbers, report.at, place.job, first))
        yield Run(sql=_SUMMARIES, args=_summary_columns(place, report))
        yield Run(sql=_LAST, args=(place.job, place.attempt))


def _summary_columns(place: subjects.Attempt, report: AttemptFinished) -> tuple[list[object], ...]:
    rows = [
        (
            _summary_id(place, number),
            place.job,
            place.attempt,
            stats.host,
            stats.constructed_host,
            name,
            stats.changed,
            stats.dark,
            stats.failures,
            stats.ok,
            stats.processed,
            stats.skipped,
            bool(stats.dark or stats.failures),
            stats.ignored,
            stats.rescued,
            report.at,
        )
        for number, (name, stats) in enumerate(sorted(report.stats.items()), 1)
    ]
    return tuple([list(column) for column in zip(*rows, strict=True)])


def _summary_id(place: subjects.Attempt, number: int) -> int:
    return (place.attempt - 1) << 49 | place.job << 24 | number


def status_counts(stats: dict[str, HostStats]) -> dict[str, int]:
    """Return how many hosts stand in each class, each host once by its worst one."""
    counts: dict[str, int] = {}
    for host in stats.values():
        worst = next((name for name in reversed(_CLASSES) if getattr(host, name)), "skipped")
        counts[worst] = counts.get(worst, 0) + 1
    return counts


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
