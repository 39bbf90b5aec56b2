"""Workflow templates over HTTP: graph, prompts, approvals, copies, and what refuses to run."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import subjects
from tests.api.stack import Stack
from tests.api.test_schedules import template

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def workflow(stack: Stack, name: str, **more: Any) -> dict[str, Any]:
    """Make a workflow template in an organization of its own."""
    organization = await stack.make("organizations", name=f"wf-{name}")
    return await stack.make(
        "workflow_job_templates", **{"name": name, "organization": organization["id"], **more}
    )


async def node(stack: Stack, owner: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Add a node to a workflow template."""
    answered = await stack.client.post(f"{owner['url']}workflow_nodes/", json=more)
    assert answered.status_code == 201, answered.text
    made: dict[str, Any] = answered.json()
    return made


async def attach(stack: Stack, near: dict[str, Any], relation: str, far: dict[str, Any]) -> Any:
    """Draw an edge."""
    return await stack.client.post(f"{near['url']}{relation}/", json={"id": far["id"]})


async def test_node_is_named_and_found_by_its_workflow(stack: Stack) -> None:
    """A node without an identifier gets a random one; named URLs and filters find it."""
    owner = await workflow(stack, "named")
    first = await node(stack, owner)
    assert len(first["identifier"]) == 36
    second = await node(stack, owner, identifier="two")
    assert second["related"]["named_url"].endswith("/two++named++wf-named/")
    assert (await stack.client.get(second["related"]["named_url"])).json()["id"] == second["id"]
    found = await stack.client.get(
        "/api/v2/workflow_job_template_nodes/",
        params={"identifier": "two", "workflow_job_template": owner["id"]},
    )
    assert [each["id"] for each in found.json()["results"]] == [second["id"]]
    twice = await stack.client.post(f"{owner['url']}workflow_nodes/", json={"identifier": "two"})
    assert twice.json() == {
        "__all__": [
            (
                "Workflow job template node with this Identifier and Workflow job template"
                " already exists."
            )
        ]
    }


async def test_graph_has_no_cycle_and_one_edge_between_two_nodes(stack: Stack) -> None:
    """Edges that would close a circle or double another are refused in AWX's words."""
    owner = await workflow(stack, "graph")
    a, b, c = [await node(stack, owner, identifier=each) for each in "abc"]
    assert (await attach(stack, a, "success_nodes", b)).status_code == 204
    assert (await attach(stack, b, "always_nodes", c)).status_code == 204
    assert (await attach(stack, a, "success_nodes", b)).status_code == 204
    for near, relation, far, error in (
        (c, "failure_nodes", a, "Cycle detected."),
        (a, "success_nodes", a, "Cycle detected."),
        (a, "failure_nodes", b, "Relationship not allowed."),
        (b, "success_nodes", c, "Relationship not allowed."),
    ):
        answered = await attach(stack, near, relation, far)
        assert (answered.status_code, answered.json()) == (400, {"Error": error})
    shown = (await stack.client.get(a["url"])).json()
    assert (shown["success_nodes"], shown["failure_nodes"]) == ([b["id"]], [])
    gone = {"id": b["id"], "disassociate": True}
    assert (await stack.client.post(f"{a['url']}success_nodes/", json=gone)).status_code == 204
    assert (await attach(stack, c, "failure_nodes", a)).status_code == 204


async def test_nodes_of_two_workflows_are_not_joined(stack: Stack) -> None:
    """An edge stays within its workflow."""
    one, other = await workflow(stack, "one"), await workflow(stack, "other")
    answered = await attach(
        stack, await node(stack, one), "success_nodes", await node(stack, other)
    )
    assert answered.json() == {"Error": "Relationship not allowed."}


