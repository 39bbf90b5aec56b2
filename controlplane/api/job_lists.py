"""Lists and details of unified jobs: one page's rows with all that they show, in a few queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options, pagination, shown_options, visibility
from controlplane.api.call import Call, answer
from controlplane.api.guards import LOGIN, needs
from controlplane.api.job_render import JobExtras, elapsed_of, render_job
from controlplane.api.listing import Within, find
from controlplane.api.resource_routes import page_of
from controlplane.api.routing import Endpoint, routes
from controlplane.api.tables import table_of
from controlplane.api.where import AllOf, Sql
from controlplane.domain import access
from controlplane.domain.access import Principal
from controlplane.domain.facts import decoded
from controlplane.shell.launch_lookups import asked_by
from controlplane.shell.read_model import Row, View
from ops import clock
from schemas.resource import RESOURCES
from schemas.status import JobKind

SUBLISTS = (
    ("job_template", "job_templates", "jobs", "job", '{t}."job_template_id" = {0}'),
    (
        "project",
        "projects",
        "project_updates",
        "project_update",
        '{t}."project_id" = {0}',
    ),
    (
        "inventory_source",
        "inventory_sources",
        "inventory_updates",
        "inventory_update",
        '{t}."unified_job_template_id" = {0}',
    ),
    (
        "project_update",
        "project_updates",
        "scm_inventory_updates",
        "inventory_update",
        '{t}."source_project_update_id" = {0}',
    ),
    ("schedule", "schedules", "jobs", "unified_job", '{t}."schedule_id" = {0}'),
    (
        "system_job_template",
        "system_job_templates",
        "jobs",
        "system_job",
        '{t}."system_job_template_id" = {0}',
    ),
    (
        "workflow_job_template",
        "workflow_job_templates",
        "workflow_jobs",
        "workflow_job",
        '{t}."workflow_job_template_id" = {0}',
    ),
    (
        "workflow_approval_template",
        "workflow_approval_templates",
        "approvals",
        "workflow_approval",
        '{t}."workflow_approval_template_id" = {0}',
    ),
    (
        "instance_group",
        "instance_groups",
        "jobs",
        "unified_job",
        '{t}."instance_group_id" = {0}',
    ),
    (
        "instance",
        "instances",
        "jobs",
        "unified_job",
        '{t}."execution_node" = (select i."hostname" from "instance" i where i."id" = {0})',
    ),
)
"""(kind above, its plural, path, kind listed, condition on the listed row)."""
USED = (("credentials", "credential"), ("labels", "label"))
"""(path below a job, kind listed): what the job was launched with."""


def job_list_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of lists and details of unified jobs."""
    handlers: list[HTTPRouteHandler] = []
    for kind, plural in (
        ("job", "jobs"),
        ("project_update", "project_updates"),
        ("system_job", "system_jobs"),
        ("inventory_update", "inventory_updates"),
        ("workflow_job", "workflow_jobs"),
        ("workflow_approval", "workflow_approvals"),
    ):
        handlers += routes(
            f"/api/v2/{plural}",
            {"GET": (LOGIN, list_of(kind))},
            (LOGIN, describe_list(kind)),
        )
    handlers += routes(
        "/api/v2/unified_jobs",
        {"GET": (LOGIN, list_of("unified_job"))},
        (LOGIN, describe_list("unified_job")),
    )
    for above, plural, name, kind, condition in SUBLISTS:
        opt = needs("read", above)
        handlers += routes(
            f"/api/v2/{plural}/{{key:str}}/{name}",
            {"GET": (opt, list_of(kind, condition))},
            (opt, describe_list(kind)),
        )
    for name, kind in USED:
        handlers += used_handlers("jobs", "job", name, kind)
    return handlers


