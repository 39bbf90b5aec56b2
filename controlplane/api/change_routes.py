"""What was changed on a host, over all jobs: a ledger that is read from the events themselves."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import pagination
from controlplane.api.call import Call, answer
from controlplane.api.guards import needs
from controlplane.api.job_output import whole
from controlplane.api.job_render import launched_by, url_of
from controlplane.api.listing import Within, find
from controlplane.api.routing import routes
from controlplane.api.tables import Table, column, forward, register
from controlplane.api.where import Sql
from controlplane.domain.changes import change_of
from controlplane.shell.read_model import Row

KIND = "host_change"
_SOURCE = (
    '(select e.*, e."job" as "ad_hoc_command", j."kind" as "job_kind", j."name" as "job_name",'
    ' j."launch_type", j."launched_by", j."scm_revision", j."scm_branch",'
    ' j."job_template_id" as "job_template", j."project_id" as "project",'
    ' j."inventory_id" as "inventory"'
    ' from "job_event" e join "unified_job" j on j."id" = e."job" and j."job_type" <> \'check\''
    ' where e."changed" and e."host" is not null'
    " and e.\"event\" in ('runner_on_ok', 'runner_on_failed', 'runner_on_async_ok'))"
)
"""A loop is one result; what a check run would have changed is no change."""
_WITH_SHADOWS = (
    '({t}."host" = {0} or {t}."host" = any({1}::bigint[]) and {0}::bigint::text = coalesce('
    '(select s."host"::text from "job_host_summary" s'
    ' where s."job" = {t}."job" and s."constructed_host" = {t}."host" limit 1),'
    ' (select h."instance_id" from "host" h where h."id" = {t}."host")))'
)
"""In constructed inventories others stand for the host: for which, each job's recap says, and their
rows until there is one."""
_COLUMNS = (
    *(("id", "int"), ("counter", "int"), ("event", "str"), ("created", "str"), ("failed", "bool")),
    *(("play", "str"), ("task", "str"), ("role", "str"), ("playbook", "str"), ("host_name", "str")),
    *(("job_name", "str"), ("launch_type", "str"), ("scm_revision", "str"), ("scm_branch", "str")),
)
_REFERENCES = ("job", "ad_hoc_command", "host", "job_template", "project", "inventory")
_SHOWN = ("host", "host_name", "play", "task", "role", "playbook", "failed")


def change_handlers() -> list[HTTPRouteHandler]:
    """Return the route of the ledger."""
    register(
        Table(
            kind=KIND,
            source=_SOURCE,
            verbose="HostChange",
            columns={
                **{name: column(name, base) for name, base in _COLUMNS},
                **{name: column(name, "id") for name in _REFERENCES},
            },
            relations={name: forward(name, name) for name in _REFERENCES},
            order=("-job", "-counter", "-id"),
            search=("task", "role", "job_name"),
            wide=True,
        )
    )
    return routes(
        "/api/playlog/hosts/{key:str}/changes",
        {"GET": (needs("read", "host"), show_changes)},
        "Host Changes",
    )


async def show_changes(call: Call) -> Response[Any]:
    """Answer a page of a host's changes, the newest first, of jobs that the caller may see.

    Those of jobs on constructed inventories are among them.
    """
    async with call.read() as view:
        where = Sql(text='{t}."host" = {0}', values=(call.target.id,))
        shadows = [row["id"] for row in await view.named("shadows_of_host", call.target.id)]
        if shadows:
            where = Sql(text=_WITH_SHADOWS, values=(call.target.id, shadows))
        found = await find(call, view, KIND, Within(where=where))
    rows = [_shown(await whole(call, row)) for row in found.rows]
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, rows))


def _shown(row: Row) -> dict[str, Any]:
    change = change_of(msgspec.json.decode(row["event_data"]))
    return {
        "id": row["id"],
        "created": row["created"].replace("+00:00", "Z"),
        **{name: row[name] for name in _SHOWN},
        "action": change.action,
        "resolved_action": change.resolved_action,
        "diff": change.diff,
        "diff_truncated": change.diff_truncated,
        "censored": change.censored,
        "job": {
            "id": row["job"],
            "type": row["job_kind"],
            "name": row["job_name"],
            "url": url_of(row["job_kind"], row["job"]),
            "launch_type": row["launch_type"],
        },
        "launched_by": launched_by(row),
        "job_template": row["job_template"],
        "project": row["project"],
        "inventory": row["inventory"],
        "scm_revision": row["scm_revision"],
        "scm_branch": row["scm_branch"],
        "event": f"/api/v2/job_events/{row['id']}/" if row["job_kind"] == "job" else "",
    }
