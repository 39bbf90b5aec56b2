"""Nodes of workflow jobs, so far those of sliced runs (``api.md`` 3.28)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options, pagination
from controlplane.api.call import Call, answer
from controlplane.api.errors import Missing
from controlplane.api.guards import LOGIN, needs
from controlplane.api.job_lists import below, describe_list, describe_one
from controlplane.api.job_render import elapsed_of, time_of, url_of
from controlplane.api.listing import Within, find
from controlplane.api.resource_routes import page_of
from controlplane.api.routing import Endpoint, Methods, routes
from controlplane.api.tables import table_of
from controlplane.api.unrun_routes import NO_WORKFLOWS, refuses
from controlplane.api.where import Sql
from controlplane.shell.read_model import Row, View
from ops import clock
from schemas.resource import RESOURCES

KIND = "workflow_job_node"
_EDGES = ("success_nodes", "failure_nodes", "always_nodes")
_GIVEN = {"credentials": "credential", "labels": "label", "instance_groups": "instance_group"}
_PROMPTS = (
    *("inventory", "scm_branch", "job_type", "job_tags", "skip_tags", "limit", "diff_mode"),
    *("verbosity", "execution_environment", "forks", "job_slice_count", "timeout"),
)
_NONE = Within(where=Sql(text="false", values=()))


def node_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of nodes and of what stands below them."""
    described = describe_list(KIND)
    handlers = routes("/api/v2/workflow_job_nodes", {"GET": (LOGIN, _listed())}, (LOGIN, described))
    above = needs("read", "workflow_job")
    handlers += routes(
        "/api/v2/workflow_jobs/{key:str}/workflow_nodes",
        {"GET": (above, _listed('{t}."workflow_job" = {0}'))},
        (above, described),
    )
    read = needs("read", KIND)
    base = "/api/v2/workflow_job_nodes/{key:str}"
    missing = needs("read", KIND, missing=True)
    handlers += routes(base, {"GET": (read, show_node)}, (missing, describe_one(KIND)))
    for name in _EDGES:
        nodes = _listed("{0}::bigint is null")
        handlers += routes(f"{base}/{name}", {"GET": (read, nodes)}, (read, described))
    for name, kind in _GIVEN.items():
        methods: Methods = {"GET": (read, _none_of(kind))}
        if name == "instance_groups":
            methods["POST"] = (read, refuses(NO_WORKFLOWS))
        handlers += routes(f"{base}/{name}", methods, (read, _described(kind)))
    return handlers


def _listed(condition: str = "") -> Endpoint:
    async def show(call: Call) -> Response[Any]:
        async with call.read() as view:
            found = await find(call, view, KIND, below(call, condition))
            rows = await _rendered(view, found.rows)
        return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, rows))

    return show


async def show_node(call: Call) -> Response[Any]:
    """Answer one node."""
    async with call.read() as view:
        source = table_of(KIND).source
        row = await view.row(f'select t.* from {source} t where t."id" = $1', call.target.id)  # noqa: S608 - a table of the program's
        if row is None:
            raise Missing(table_of(KIND).verbose)
        rendered = await _rendered(view, [row])
    return answer(rendered[0])


def _none_of(kind: str) -> Endpoint:
    """Return the list of what a node was given for its job: a slice's has nothing of its own."""

    async def show(call: Call) -> Response[Any]:
        return await page_of(call, kind, _NONE)

    return show


def _described(kind: str) -> Endpoint:
    async def describe(_call: Call) -> Response[Any]:
        return answer(options.of_list(RESOURCES[kind], create=False))

    return describe


async def _rendered(view: View, rows: Sequence[Row]) -> list[dict[str, Any]]:
    jobs = sorted({row[name] for row in rows for name in ("job", "workflow_job") if row[name]})
    templates = sorted({row["unified_job_template"] for row in rows} - {None})
    known = {row["id"]: row for row in await view.of_ids("jobs_of_nodes", jobs)}
    named = {row["id"]: row for row in await view.of_ids("templates_of_nodes", templates)}
    return [_node(row, known, named) for row in rows]


def _node(row: Row, jobs: Mapping[int, Row], templates: Mapping[int, Row]) -> dict[str, Any]:
    url = f"/api/v2/workflow_job_nodes/{row['id']}/"
    related = {name: f"{url}{name}/" for name in (*_GIVEN, *_EDGES)}
    summary: dict[str, Any] = {}
    template = templates.get(row["unified_job_template"])
    if template is not None:
        related["unified_job_template"] = f"/api/v2/job_templates/{template['id']}/"
        summary["unified_job_template"] = {**dict(template), "unified_job_type": "job"}
    job, above = jobs.get(row["job"]), jobs.get(row["workflow_job"])
    if job is not None:
        related["job"] = url_of(job["kind"], job["id"])
        summary["job"] = {
            **{name: job[name] for name in ("id", "name", "description", "status", "failed")},
            "elapsed": elapsed_of(job, clock.now()),
            "type": job["kind"],
        }
    if above is not None:
        related["workflow_job"] = url_of(above["kind"], above["id"])
        summary["workflow_job"] = {name: above[name] for name in ("id", "name", "description")}
    return {
        "id": row["id"],
        "type": KIND,
        "url": url,
        "related": related,
        "summary_fields": summary,
        "created": time_of(row["created"]),
        "modified": time_of(row["modified"]),
        "extra_data": {},
        **dict.fromkeys(_PROMPTS),
        "job": row["job"],
        "workflow_job": row["workflow_job"],
        "unified_job_template": row["unified_job_template"],
        **{name: [] for name in _EDGES},
        "all_parents_must_converge": False,
        "do_not_run": row["do_not_run"],
        "identifier": "",
    }