def used_handlers(plural: str, of: str, name: str, kind: str) -> list[HTTPRouteHandler]:
    """Return the routes of what jobs of a kind were launched with."""
    opt = needs("read", of)
    condition = f'{{t}}."id" = any((select j."{name}" from "unified_job" j where j."id" = {{0}})'  # noqa: S608 - names from above

    async def show(call: Call) -> Response[Any]:
        where = Sql(text=f"{condition}::bigint[])", values=(call.target.id,))
        return await page_of(call, kind, Within(where=where))

    async def describe(_call: Call) -> Response[Any]:
        return answer(options.of_list(RESOURCES[kind], create=False))

    return routes(f"/api/v2/{plural}/{{key:str}}/{name}", {"GET": (opt, show)}, (opt, describe))


async def show_job(call: Call) -> Response[Any]:
    """Answer one unified job."""
    async with call.read() as view:
        return answer(await job_body(call.who, view, call.target.kind, call.target.id))


async def job_body(who: Principal, view: View, kind: str, number: int) -> dict[str, Any]:
    """Return the detail of a unified job that exists."""
    sql = (
        f"select t.*{visibility.fact_columns(kind)}"  # noqa: S608 - names from declarations
        f' from {table_of(kind).source} t where t."id" = $1'
    )
    row = await view.row(sql, number)
    if row is None:
        raise LookupError(number)
    extras = await extras_of(who, view, [row], detail=True)
    return render_job(row, extras, detail=True)


async def extras_of(
    who: Principal, view: View, rows: Sequence[Row], *, detail: bool = False
) -> JobExtras:
    """Look up what a page of jobs shows besides its rows, in a fixed number of queries."""
    ids = [row["id"] for row in rows]
    processed = await view.named("jobs_processed", ids) if detail else []
    set_aside = await view.named("dead_letters_of", ids) if detail else []
    own = [row["id"] for row in rows if row["kind"] == JobKind.SYSTEM_JOB]
    facts = {row["id"]: (row["kind"], _facts(row)) for row in rows}
    used = await _credentials(view, rows)
    return JobExtras(
        names=await _names(view, rows),
        credentials={
            row["id"]: [_brief(used[each]) for each in row["credentials"] if each in used]
            for row in rows
        },
        asks={
            row["id"]: [ask for each in row["credentials"] for ask in _asks(used.get(each))]
            for row in rows
        },
        labels=await _labels(view, rows),
        results={row["job"]: row for row in await view.named("job_results", ids)},
        outputs={row["job"]: row["text"] for row in await view.of_ids("system_job_output", own)},
        processed=frozenset(row["id"] for row in processed),
        set_aside={row["job"]: row["reason"] for row in set_aside},
        startable=frozenset(
            number for number, (kind, each) in facts.items() if access.may(who, "start", kind, each)
        ),
        deletable=frozenset(
            number
            for number, (kind, each) in facts.items()
            if access.may(who, "delete", kind, each)
        ),
    )


def _facts(row: Row) -> access.Facts:
    ids: dict[tuple[str, ...], int | None] = {
        (): row["id"],
        ("job_template",): row["job_template_id"],
        ("organization",): row["organization_id"],
        ("project",): row["project_id"],
    }
    ids |= {
        tuple(name[1:].split(".")): value for name, value in row.items() if name.startswith("@")
    }
    return access.Facts(ids=ids)


def list_of(kind: str, condition: str = "") -> Endpoint:
    """Return the endpoint of a list of jobs; ``{0}`` in the condition is the object above."""

    async def show(call: Call) -> Response[Any]:
        return answer(await job_page(call, kind, below(call, condition)))

    return show


def below(call: Call, condition: str) -> Within | None:
    """Return what a list is narrowed to by a condition on the object above; empty: by nothing."""
    return Within(where=Sql(text=condition, values=(call.target.id,))) if condition else None


