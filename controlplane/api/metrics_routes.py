"""AWX's metrics of the read model, as Prometheus text or as JSON (``api.md`` 3.48)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from controlplane.api import negotiation
from controlplane.api.call import Call, answer
from controlplane.api.config_routes import LICENSE
from controlplane.api.edge import VERSION
from controlplane.api.guards import KEY, Permission
from controlplane.api.installation import install_uuid
from controlplane.api.routing import routes
from controlplane.shell.read_model import Row, View
from controlplane.shell.settings_store import SettingsStore

TEXT = "text/plain"
_READERS = {
    KEY: Permission(verb="audit", opened_by="ALLOW_METRICS_FOR_ANONYMOUS_USERS"),
}
_COUNTED = (
    ("organizations", "organization"),
    ("users", "user"),
    ("teams", "team"),
    ("inventories", "inventory"),
    ("projects", "project"),
    ("job_templates", "job_template"),
    ("workflow_job_templates", "workflow_job_template"),
    ("schedules", "schedule"),
)
_STATUSES = 'select "status", count(*) as "number" from "unified_job" group by 1 order by 1'
_BY_NODE = (
    'select "execution_node" as "node", "status", "launch_type", count(*) as "number"'
    ' from "unified_job" where "execution_node" <> \'\' group by 1, 2, 3 order by 1, 2, 3'
)
_INSTANCES = 'select t.* from "instance" t order by t."hostname"'
_CONNECTIONS = "select count(*) from pg_stat_activity where datname = current_database()"
RUNNING = ("running", "waiting")


class Sample(Struct, frozen=True):
    """One value under its labels."""

    labels: dict[str, str]
    value: float


class Metric(Struct, frozen=True):
    """One gauge; ``info`` metrics are gauges of 1 that carry labels."""

    name: str
    help_text: str
    samples: list[Sample]


def metrics_handlers() -> list[HTTPRouteHandler]:
    """Return the route of the metrics, which writes text or JSON itself."""
    opt = negotiation.rendering(_READERS, TEXT, negotiation.JSON, negotiation.HTML)
    return routes("/api/v2/metrics", {"GET": (opt, show)}, "Metrics")


async def show(call: Call) -> Response[Any]:
    """Show the metrics; ``subsystemonly`` leaves none, for the subsystems of AWX are not here."""
    found: list[Metric] = []
    if call.parameter("subsystemonly") in ("", "0"):
        async with call.read() as view:
            found = await _metrics(call.services.settings_store, view)
    names = [value for name, value in call.pairs if name == "metric" and value]
    if names:
        found = [each for each in found if each.name in names]
    if _wants_json(call):
        return answer({each.name: _as_json(each) for each in found})
    return Response(
        content="".join(map(_as_text, found)).encode(),
        status_code=200,
        media_type="text/plain",
    )


def _wants_json(call: Call) -> bool:
    """Return whether JSON is asked for: by ``format``, or by accepting nothing sooner."""
    named = call.parameter("format")
    if named:
        return named == "json"
    accept = call.request.headers.get("accept", "")
    return negotiation.accepted(accept, (TEXT, negotiation.JSON)) == negotiation.JSON


async def _metrics(settings: SettingsStore, view: View) -> list[Metric]:
    totals = await view.row(_totals()) or {}
    statuses = {row["status"]: row["number"] for row in await view.fetch(_STATUSES)}
    instances = await view.fetch(_INSTANCES)
    loads = await view.named("instance_loads", [row["hostname"] for row in instances])
    jobs = await view.fetch(_BY_NODE)
    labels = _system_labels(settings, await install_uuid(view))
    return [
        _one("awx_system_info", "The system as a whole", labels=labels),
        *(
            _one(f"awx_{name}_total", f"Number of {name.replace('_', ' ')}", totals[name])
            for name, _kind in _COUNTED
        ),
        Metric(
            "awx_hosts_total",
            "Number of hosts",
            [
                Sample({"type": "all"}, totals["hosts"]),
                Sample({"type": "active"}, totals["active_hosts"]),
            ],
        ),
        _one(
            "awx_running_jobs_total",
            "Number of jobs that run or are about to",
            sum(statuses.get(each, 0) for each in RUNNING),
        ),
        _one("awx_pending_jobs_total", "Number of jobs that wait", statuses.get("pending", 0)),
        Metric(
            "awx_status_total",
            "Number of jobs in each status",
            [Sample({"status": name}, number) for name, number in statuses.items()],
        ),
        *_of_instances(instances, {row["node"]: row for row in loads}),
        *_of_nodes(jobs, {row["hostname"] for row in instances}),
        _one("awx_license_instance_total", "Managed hosts that the licence allows", 0),
        _one("awx_license_instance_free", "Managed hosts that the licence has left", 0),
        _one(
            "awx_database_connections_total",
            "Connections to the database",
            await view.value(_CONNECTIONS),
        ),
    ]


def _totals() -> str:
    """Return the query that counts everything."""
    counts = [f'(select count(*) from "{kind}") as "{name}"' for name, kind in _COUNTED]  # noqa: S608 - declared kinds
    hosts = '(select count(*) from "host") as "hosts"'
    active = '(select count(*) from "host" where "enabled") as "active_hosts"'
    return f"select {', '.join((*counts, hosts, active))}"


def _one(name: str, text: str, value: float = 1, labels: dict[str, str] | None = None) -> Metric:
    return Metric(name, text, [Sample(labels or {}, value)])


def _system_labels(settings: SettingsStore, installed: str) -> dict[str, str]:
    return {
        "install_uuid": installed,
        "insights_analytics": str(settings.flag("INSIGHTS_TRACKING_STATE")),
        "tower_url_base": settings.text("TOWER_URL_BASE"),
        "tower_version": VERSION,
        "license_type": str(LICENSE["license_type"]),
        "pendo_tracking": settings.text("PENDO_TRACKING_STATE"),
        "external_logger_enabled": str(settings.flag("LOG_AGGREGATOR_ENABLED")),
        "external_logger_type": settings.text("LOG_AGGREGATOR_TYPE") or "None",
    }


def _of_instances(instances: Sequence[Row], loads: dict[str, Row]) -> Iterable[Metric]:
    values = (
        ("capacity", "Capacity of each instance in forks", "capacity"),
        ("cpu", "Processors of each instance", "cpu"),
        ("memory", "Memory of each instance in bytes", "memory"),
    )
    for name, text, column in values:
        samples = [Sample(_label(row), row[column]) for row in instances]
        yield Metric(f"awx_instance_{name}", text, samples)
    consumed = {
        row["hostname"]: float(loads.get(row["hostname"], {}).get("consumed") or 0)
        for row in instances
    }
    yield Metric(
        "awx_instance_consumed_capacity",
        "Capacity of each instance in use",
        [Sample(_label(row), consumed[row["hostname"]]) for row in instances],
    )
    yield Metric(
        "awx_instance_remaining_capacity",
        "Capacity of each instance that is free",
        [Sample(_label(row), row["capacity"] - consumed[row["hostname"]]) for row in instances],
    )
    yield Metric(
        "awx_instance_info",
        "What each instance is",
        [
            Sample(
                {
                    **_label(row),
                    "enabled": str(row["enabled"]),
                    "managed_by_policy": str(row["managed_by_policy"]),
                    "version": row["version"],
                },
                1,
            )
            for row in instances
        ],
    )


def _of_nodes(jobs: Sequence[Row], nodes: set[str]) -> Iterable[Metric]:
    for column, text in (
        ("launch_type", "Number of jobs of each instance by how they were launched"),
        ("status", "Number of jobs of each instance in each status"),
    ):
        sums: dict[tuple[str, str], int] = {}
        for row in jobs:
            if row["node"] in nodes:
                key = (row["node"], row[column])
                sums[key] = sums.get(key, 0) + row["number"]
        yield Metric(
            f"awx_instance_{column}_total",
            text,
            [Sample({"node": node, column: word}, number) for (node, word), number in sums.items()],
        )


def _label(instance: Row) -> dict[str, str]:
    return {"hostname": instance["hostname"], "instance_uuid": instance["uuid"]}


def _as_json(metric: Metric) -> dict[str, Any]:
    samples = [{"labels": each.labels, "value": float(each.value)} for each in metric.samples]
    return {"help_text": metric.help_text, "type": "gauge", "samples": samples}


def _as_text(metric: Metric) -> str:
    lines = [f"# HELP {metric.name} {metric.help_text}", f"# TYPE {metric.name} gauge"]
    for sample in metric.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        braced = f"{{{labels}}}" if labels else ""
        lines.append(f"{metric.name}{braced} {float(sample.value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
