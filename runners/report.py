"""The two reports of an attempt, built from its record and its journal (pure)."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from runners.journal import Final, PlaybookStats
from runners.record import Record
from runners.steps.inventory import Hosts
from runners.summary import Summary
from schemas.output import EMPTY_OBJECT, AttemptFinished, AttemptStarted, HostStats, Phase

_COUNTS = ("ok", "changed", "dark", "failures", "ignored", "processed", "rescued", "skipped")


def start_word(record: Record) -> str:
    """Return the supervisor's status that means that the job's work has begun."""
    return "running" if record.kind in ("job", "ad_hoc_command") else "starting"


def started(runner: str, summary: Summary) -> AttemptStarted | None:
    """Return the report of the start; None while the job has not started."""
    start = summary.start
    if start is None:
        return None
    return AttemptStarted(
        at=datetime.fromisoformat(start.created),
        runner=runner,
        job_args=start.job_args,
        job_cwd=start.job_cwd,
        job_env=start.job_env,
    )


class End(Struct, frozen=True, kw_only=True):
    """How an attempt ended and what of it stands in OUTPUT."""

    final: Final
    last_counter: int
    phases: tuple[Phase, ...]
    """Those between claim and start; the others follow from the record and the journal."""
    now: datetime


def finished(
    runner: str, record: Record, summary: Summary, hosts: Hosts, end: End
) -> AttemptFinished:
    """Return the report of the end."""
    final = end.final
    begun = datetime.fromisoformat(summary.start.created) if summary.start else None
    at = datetime.fromisoformat(final.created)
    phases = [*record.phases, *end.phases]
    if begun is not None:
        phases.append(Phase(name="run", started=begun, finished=at))
        phases.append(Phase(name="publish", started=at, finished=max(at, end.now)))
    return AttemptFinished(
        at=at,
        runner=runner,
        started=begun,
        kind=record.kind,
        status=final.status,
        rc=final.rc,
        explanation=final.explanation,
        traceback=final.traceback,
        last_counter=end.last_counter,
        stats=stats_of(summary.stats, hosts),
        artifacts=summary.stats.artifact_data if summary.stats else EMPTY_OBJECT,
        play_count=summary.plays,
        task_count=summary.tasks,
        phases=tuple(phases),
        revision=final.scm_revision,
        content=final.content_sha256,
        galaxy=final.galaxy_sha256,
        playbooks=final.playbooks,
        inventory_files=final.inventory_files,
    )


def stats_of(stats: PlaybookStats | None, hosts: Hosts) -> dict[str, HostStats]:
    """Return the recap by host name; on a constructed inventory it counts on the originals."""
    if stats is None:
        return {}
    by_count: dict[str, dict[str, int]] = {name: getattr(stats, name) for name in _COUNTS}
    names = sorted({host for counts in by_count.values() for host in counts})
    return {
        host: HostStats(
            host=hosts.counted.get(host),
            constructed_host=None if hosts.originals is None else hosts.ids.get(host),
            **{name: counts.get(host, 0) for name, counts in by_count.items()},
        )
        for host in names
    }
