"""Counts for a landing page, of what the caller may see (``api.md`` 3.48; deprecated in AWX)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import visibility
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest
from controlplane.api.guards import LOGIN
from controlplane.api.role_routes import DEPRECATED
from controlplane.api.routing import routes
from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, Sql, Statement, Where
from controlplane.domain.access import Principal
from ops import clock

_ROOT = "/api/v2/dashboard"
_HOST_FAILED = 'exists (select 1 from "host_last_job" l where l."host" = {t}."id" and l."failed")'
_JOB_FAILED = (
    'exists (select 1 from "host" h join "host_last_job" l on l."host" = h."id"'
    ' where h."inventory" = {t}."id" and l."failed")'
)
_UPDATE_FAILED = (
    'exists (select 1 from "template_status" s where s."template" = {t}."id"'
    ' and s."last_job_failed")'
)
_HAS_SOURCE = 'exists (select 1 from "inventory_source" s where s."inventory" = {t}."id")'
_SOURCE_FAILED = (
    'exists (select 1 from "inventory_source" s join "template_status" u on u."template" = s."id"'
    ' where s."inventory" = {t}."id" and u."last_job_failed")'
)
_EC2 = "{t}.\"source\" = 'ec2'"
SCM_TYPES = (("git", "Git"), ("svn", "Subversion"), ("archive", "Remote Archive"))
COUNTED = ("user", "organization", "team", "credential", "job_template")
SOURCE = "inventory_source"

PERIODS: dict[str, tuple[relativedelta, timedelta]] = {
    "month": (relativedelta(months=1), timedelta(days=1)),
    "two_weeks": (relativedelta(days=14), timedelta(days=1)),
    "week": (relativedelta(days=7), timedelta(days=1)),
    "day": (relativedelta(days=1), timedelta(hours=1)),
}
"""Period to its length and the time between two points."""
JOB_TYPES = {"inv_sync": "inventory_update", "playbook_run": "job", "scm_update": "project_update"}
SHOWN = ("successful", "failed", "canceled", "error")


def dashboard_handlers() -> list[HTTPRouteHandler]:
    """Return the routes below ``/api/v2/dashboard/``."""
    return [
        *routes(_ROOT, {"GET": (LOGIN, show)}, "Dashboard"),
        *routes(f"{_ROOT}/graphs/jobs", {"GET": (LOGIN, show_jobs)}, "Dashboard Jobs Graphs"),
    ]


async def show(call: Call) -> Response[Any]:
    """Count what the caller may see, in one query."""
    counts = _Counts(call.who)
    for kind in ("inventory", "group", "host", "project", *COUNTED):
        counts.add(kind, kind)
    counts.add("inventory_with_source", "inventory", _HAS_SOURCE)
    counts.add("inventory_job_failed", "inventory", _JOB_FAILED)
    counts.add("inventory_source_failed", "inventory", _SOURCE_FAILED)
    counts.add("ec2", SOURCE, _EC2)
    counts.add("ec2_failed", SOURCE, _EC2, _UPDATE_FAILED)
    counts.add("host_failed", "host", _HOST_FAILED)
    counts.add("project_failed", "project", _UPDATE_FAILED)
    for scm, _label in SCM_TYPES:
        of_type = f"{{t}}.\"scm_type\" = '{scm}'"
        counts.add(scm, "project", of_type)
        counts.add(f"{scm}_failed", "project", of_type, _UPDATE_FAILED)
    async with call.read() as view:
        found = await view.row(counts.sql, *counts.args) or {}
    return answer(_body(dict(found)), 200, DEPRECATED)


async def show_jobs(call: Call) -> Response[Any]:
    """Count the jobs that ended in each day or hour of a period, by how they ended."""
    period = call.parameter("period") or "month"
    if period not in PERIODS:
        raise BadRequest({"error": f'Unknown period "{period}"'})
    length, step = PERIODS[period]
    unit = "hour" if step < timedelta(days=1) else "day"
    last = _floor(clock.now(), unit)
    first = last - length
    statement = Statement()
    where = statement.condition(_ended(call, first), "t")
    sql = (
        f'select date_trunc(\'{unit}\', t."finished", \'UTC\') as "at", t."status",'  # noqa: S608 - values are bound
        f' count(*) as "number" from {table_of("unified_job").source} t where {where} group by 1, 2'
    )
    async with call.read() as view:
        rows = await view.fetch(sql, *statement.args)
    numbers = {(row["at"], row["status"]): row["number"] for row in rows}
    points = list(_points(first, last, step))
    series = {
        status: [[at.timestamp(), numbers.get((at, status), 0)] for at in points]
        for status in SHOWN
    }
    return answer({"jobs": series}, 200, DEPRECATED)


class _Counts:
    """Many counts as one statement."""

    def __init__(self, who: Principal) -> None:
        self._who = who
        self._statement = Statement()
        self._columns: list[str] = []

    @property
    def sql(self) -> str:
        return f"select {', '.join(self._columns)}"

    @property
    def args(self) -> list[Any]:
        return self._statement.args

    def add(self, name: str, kind: str, *conditions: str) -> None:
        """Count the visible rows of a kind that meet the conditions."""
        parts: list[Where] = [visibility.visible(self._who, kind)]
        parts += [Sql(text=each) for each in conditions]
        where = self._statement.condition(AllOf(parts=tuple(parts)), "t")
        source = table_of(kind).source
        self._columns.append(f'(select count(*) from {source} t where {where}) as "{name}"')  # noqa: S608 - values are bound


def _body(found: dict[str, int]) -> dict[str, Any]:
    projects, hosts, sources = "/api/v2/projects/", "/api/v2/hosts/", "/api/v2/inventory_sources/"
    return {
        "related": {"jobs_graph": f"{_ROOT}/graphs/jobs/"},
        "inventories": {
            "url": "/api/v2/inventories/",
            "total": found["inventory"],
            "total_with_inventory_source": found["inventory_with_source"],
            "job_failed": found["inventory_job_failed"],
            "inventory_failed": found["inventory_source_failed"],
        },
        "inventory_sources": {
            "ec2": {
                "url": f"{sources}?source=ec2",
                "failures_url": f"{sources}?source=ec2&status=failed",
                "label": "Amazon EC2",
                "total": found["ec2"],
                "failed": found["ec2_failed"],
            }
        },
        "groups": {
            "url": "/api/v2/groups/",
            "total": found["group"],
            "inventory_failed": found["inventory_source_failed"],
        },
        "hosts": {
            "url": hosts,
            "failures_url": f"{hosts}?last_job_host_summary__failed=True",
            "total": found["host"],
            "failed": found["host_failed"],
        },
        "projects": {
            "url": projects,
            "failures_url": f"{projects}?last_job_failed=True",
            "total": found["project"],
            "failed": found["project_failed"],
        },
        "scm_types": {
            scm: {
                "url": f"{projects}?scm_type={scm}",
                "label": label,
                "failures_url": f"{projects}?scm_type={scm}&last_job_failed=True",
                "total": found[scm],
                "failed": found[f"{scm}_failed"],
            }
            for scm, label in SCM_TYPES
        },
        **{f"{kind}s": {"url": f"/api/v2/{kind}s/", "total": found[kind]} for kind in COUNTED},
    }


def _ended(call: Call, first: datetime) -> Where:
    parts: list[Where] = [
        visibility.visible(call.who, "unified_job"),
        Sql(text='{t}."finished" >= {0} and {t}."launch_type" <> \'sync\'', values=(first,)),
    ]
    kind = JOB_TYPES.get(call.parameter("job_type"))
    if kind is not None:
        parts.append(Sql(text='{t}."kind" = {0}', values=(kind,)))
    return AllOf(parts=tuple(parts))


def _floor(moment: datetime, unit: str) -> datetime:
    moment = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return moment if unit == "hour" else moment.replace(hour=0)


def _points(first: datetime, last: datetime, step: timedelta) -> Iterator[datetime]:
    while first <= last:
        yield first
        first += step