async def job_page(call: Call, kind: str, within: Within | None) -> dict[str, Any]:
    """Return the page of jobs that a request asks for; dry runs are no runs."""
    if kind in ("job", "unified_job"):
        runs = Sql(text='not {t}."dry_run"')
        within = Within(where=runs if within is None else AllOf(parts=(within.where, runs)))
    async with call.read() as view:
        found = await find(call, view, kind, within)
        extras = await extras_of(call.who, view, found.rows)
    rendered = [render_job(row, extras, detail=False) for row in found.rows]
    return pagination.envelope(found.page, call.path, call.pairs, found.count, rendered)


def describe_list(kind: str) -> Endpoint:
    """Return the OPTIONS of a list of jobs, events or host summaries."""

    async def describe(_call: Call) -> Response[Any]:
        return answer(shown_options.of_list(kind))

    return describe


def describe_one(kind: str) -> Endpoint:
    """Return the OPTIONS of one job, event or host summary."""

    async def describe(_call: Call) -> Response[Any]:
        return answer(shown_options.of_detail(kind))

    return describe


async def _names(view: View, rows: Sequence[Row]) -> dict[tuple[str, int], dict[str, Any]]:
    def ids(*columns: str) -> list[int]:
        return sorted({row[each] for row in rows for each in columns if row[each] is not None})

    found: dict[tuple[str, int], dict[str, Any]] = {}
    plain = await view.named(
        "names_of",
        ids("organization_id"),
        ids("execution_environment_id"),
        ids("job_template_id"),
        ids("instance_group_id"),
        ids("unified_job_template_id"),
    )
    for row in plain:
        shown = {"id": row["id"], "name": row["name"]}
        if row["kind"] == "instance_group":
            shown["is_container_group"] = False
        else:
            shown["description"] = row["description"]
        found[row["kind"], row["id"]] = shown
    for row in await view.of_ids("inventories_of", ids("inventory_id")):
        values = dict(row)
        values["organization_id"] = values.pop("organization")
        found["inventory", row["id"]] = values
    for row in await view.of_ids("projects_of", ids("project_id", "source_project_id")):
        found["project", row["id"]] = dict(row)
    for row in await view.of_ids("inventory_sources_of", ids("unified_job_template_id")):
        found["inventory_source", row["id"]] = dict(row)
    for row in await view.of_ids("workflow_jobs_of", ids("id") if ids("workflow_job_id") else []):
        found["source_workflow_job", row["id"]] = {
            "id": row["workflow_job_id"],
            **{name: row[name] for name in ("name", "description", "status", "failed")},
            "elapsed": elapsed_of(row, clock.now()),
            "type": "workflow_job",
        }
    for row in await view.of_ids("users_of", ids("created_by")):
        found["user", row["id"]] = dict(row)
    for row in await view.of_ids("credentials_of", ids("credential_id", "webhook_credential_id")):
        found["credential", row["id"]] = _credential(row)
    return found


async def _credentials(view: View, rows: Sequence[Row]) -> dict[int, Row]:
    found = await view.of_ids("credentials_of", _all(rows, "credentials"))
    return {row["id"]: row for row in found}


async def _labels(view: View, rows: Sequence[Row]) -> dict[int, list[dict[str, Any]]]:
    known = {row["id"]: row for row in await view.of_ids("labels_of", _all(rows, "labels"))}
    return {
        row["id"]: [dict(known[each]) for each in row["labels"] if each in known] for row in rows
    }


def _all(rows: Iterable[Row], column: str) -> list[int]:
    return sorted({each for row in rows for each in row[column]})


def _credential(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in row.keys() if name != "inputs"}  # noqa: SIM118 - a Record


def _brief(row: Row) -> dict[str, Any]:
    shown = {name: row[name] for name in ("id", "name", "description", "kind", "cloud")}
    if row["kind"] == "vault":
        shown["vault_id"] = decoded(row["inputs"]).get("vault_id") or None
    return shown


def _asks(row: Row | None) -> tuple[str, ...]:
    """Return the passwords that a credential asks for; one that is gone asks for none."""
    return () if row is None else asked_by(row["kind"] or "", decoded(row["inputs"]))