async def test_next_node_is_made_in_the_same_workflow(stack: Stack) -> None:
    """POST to a list of next nodes makes one there, whatever workflow the body names."""
    owner, other = await workflow(stack, "next"), await workflow(stack, "elsewhere")
    first = await node(stack, owner)
    answered = await stack.client.post(
        f"{first['url']}always_nodes/", json={"workflow_job_template": other["id"]}
    )
    assert answered.status_code == 201, answered.text
    assert answered.json()["workflow_job_template"] == owner["id"]
    shown = (await stack.client.get(first["url"])).json()
    assert shown["always_nodes"] == [answered.json()["id"]]


async def test_node_stays_in_its_workflow(stack: Stack) -> None:
    """The workflow of a node cannot be changed: what a body says of it is ignored."""
    owner, other = await workflow(stack, "stays"), await workflow(stack, "lures")
    made = await node(stack, owner)
    answered = await stack.client.patch(
        made["url"], json={"workflow_job_template": other["id"], "all_parents_must_converge": True}
    )
    assert answered.status_code == 200
    assert answered.json()["workflow_job_template"] == owner["id"]
    assert answered.json()["all_parents_must_converge"] is True


async def test_prompts_are_held_against_the_template(stack: Stack) -> None:
    """What the template does not ask for is refused, and what it asks for is kept."""
    closed = await template(stack, "closed")
    asking = await template(stack, "asking", ask_limit_on_launch=True)
    owner = await workflow(stack, "prompts")
    url = f"{owner['url']}workflow_nodes/"
    body = {"unified_job_template": closed["id"], "limit": "web", "extra_data": {"a": 1}}
    refused = await stack.client.post(url, json=body)
    assert refused.json() == {
        "limit": ["Field is not configured to prompt on launch."],
        "extra_data": [
            (
                "Variables a are not allowed on launch. Check the Prompt on Launch setting on the"
                " Job Template to include Extra Variables."
            )
        ],
    }
    kept = await node(stack, owner, unified_job_template=asking["id"], limit="web")
    assert kept["limit"] == "web"
    project = await stack.client.post(
        url, json={"unified_job_template": closed["project"], "extra_data": {"a": 1}}
    )
    assert project.json() == {"extra_data": ["Field is not allowed on launch."]}
    system = await stack.client.post(
        url, json={"unified_job_template": 1, "extra_data": {"z": 1, "days": "x"}}
    )
    assert system.json() == {
        "extra_data": [
            "Variables z are not allowed for system jobs.",
            "days must be a positive integer.",
        ]
    }


async def test_credentials_of_a_node_must_be_asked_for(stack: Stack) -> None:
    """A credential goes to a node only where its template prompts for credentials."""
    closed = await template(stack, "no-credentials")
    asking = await template(stack, "credentials", ask_credential_on_launch=True)
    types = await stack.client.get("/api/v2/credential_types/?kind=ssh")
    credential = await stack.make(
        "credentials",
        name="machine",
        organization=closed["organization"],
        credential_type=types.json()["results"][0]["id"],
        inputs={},
    )
    owner = await workflow(stack, "node-credentials")
    bare = await node(stack, owner)
    assert (await attach(stack, bare, "credentials", credential)).json() == {
        "msg": "Cannot assign credential when related template is null."
    }
    without = await node(stack, owner, unified_job_template=closed["id"])
    assert (await attach(stack, without, "credentials", credential)).json() == {
        "msg": "Related template is not configured to accept credentials on launch."
    }
    fitting = await node(stack, owner, unified_job_template=asking["id"])
    assert (await attach(stack, fitting, "credentials", credential)).status_code == 204
    listed = await stack.client.get(f"{fitting['url']}credentials/")
    assert [each["name"] for each in listed.json()["results"]] == ["machine"]


