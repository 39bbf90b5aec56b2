"""Workflow templates: their launch info, their approvals and their copies (AWX 4.7)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest
from controlplane.api.guards import needs
from controlplane.api.resource_writes import append_object, created_answer
from controlplane.api.routing import routes
from controlplane.api.unrun_routes import NO_WORKFLOWS, refuses
from controlplane.domain import prompts, survey
from controlplane.domain.facts import decoded
from controlplane.domain.launch_fields import ASK
from controlplane.shell.read_model import Row, View
from schemas.resource import RESOURCES

KIND = "workflow_job_template"
NODE = "workflow_job_template_node"
APPROVAL = "workflow_approval_template"
PROMPTS = ("extra_vars", "inventory", "limit", "scm_branch", "labels", "job_tags", "skip_tags")
"""What the launch of a workflow may be asked for."""
_LAUNCH = {
    "GET": {},
    "POST": {
        name: {"type": kind, "required": False, "label": name.replace("_", " ").capitalize()}
        for name, kind in zip(
            PROMPTS,
            ("json", "id", "string", "string", "list_of_ids", "string", "string"),
            strict=True,
        )
    },
}


def workflow_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of workflow templates that declarations do not bring."""
    read, start = needs("read", KIND), needs("start", KIND)
    base = "/api/v2/workflow_job_templates/{key:str}"
    edit = needs("edit", NODE)
    return [
        *routes(
            f"{base}/launch",
            {"GET": (read, show_launch), "POST": (start, refuses(NO_WORKFLOWS))},
            (needs("read", KIND, missing=True), describe_launch),
        ),
        *routes(
            "/api/v2/workflow_job_template_nodes/{key:str}/create_approval_template",
            {"GET": (needs("read", NODE), show_approval), "POST": (edit, create_approval)},
            (needs("read", NODE), describe_approval),
        ),
    ]


async def describe_launch(_call: Call) -> Response[Any]:
    """Answer what a launch would take."""
    return answer(options.plain("Workflow Job Template Launch", (), _LAUNCH))


async def describe_approval(_call: Call) -> Response[Any]:
    """Answer what an approval is made of."""
    fields = options.writable(RESOURCES[APPROVAL])
    fields.pop(NODE)
    return answer(options.plain("Create Approval Template", (), {"GET": {}, "POST": fields}))


async def show_launch(call: Call) -> Response[Any]:
    """Answer what the workflow asks for, its defaults, and which nodes could not start."""
    async with call.read() as view:
        row = await view.row(
            'select t.* from "workflow_job_template" t where t."id" = $1', call.target.id
        )
        if row is None:
            raise LookupError(call.path)
        defaults = await _defaults(view, row)
        nodes = await view.named("workflow_nodes_for_launch", row["id"])
    needed = survey.needed(survey.questions(row))
    return answer(
        {
            **{ASK[name]: row[ASK[name]] for name in PROMPTS},
            "can_start_without_user_input": not needed,
            "defaults": defaults,
            "survey_enabled": row["survey_enabled"],
            "variables_needed_to_start": needed,
            "node_templates_missing": [
                each["id"] for each in nodes if each["unified_job_template"] is None
            ],
            "node_prompts_rejected": [each["id"] for each in nodes if _rejected(each)],
            "workflow_job_template_data": {
                name: row[name] for name in ("name", "id", "description")
            },
        }
    )


async def _defaults(view: View, row: Row) -> dict[str, Any]:
    inventory = None
    if row["inventory"] is not None:
        sql = 'select "id", "name" from "inventory" where "id" = $1'
        inventory = await view.row(sql, row["inventory"])
    labels = await view.named("workflow_job_template_label_rows", [row["id"]])
    return {
        **{name: row[name] for name in PROMPTS if name != "labels"},
        "inventory": dict(inventory) if inventory else {"id": None, "name": None},
        **({"labels": [{n: each[n] for n in ("id", "name")} for each in labels]} if labels else {}),
    }


def _rejected(node: Row) -> bool:
    """Return whether a node holds prompts that its template does not ask for any more."""
    template = decoded(node["template"])
    if not template:
        return False
    given = [name for name in prompts.FIELDS if name in ASK and node[name] is not None]
    return any(
        not template.get(ASK[name], False) and node[name] != template.get(name) for name in given
    )


async def show_approval(call: Call) -> Response[Any]:
    """Answer the name and time-out of the node's approval, if it is one."""
    async with call.read() as view:
        row = await view.row(
            'select t."name", t."description", t."timeout" from "workflow_approval_template" t'
            ' where t."workflow_job_template_node" = $1',
            call.target.id,
        )
    return answer(dict(row) if row is not None else {})


async def create_approval(call: Call) -> Response[Any]:
    """Turn a node into an approval: 201 with its template."""
    body = await call.body()
    if not body.get("name"):
        raise BadRequest({"name": ["This field is required."]})
    resource = RESOURCES[APPROVAL]
    appended = await append_object(call, resource, {**body, NODE: call.target.id})
    return await created_answer(call, resource, appended)
