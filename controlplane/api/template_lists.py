"""The list of everything that can be launched, each row as its own kind shows it (AWX 3.44)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import listing, options, pagination, render, visibility
from controlplane.api.call import Call, answer
from controlplane.api.guards import LOGIN, needs
from controlplane.api.routing import routes
from controlplane.api.tables import table_of
from controlplane.api.where import Sql, Where
from controlplane.domain.access import Principal
from controlplane.shell.read_model import Row, View
from schemas.resource import RESOURCES, members

FAMILY = "unified_job_template"
FIELD = "execution_environment"
LISTED = Sql(text="{t}.\"kind\" <> 'workflow_approval_template'")
"""An approval is known by its node alone."""


def template_list_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of the list of unified job templates."""
    using = needs("read", "execution_environment")
    return [
        *routes("/api/v2/unified_job_templates", {"GET": (LOGIN, show)}, (LOGIN, describe)),
        *routes(
            "/api/v2/execution_environments/{key:str}/unified_job_templates",
            {"GET": (using, show_using)},
            (using, describe),
        ),
    ]


async def show(call: Call) -> Response[Any]:
    """Answer one page of the templates that the caller may see."""
    return await _page(call, LISTED)


async def show_using(call: Call) -> Response[Any]:
    """Answer one page of the templates that run in an execution environment."""
    users = " union all ".join(
        f'select u."id" from "{kind}" u where u."{FIELD}" = {{0}}'  # noqa: S608 - names from declarations
        for kind in members(FAMILY)
        if FIELD in RESOURCES[kind].fields
    )
    return await _page(call, Sql(text=f'{{t}}."id" in ({users})', values=(call.target.id,)))


async def _page(call: Call, where: Where) -> Response[Any]:
    async with call.read() as view:
        found = await listing.find(call, view, FAMILY, listing.Within(where=where))
        results = await _rendered(view, call.who, found.rows)
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, results))


async def describe(_call: Call) -> Response[Any]:
    """Answer what the list can be searched by."""
    table = table_of(FAMILY)
    return answer(
        {
            **options.plain("Unified Job Template List", members(FAMILY), {"GET": {}}),
            "search_fields": list(table.search),
            "related_search_fields": [f"{name}__search" for name in table.relations],
            "max_page_size": pagination.PAGE_SIZE_MAX,
        }
    )


async def _rendered(view: View, who: Principal, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows of several kinds in their order, one query for each kind."""
    shown: dict[int, dict[str, Any]] = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        facts = visibility.fact_columns(kind)
        sql = f'select t.*{facts} from "{kind}" t where t."id" = any($1)'  # noqa: S608 - names from declarations
        own = await view.fetch(sql, [row["id"] for row in rows if row["kind"] == kind])
        shown |= {each["id"]: each for each in await render.page(view, who, kind, own)}
    return [shown[row["id"]] for row in rows if row["id"] in shown]
