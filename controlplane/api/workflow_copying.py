"""What a copy of a workflow template takes along: nodes, edges, prompts, approvals (AWX 1.12).

What the caller may not use is left out of the copy, as in AWX; GET tells before what that is.
"""

from __future__ import annotations

from typing import Any

from controlplane.api.call import Call
from controlplane.api.guards import may
from controlplane.api.tables import link_table, table_of
from controlplane.api.writes import caught_up, submit, together
from controlplane.domain import access
from controlplane.domain.facts import Given, decoded
from controlplane.domain.resource import BulkCreate, Command, Create, Link
from controlplane.shell.read_model import Row, View
from schemas.resource import RESOURCES
from schemas.resources.prompts import PROMPTED
from schemas.resources.workflow_job_template_node import KIND as NODE
from schemas.resources.workflow_job_template_node import NEXT

WORKFLOW = "workflow_job_template"
APPROVAL = "workflow_approval_template"
TEMPLATE = "unified_job_template"
_USES = ((TEMPLATE, "start"), ("inventory", "use"), ("credential", "use"))
_LOST = {
    TEMPLATE: "templates_unable_to_copy",
    "credential": "credentials_unable_to_copy",
    "inventory": "inventories_unable_to_copy",
}


async def losses(call: Call) -> dict[str, Any]:
    """Return what a copy by the caller would lack, under AWX's keys."""
    allowed = access.may(call.who, "copy", WORKFLOW, call.facts)
    lost: dict[str, list[str]] = {name: [] if allowed else ["all"] for name in _LOST.values()}
    if allowed:
        async with call.read() as view:
            nodes = await view.named("workflow_nodes_for_launch", call.target.id)
            for kind, number in await _unusable(call, view, nodes):
                sql = f'select t."name" from {table_of(kind).source} t where t."id" = $1'  # noqa: S608 - a declared kind
                lost[_LOST[kind]].append(await view.value(sql, number))
    return {"can_copy_without_user_input": allowed and not any(lost.values()), **lost}


async def copy_nodes(call: Call, made: int) -> None:
    """Copy the nodes of the workflow that a request names to a new one."""
    async with call.read() as view:
        nodes = await view.named("workflow_nodes_for_launch", call.target.id)
        unusable = await _unusable(call, view, nodes)
        numbers = await call.services.numbers.take(NODE, len(nodes)) if nodes else range(0)
        new = {node["id"]: number for node, number in zip(nodes, numbers, strict=True)}
        items = [
            (new[node["id"]], {**await _values(call, node, unusable), WORKFLOW: made})
            for node in nodes
        ]
        approvals = await _approvals(call, view, new)
        links = await _links(view, new, unusable)
    if not items:
        return
    bulk = BulkCreate(kind=NODE, items=tuple(items), copied=True)
    steps: list[list[Command]] = [[bulk], approvals]
    for step in (*steps, *([link] for link in links)):
        if step:
            await caught_up(call, await submit(call, together(step, call.services)))


async def _unusable(call: Call, view: View, nodes: list[Row]) -> set[tuple[str, int]]:
    """Return what nodes refer to that the caller may not use."""
    used: set[tuple[str, int, str]] = set()
    for name, verb in _USES[:2]:
        used |= {(name, node[name], verb) for node in nodes if node[name] is not None}
    ids = [node["id"] for node in nodes]
    for row in await _rows(view, "credentials", ids):
        used.add(("credential", row["target"], "use"))
    return {
        (kind, number)
        for kind, number, verb in sorted(used)
        if not await may(view, call.who, verb, kind, number)
    }


async def _values(call: Call, node: Row, unusable: set[tuple[str, int]]) -> dict[str, Any]:
    """Return the body of a node's copy; secret answers in the clear until they are sealed."""
    values: dict[str, Any] = {}
    for field in RESOURCES[NODE].fields.values():
        value = node[field.name]
        if field.read_only or value is None or (field.name, value) in unusable:
            continue
        values[field.name] = value
    if decoded(node["template"] or "{}").get("workflow_job_template_node") is not None:
        del values[TEMPLATE]
    answers, secret = decoded(node["extra_data"]), decoded(node["survey_passwords"])
    for name in secret:
        answers[name] = await call.services.vault.open(NODE, node["id"], answers[name])
    return {**values, "extra_data": answers, "survey_passwords": Given(secret)}


async def _approvals(call: Call, view: View, new: dict[int, int]) -> list[Command]:
    sql = (
        'select t.* from "workflow_approval_template" t'
        ' where t."workflow_job_template_node" = any($1)'
    )
    rows = await view.fetch(sql, list(new))
    sequence = RESOURCES[APPROVAL].sequence
    numbers = await call.services.numbers.take(sequence, len(rows)) if rows else range(0)
    return [
        Create(
            kind=APPROVAL,
            id=number,
            values={
                **{name: row[name] for name in ("name", "description", "timeout")},
                NODE: new[row[NODE]],
            },
        )
        for row, number in zip(rows, numbers, strict=True)
    ]


async def _links(view: View, new: dict[int, int], unusable: set[tuple[str, int]]) -> list[Command]:
    """Return the links of the copies: to what is prompted, and among themselves."""
    found: list[Command] = []
    for related in PROMPTED:
        found += [
            Link(
                kind=NODE,
                id=new[row["id"]],
                relation=related.name,
                target=row["target"],
                copied=True,
            )
            for row in await _rows(view, related.name, list(new))
            if (related.kind, row["target"]) not in unusable
        ]
    for name in NEXT:
        found += [
            Link(kind=NODE, id=new[row["id"]], relation=name, target=new[row["target"]])
            for row in await _rows(view, name, list(new))
        ]
    return found


async def _rows(view: View, relation: str, ids: list[int]) -> list[Row]:
    table = link_table(NODE, relation)
    sql = f'select "id", "target" from "{table}" where "id" = any($1) order by "position"'  # noqa: S608 - names from declarations
    return await view.fetch(sql, ids)