async def test_approval_stands_and_falls_with_its_node(stack: Stack) -> None:
    """An approval takes the node's place; another template or the node's end takes it away."""
    owner = await workflow(stack, "approvals")
    made = await node(stack, owner)
    url = f"{made['url']}create_approval_template/"
    assert (await stack.client.post(url, json={})).json() == {"name": ["This field is required."]}
    body = {"name": "Deploy?", "description": "", "timeout": 60}
    answered = await stack.client.post(url, json=body)
    assert answered.status_code == 201, answered.text
    approval = answered.json()
    assert (approval["type"], approval["timeout"]) == ("workflow_approval_template", 60)
    shown = (await stack.client.get(made["url"])).json()
    assert shown["unified_job_template"] == approval["id"]
    assert shown["related"]["unified_job_template"] == approval["url"]
    summary = shown["summary_fields"]["unified_job_template"]
    assert summary["unified_job_type"] == "workflow_approval"
    changed = await stack.client.patch(approval["url"], json={"timeout": 0})
    assert changed.json()["timeout"] == 0
    listed = await stack.client.get("/api/v2/unified_job_templates/?name=Deploy?")
    assert listed.json()["count"] == 0
    other = await template(stack, "instead")
    await stack.client.patch(made["url"], json={"unified_job_template": other["id"]})
    assert (await stack.client.get(approval["url"])).status_code == 404
    again = (await stack.client.post(url, json=body)).json()
    assert (await stack.client.delete(made["url"])).status_code == 204
    assert (await stack.client.get(again["url"])).status_code == 404


async def test_deleted_template_leaves_its_node_empty(stack: Stack) -> None:
    """A node outlives what it ran; the workflow tells that it is missing."""
    made = await template(stack, "short-lived")
    owner = await workflow(stack, "missing")
    left = await node(stack, owner, unified_job_template=made["id"])
    assert (await stack.client.delete(made["url"])).status_code == 204
    assert (await stack.client.get(left["url"])).json()["unified_job_template"] is None
    info = (await stack.client.get(f"{owner['url']}launch/")).json()
    assert info["node_templates_missing"] == [left["id"]]
    assert info["can_start_without_user_input"] is True


async def test_copy_takes_the_graph_along(stack: Stack) -> None:
    """A copy has nodes, edges, prompts and approvals of its own."""
    made = await template(stack, "copied", ask_limit_on_launch=True)
    owner = await workflow(stack, "original", ask_limit_on_launch=True)
    a = await node(stack, owner, identifier="a", unified_job_template=made["id"], limit="web")
    b = await node(stack, owner, identifier="b")
    await attach(stack, a, "failure_nodes", b)
    await stack.client.post(f"{b['url']}create_approval_template/", json={"name": "Sure?"})
    info = (await stack.client.get(f"{owner['url']}copy/")).json()
    assert info == {
        "can_copy": True,
        "can_copy_without_user_input": True,
        "templates_unable_to_copy": [],
        "credentials_unable_to_copy": [],
        "inventories_unable_to_copy": [],
    }
    answered = await stack.client.post(f"{owner['url']}copy/", json={"name": "copy"})
    assert answered.status_code == 201, answered.text
    nodes = (await stack.client.get(f"{answered.json()['url']}workflow_nodes/")).json()["results"]
    assert [(each["identifier"], each["limit"]) for each in nodes] == [("a", "web"), ("b", None)]
    assert nodes[0]["failure_nodes"] == [nodes[1]["id"]]
    approval = nodes[1]["summary_fields"]["unified_job_template"]
    assert approval["name"] == "Sure?"
    originals = (await stack.client.get(f"{owner['url']}workflow_nodes/")).json()["results"]
    assert originals[1]["unified_job_template"] != approval["id"]


