"""Which hosts were ever automated, by name (``api.md`` 3.45), and their numbers by month."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import pagination
from controlplane.api.call import Call, answer, empty
from controlplane.api.flat_rows import FlatKind, describer, lister, row_of
from controlplane.api.guards import AUDIT, SUPERUSER
from controlplane.api.listing import find
from controlplane.api.routing import routes
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.shell.host_metric_commands import delete
from controlplane.shell.read_model import Row, View

METRIC = FlatKind(
    kind="host_metric",
    plural="host_metrics",
    verbose="HostMetric",
    source=(
        '(select m."id", m."hostname", m."first_automation", m."last_automation",'
        ' d."last_deleted", m."automated_counter",'
        ' coalesce(d."deleted_counter", 0) as "deleted_counter",'
        ' coalesce(d."last_deleted" >= m."last_automation", false) as "deleted"'
        ' from "host_metric" m left join "host_metric_deletion" d on d."hostname" = m."hostname")'
    ),
    fields={
        "hostname": "string",
        "first_automation": "datetime",
        "last_automation": "datetime",
        "last_deleted": "datetime",
        "automated_counter": "integer",
        "deleted_counter": "integer",
        "deleted": "boolean",
    },
    search=("hostname",),
)
_MONTHS = (
    "select generate_series(date_trunc('month', min(h.\"first_automation\"), 'UTC'), now(),"
    ' \'1 month\') as "at" from "host_metric" h'
)
_IN_MONTH = '{} >= m."at" and {} < m."at" + interval \'1 month\''
_ADDED, _GONE = (
    _IN_MONTH.replace("{}", 'h."first_automation"'),
    _IN_MONTH.replace("{}", 'd."last_deleted"'),
)
MONTH = FlatKind(
    kind="host_metric_summary_monthly",
    plural="host_metric_summary_monthly",
    verbose="HostMetricSummaryMonthly",
    source=(
        "(select to_char(m.\"at\" at time zone 'UTC', 'YYYYMM')::bigint as \"id\","  # noqa: S608 - written above
        " to_char(m.\"at\" at time zone 'UTC', 'YYYY-MM-DD') as \"date\","
        ' (select count(*) from "host_metric" h left join "host_metric_deletion" d'
        ' on d."hostname" = h."hostname" and d."last_deleted" >= h."last_automation"'
        ' where h."first_automation" < m."at" + interval \'1 month\' and'
        ' (d."hostname" is null or d."last_deleted" >= m."at" + interval \'1 month\'))'
        ' as "license_consumed",'
        ' 0::bigint as "license_capacity",'
        f' (select count(*) from "host_metric" h where {_ADDED}) as "hosts_added",'
        f' (select count(*) from "host_metric_deletion" d where {_GONE}) as "hosts_deleted",'
        f' 0::bigint as "indirectly_managed_hosts" from ({_MONTHS}) m)'
    ),
    fields={
        "date": "date",
        "license_consumed": "integer",
        "license_capacity": "integer",
        "hosts_added": "integer",
        "hosts_deleted": "integer",
        "indirectly_managed_hosts": "integer",
    },
    search=("date",),
    has_url=False,
)
METRIC.declare()
MONTH.declare()
_USED = (
    'select h."name", count(distinct h."inventory") as "number" from "host" h'
    ' where h."name" = any($1) group by h."name"'
)


def host_metric_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of host metrics and their summary."""
    path = "/api/v2/host_metrics"
    monthly = "/api/v2/host_metric_summary_monthly"
    return [
        *routes(path, {"GET": (AUDIT, show_all)}, (AUDIT, describer(METRIC))),
        *routes(
            f"{path}/{{key:str}}",
            {"GET": (AUDIT, show_one), "DELETE": (SUPERUSER, remove)},
            (AUDIT, describer(METRIC, detail=True)),
        ),
        *routes(monthly, {"GET": (AUDIT, lister(MONTH))}, (AUDIT, describer(MONTH))),
    ]


async def show_all(call: Call) -> Response[Any]:
    """List every name that a job ever ran on."""
    async with call.read() as view:
        found = await find(call, view, METRIC.kind, open_list=True)
        rows = await _shown(view, found.rows)
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, rows))


async def show_one(call: Call) -> Response[Any]:
    """Show one of them."""
    row = await row_of(METRIC, call)
    async with call.read() as view:
        return answer((await _shown(view, [row]))[0])


async def remove(call: Call) -> Response[Any]:
    """Say that a host is managed no longer: 204; it stays listed, as deleted."""
    row = await row_of(METRIC, call)
    appended = await submit(call, delete(row["id"], row["hostname"]))
    await caught_up(call, appended)
    return empty(204, position_header(appended))


async def _shown(view: View, rows: Sequence[Row]) -> list[dict[str, Any]]:
    names = [row["hostname"] for row in rows]
    used = {row["name"]: row["number"] for row in await view.fetch(_USED, names)}
    return [
        {**METRIC.shown(row), "used_in_inventories": used.get(row["hostname"], 0)} for row in rows
    ]