async def test_a_copy_keeps_what_its_templates_do_not_ask_for_any_more(stack: Stack) -> None:
    """A template has changed since: its nodes are copied as they are, what was secret stays so."""
    asks = ("ask_limit_on_launch", "ask_credential_on_launch")
    made = await template(stack, "changed", survey_enabled=True, **dict.fromkeys(asks, True))
    question = {"question_name": "Q", "variable": "word", "type": "password", "required": True}
    survey = f"{made['url']}survey_spec/"
    spec = {"name": "", "description": "", "spec": [question]}
    assert (await stack.client.post(survey, json=spec)).status_code == 200
    owner = await workflow(stack, "outdated")
    secret = {"word": "a hidden word"}
    asked = {"unified_job_template": made["id"], "limit": "web", "extra_data": secret}
    kept = await node(stack, owner, **asked)
    organization = {"organization": made["organization"]}
    key = await stack.make("credentials", name="c", credential_type=1, inputs={}, **organization)
    assert (await attach(stack, kept, "credentials", key)).status_code == 204
    spec["spec"] = [{**question, "type": "text", "max": 20}]
    assert (await stack.client.post(survey, json=spec)).status_code == 200
    changed = await stack.client.patch(kept["url"], json={"limit": "db"})
    assert changed.json()["extra_data"] == {"word": "$encrypted$"}
    await stack.client.patch(made["url"], json=dict.fromkeys(asks, False))
    copied = await stack.client.post(f"{owner['url']}copy/", json={"name": "as it is"})
    assert copied.status_code == 201, copied.text
    nodes = f"{copied.json()['url']}workflow_nodes/"
    (copy,) = (await stack.client.get(nodes)).json()["results"]
    assert (copy["limit"], copy["extra_data"]) == ("db", {"word": "$encrypted$"})
    listed = (await stack.client.get(copy["related"]["credentials"])).json()["results"]
    assert [each["id"] for each in listed] == [key["id"]]
    subject = subjects.config("workflow_job_template_node", copy["id"])
    history = await stack.services.store.load(subject)
    assert history
    assert b"hidden" not in msgspec.json.encode([each.events for each in history])


async def test_workflows_refuse_to_run(stack: Stack) -> None:
    """Nothing pretends to run a workflow: launches say so, and no job of one is there."""
    owner = await workflow(stack, "launched")
    answered = await stack.client.post(f"{owner['url']}launch/", json={})
    assert answered.status_code == 400
    assert answered.json() == {"detail": "Playlog does not run workflows yet."}
    for name in ("workflow_jobs", "workflow_job_nodes", "workflow_approvals", "system_jobs"):
        assert (await stack.client.get(f"/api/v2/{name}/")).json()["count"] == 0
        missing = await stack.client.get(f"/api/v2/{name}/1/")
        assert missing.status_code == 404
        assert missing.json()["detail"].endswith("matches the given query.")
    filtered = await stack.client.get("/api/v2/workflow_job_nodes/?workflow_job__status=failed")
    assert filtered.json()["count"] == 0
    unknown = await stack.client.get("/api/v2/workflow_jobs/?colour=red")
    assert unknown.json() == {"detail": "WorkflowJob has no field named 'colour'"}


async def test_roles_of_a_workflow(stack: Stack) -> None:
    """Execute allows a launch and no change; who holds nothing sees neither it nor its nodes."""
    owner = await workflow(stack, "roles")
    made = await node(stack, owner)
    user = await stack.add_user("wfuser")
    client = stack.as_user("wfuser")
    assert (await client.get(owner["url"])).status_code == 403
    assert (await client.get(made["url"])).status_code == 403
    roles = owner["summary_fields"]["object_roles"]
    assert sorted(roles) == ["admin_role", "approval_role", "execute_role", "read_role"]
    granted = await stack.client.post(
        f"/api/v2/users/{user}/roles/", json={"id": roles["execute_role"]["id"]}
    )
    assert granted.status_code == 204
    assert (await client.get(made["url"])).status_code == 200
    assert (await client.patch(made["url"], json={"identifier": "x"})).status_code == 403
    assert (await client.post(f"{owner['url']}workflow_nodes/", json={})).status_code == 403
    assert (await client.delete(owner["url"])).status_code == 403
    assert (await client.get(f"{owner['url']}webhook_key/")).status_code == 403
