"""Launching and launching again over HTTP: prompts, rights, and one job for one key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import pytest_asyncio

from controlplane.domain.errors import Refused
from controlplane.shell.launch_keys import LaunchKeys, Request
from controlplane.shell.numbers import Numbers
from ops import clock, connect
from schemas import subjects
from schemas.events.job import JobFinished, JobLaunched, JobPlaced, PlaybookLaunch
from schemas.output import HostStats
from tests.api.instances import add_report, append
from tests.api.stack import Stack
from tests.api.test_schedules import template

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPLAYED = "Idempotent-Replayed"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(stack: Stack) -> dict[str, Any]:
    """A template that prompts for a limit."""
    return await template(stack, "keyed", ask_limit_on_launch=True)


async def send(
    client: httpx.AsyncClient, path: str, key: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    """Send a launch under a key."""
    return await client.post(path, json=body or {}, headers={"Idempotency-Key": key})


async def test_concurrent_requests_of_one_key_make_one_job(
    stack: Stack, made: dict[str, Any]
) -> None:
    """Whoever comes at the same time or later is told of the same job, later with a header."""
    path, body = f"{made['url']}launch/", {"limit": "a", "job_tags": "x"}
    answers = await asyncio.gather(*(send(stack.client, path, "k", body) for _ in range(5)))
    assert {each.status_code for each in answers} == {201}
    (job,) = {each.json()["job"] for each in answers}
    later = await send(stack.client, path, "k", body)
    assert (later.status_code, later.headers[REPLAYED]) == (201, "true")
    assert later.json()["job"] == later.json()["id"] == job
    assert later.json()["ignored_fields"] == answers[0].json()["ignored_fields"]
    assert later.json()["ignored_fields"] == {"job_tags": "x"}
    assert (await stack.client.get(f"{made['url']}jobs/")).json()["count"] == 1


async def test_another_request_under_the_key_is_refused(stack: Stack, made: dict[str, Any]) -> None:
    """Another body or template is 422, a long key 400; another caller's key is another key."""
    path = f"{made['url']}launch/"
    first = await send(stack.client, path, "twice", {"limit": "a"})
    for other, body in ((path, {"limit": "b"}), (path, {}), (path, {"limit": "a", "new": 1})):
        refused = await send(stack.client, other, "twice", body)
        assert refused.status_code == 422, refused.text
        assert "another request" in refused.json()["detail"]
    relaunch = f"/api/v2/jobs/{first.json()['job']}/relaunch/"
    assert (await send(stack.client, relaunch, "twice", {"limit": "a"})).status_code == 422
    user = await stack.add_user("second")
    role = made["summary_fields"]["object_roles"]["execute_role"]["id"]
    await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    theirs = await send(stack.as_user("second"), path, "twice", {"limit": "a"})
    assert theirs.status_code == 201
    assert theirs.json()["job"] != first.json()["job"]
    long = await send(stack.client, path, "k" * 256)
    assert (long.status_code, long.json()) == (
        400,
        {"detail": "Idempotency-Key: at most 255 characters."},
    )


async def test_another_process_knows_the_keys(stack: Stack, made: dict[str, Any]) -> None:
    """Keys stand in the log's server: a program that starts later finds the job."""
    path = f"{made['url']}launch/"
    first = await send(stack.client, path, "elsewhere", {"limit": "a"})
    connection = await connect.connect_nats(stack.services.settings.nats_url, None, "other")
    try:
        keys = LaunchKeys(connection, Numbers(connection))
        cause = f"{(await stack.client.get('/api/v2/me/')).json()['results'][0]['id']}:elsewhere"
        assert await keys.job_for(cause) == (first.json()["job"], False)
        assert await keys.known(Request(cause=f"{cause} too")) is None
        with pytest.raises(Refused):
            await keys.job_of(Request(cause=cause, mark="another"))
    finally:
        await connect.close_quietly(connection)


async def test_a_refused_launch_leaves_its_key_free(stack: Stack, made: dict[str, Any]) -> None:
    """What was wrong may be put right under the same key."""
    path = f"{made['url']}launch/"
    assert (await send(stack.client, path, "fixed", {"limit": []})).status_code == 400
    good = await send(stack.client, path, "fixed", {"limit": "a"})
    assert good.status_code == 201
    assert REPLAYED not in good.headers


async def test_relaunches_and_updates_take_keys(stack: Stack, made: dict[str, Any]) -> None:
    """A relaunch and a project update under a key happen once; a deleted job is told as such."""
    job = (await stack.client.post(f"{made['url']}launch/", json={})).json()["job"]
    path = f"/api/v2/jobs/{job}/relaunch/"
    first, second = [await send(stack.client, path, "again") for _ in range(2)]
    assert first.json()["job"] == second.json()["job"] != job
    assert second.headers[REPLAYED] == "true"
    project = await stack.make(
        "projects", name="keyed-git", scm_type="git", scm_url="https://e.com/x.git"
    )
    one, two = [await send(stack.client, f"{project['url']}update/", "up") for _ in range(2)]
    assert (one.status_code, two.status_code) == (202, 202)
    assert one.json()["project_update"] == two.json()["project_update"]
    again = first.json()["job"]
    assert (await stack.client.post(f"/api/v2/jobs/{again}/cancel/")).status_code == 202
    assert (await stack.client.delete(f"/api/v2/jobs/{again}/")).status_code == 204
    gone = await send(stack.client, path, "again")
    assert (gone.status_code, gone.json()) == (
        404,
        {"detail": "What this Idempotency-Key launched was deleted."},
    )


ASKED = {
    f"ask_{name}_on_launch": True
    for name in (
        *("variables", "limit", "tags", "skip_tags", "job_type", "verbosity", "diff_mode"),
        *("forks", "job_slice_count", "timeout", "inventory", "execution_environment"),
        *("credential", "labels", "instance_groups"),
    )
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prompting(stack: Stack) -> dict[str, Any]:
    """A template that asks for everything, which ``runner`` may run, and its neighbours' ids."""
    made = await template(stack, "prompting", extra_vars="a: 1\nb: 1", limit="one", **ASKED)
    organization = made["organization"]
    found = {
        "inventory": (await stack.make("inventories", name="other", organization=organization))[
            "id"
        ],
        "label": (await stack.make("labels", name="l", organization=organization))["id"],
        "group": (await stack.make("instance_groups", name="prompted"))["id"],
        "environment": (
            await stack.make("execution_environments", name="ee", image="quay.io/x/y:1")
        )["id"],
        "machine": (
            await stack.make(
                "credentials",
                name="m",
                organization=organization,
                credential_type=1,
                inputs={"username": "u", "password": "ASK"},
            )
        )["id"],
    }
    user = await stack.add_user("runner")
    role = made["summary_fields"]["object_roles"]["execute_role"]["id"]
    await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    return {**made, "found": found, "runner": user}


def everything(found: dict[str, Any]) -> dict[str, Any]:
    """Return a body that gives each prompt but the branch."""
    return {
        "extra_vars": "b: 2\nc: [x]",
        "limit": "two",
        "job_tags": "t1",
        "skip_tags": "t2",
        "job_type": "check",
        "verbosity": "3",
        "diff_mode": True,
        "forks": 7,
        "job_slice_count": 1,
        "timeout": -1,
        "inventory": found["inventory"],
        "execution_environment": found["environment"],
        "credentials": [found["machine"]],
        "labels": [found["label"]],
        "instance_groups": [found["group"]],
        "ssh_password": "hush-hush",
        "unknown": 1,
    }


async def launched(stack: Stack, job: int) -> JobLaunched:
    """Return a job's launch as the log has it."""
    event = (await stack.services.store.load(subjects.job(job)))[0].events[0]
    assert isinstance(event, JobLaunched)
    return event


async def record_of(stack: Stack, job: int) -> PlaybookLaunch:
    """Return the record that a playbook run was launched with."""
    record = (await launched(stack, job)).record
    assert isinstance(record, PlaybookLaunch)
    return record


async def finish(stack: Stack, job: int, stats: dict[str, HostStats] | None) -> None:
    """End a pending job, with what its hosts came to."""
    at = clock.now()
    await append(
        stack,
        subjects.job(job),
        "jobs",
        JobPlaced(attempt=1, group="default", work_class=1),
        JobFinished(status="failed", finished=at, attempt=1),
    )
    if stats is not None:
        await add_report(stack, job, at, stats)


async def test_every_prompt_reaches_the_job_and_its_relaunch(
    stack: Stack, prompting: dict[str, Any]
) -> None:
    """All prompts are in the job; a relaunch gives them to the template as it is by then."""
    found = prompting["found"]
    done = await stack.client.post(f"{prompting['url']}launch/", json=everything(found))
    assert done.status_code == 201, done.text
    job = done.json()
    assert job["ignored_fields"] == {}
    assert json.loads(job["extra_vars"]) == {"a": 1, "b": 2, "c": ["x"]}
    wanted = {
        "limit": "two",
        "job_tags": "t1",
        "skip_tags": "t2",
        "job_type": "check",
        "verbosity": 3,
        "diff_mode": True,
        "forks": 7,
        "timeout": -1,
        "inventory": found["inventory"],
        "execution_environment": found["environment"],
    }
    assert {name: job[name] for name in wanted} == wanted
    for below, number in (("credentials", found["machine"]), ("labels", found["label"])):
        listed = (await stack.client.get(f"{job['url']}{below}/")).json()["results"]
        assert [each["id"] for each in listed] == [number]
    assert job["passwords_needed_to_start"] == ["ssh_password"]
    event = await launched(stack, job["job"])
    assert event.instance_groups == ("prompted",)
    assert "hush-hush" not in str(event)
    relaunch = job["related"]["relaunch"]
    asked = await stack.client.get(relaunch)
    assert asked.json() == {
        "passwords_needed_to_start": ["ssh_password"],
        "retry_counts": "Relaunch by host status not available until job finishes running.",
    }
    refused = await stack.client.post(relaunch, json={})
    assert (refused.status_code, refused.json()) == (
        400,
        {"credential_passwords": ["Missing passwords needed to start: ssh_password"]},
    )
    await stack.client.patch(prompting["url"], json={"playbook": "new.yml", "extra_vars": "z: 0"})
    body = {"credential_passwords": {"ssh_password": "again"}, "job_type": "run"}
    again = await stack.client.post(relaunch, json=body)
    assert again.status_code == 201, again.text
    same = {**wanted, "job_type": "run", "playbook": "new.yml", "launch_type": "relaunch"}
    assert {name: again.json()[name] for name in same} == same
    assert json.loads(again.json()["extra_vars"]) == {"z": 0, "b": 2, "c": ["x"]}
    after = await launched(stack, again.json()["job"])
    assert after.instance_groups == ("prompted",)
    assert after.relaunch_of == job["job"]
    assert (await record_of(stack, again.json()["job"])).labels == (found["label"],)


async def test_groups_are_the_templates_then_the_inventorys_then_the_organizations(
    stack: Stack,
) -> None:
    """The walk ends where a template or inventory says so; none at all is the default one."""
    made = await template(stack, "grouped")
    path = f"{made['url']}launch/"

    async def groups() -> tuple[str, ...]:
        done = await stack.client.post(path, json={"inventory_id": made["inventory"]})
        return (await launched(stack, done.json()["job"])).instance_groups

    assert await groups() == ("default",)
    related = made["related"]
    for name in ("organization", "inventory"):
        group = await stack.make("instance_groups", name=f"g-{name}")
        held = await stack.client.post(f"{related[name]}instance_groups/", json={"id": group["id"]})
        assert held.status_code == 204
    assert await groups() == ("g-inventory", "g-organization")
    await stack.client.patch(related["inventory"], json={"prevent_instance_group_fallback": True})
    assert await groups() == ("g-inventory",)
    group = await stack.make("instance_groups", name="g-template")
    await stack.client.post(f"{made['url']}instance_groups/", json={"id": group["id"]})
    assert await groups() == ("g-template", "g-inventory")
    await stack.client.patch(made["url"], json={"prevent_instance_group_fallback": True})
    assert await groups() == ("g-template",)


async def test_relaunch_on_hosts_of_a_status(stack: Stack, made: dict[str, Any]) -> None:
    """Hosts that failed, were not reached, changed or are ok; 400 where there are none."""
    job = (await stack.client.post(f"{made['url']}launch/", json={})).json()
    relaunch = job["related"]["relaunch"]
    early = await stack.client.post(relaunch, json={"hosts": "failed"})
    assert early.json() == {"hosts": "Wait until job finishes before retrying on failed hosts."}
    for wrong in ("zz", ["failed"]):
        odd = await stack.client.post(relaunch, json={"hosts": wrong, "job_type": wrong})
        refused = [f'"{wrong}" is not a valid choice.']
        assert odd.json() == {"hosts": refused, "job_type": refused}
    await finish(
        stack,
        job["job"],
        {
            "good": HostStats(host=1, ok=2),
            "new": HostStats(host=2, ok=1, changed=1),
            "bad": HostStats(host=3, failures=1),
            "dark": HostStats(host=4, dark=1),
        },
    )
    shown = (await stack.client.get(relaunch)).json()
    assert shown["retry_counts"] == {"all": 4, "failed": 2}
    offered = (await stack.client.options(relaunch)).json()["actions"]["POST"]
    assert list(offered) == ["hosts", "job_type", "credentials", "credential_passwords"]
    choices = [value for value, _ in offered["hosts"]["choices"]]
    assert choices == [None, "all", "failed", "ok", "changed", "unreachable"]
    for hosts, limit in (
        ("failed", "bad,dark"),
        ("unreachable", "dark"),
        ("changed", "new"),
        ("ok", "good,new"),
        ("all", ""),
        (None, ""),
    ):
        again = await stack.client.post(relaunch, json={"hosts": hosts})
        assert (again.status_code, again.json()["limit"]) == (201, limit), hosts
    second = again.json()
    await finish(stack, second["job"], None)
    none = await stack.client.post(second["related"]["relaunch"], json={"hosts": "failed"})
    text = "Cannot retry on failed hosts, playbook stats not available."
    assert (none.status_code, none.json()) == (400, {"hosts": text})


async def test_who_may_relaunch_what_others_prompted(
    stack: Stack, prompting: dict[str, Any]
) -> None:
    """With execute alone, what the prompts name must be one's to use, and secrets be one's own."""
    path, client = f"{prompting['url']}launch/", stack.as_user("runner")
    foreign = (
        await stack.client.post(path, json={"inventory": prompting["found"]["inventory"]})
    ).json()
    refused = await client.post(foreign["related"]["relaunch"], json={})
    assert (refused.status_code, refused.json()) == (
        403,
        {"detail": "Job was launched with prompted fields you do not have access to."},
    )
    plain = (await stack.client.post(path, json={"limit": "mine"})).json()
    again = await client.post(plain["related"]["relaunch"], json={})
    assert (again.status_code, again.json()["limit"]) == (201, "mine")
    question = {
        "type": "password",
        "variable": "pw",
        "question_name": "pw",
        "required": False,
    }
    survey = {"name": "s", "description": "", "spec": [question]}
    await stack.client.post(f"{prompting['url']}survey_spec/", json=survey)
    await stack.client.patch(prompting["url"], json={"survey_enabled": True})
    secret = (await stack.client.post(path, json={"extra_vars": {"pw": "hush"}})).json()
    denied = await client.post(secret["related"]["relaunch"], json={})
    assert denied.json() == {
        "detail": "Job was launched with secret prompts provided by another user."
    }
    own = await client.post(path, json={"extra_vars": {"pw": "mine"}})
    assert (await client.post(own.json()["related"]["relaunch"], json={})).status_code == 201
    await stack.client.patch(
        prompting["url"], json={"survey_enabled": False, "ask_limit_on_launch": False}
    )
    gone = await client.post(plain["related"]["relaunch"], json={})
    assert gone.status_code == 403
    await stack.client.patch(prompting["url"], json={"ask_limit_on_launch": True})


async def test_who_may_run_slices_again_that_others_prompted(
    stack: Stack, prompting: dict[str, Any]
) -> None:
    """A sliced run is launched again by whoever could launch its jobs again."""
    inventory = prompting["found"]["inventory"]
    for name in ("one", "two"):
        await stack.make("hosts", name=name, inventory=inventory)
    body = {"inventory": inventory, "job_slice_count": 2}
    made = (await stack.client.post(f"{prompting['url']}launch/", json=body)).json()
    path = f"/api/v2/workflow_jobs/{made['workflow_job']}/relaunch/"
    refused = await stack.as_user("runner").post(path, json={})
    assert (refused.status_code, refused.json()) == (
        403,
        {"detail": "Job was launched with prompted fields you do not have access to."},
    )
    shown = (await stack.client.get(f"/api/v2/inventories/{inventory}/")).json()
    role = {"id": shown["summary_fields"]["object_roles"]["use_role"]["id"]}
    await stack.client.post(f"/api/v2/users/{prompting['runner']}/roles/", json=role)
    allowed = await stack.as_user("runner").post(path, json={})
    text = "Cannot relaunch sliced workflow job after slice count has changed."
    assert (allowed.status_code, allowed.json()) == (400, {"detail": text})
    await stack.client.post(
        f"/api/v2/users/{prompting['runner']}/roles/", json={**role, "disassociate": True}
    )
    cancel = made["related"]["cancel"]
    assert (await stack.client.get(cancel)).json() == {"can_cancel": True}
    assert (await stack.as_user("runner").post(cancel, json={})).status_code == 403
    assert (await stack.client.post(cancel, json={})).status_code == 202
    ended = (await stack.client.get(made["url"])).json()
    assert (ended["status"], ended["failed"]) == ("canceled", True)
    nodes = (await stack.client.get(made["related"]["workflow_nodes"])).json()["results"]
    assert [(each["job"], each["do_not_run"]) for each in nodes] == [(None, True)] * 2
    again = await stack.client.post(cancel, json={})
    assert (again.status_code, again.json()) == (405, {"detail": 'Method "POST" not allowed.'})


async def test_a_job_outlives_its_template(stack: Stack) -> None:
    """Its copy runs as it ran, for a superuser or who runs the organization's jobs; else 400."""
    made = await template(stack, "passing", ask_credential_on_launch=True)
    credential = await stack.make(
        "credentials", name="p", organization=made["organization"], credential_type=1, inputs={}
    )
    path = f"{made['url']}launch/"
    job = (await stack.client.post(path, json={"credentials": [credential["id"]]})).json()
    relaunch = job["related"]["relaunch"]
    user = await stack.add_user("operator")
    organization = (await stack.client.get(made["related"]["organization"])).json()
    for name in ("execute", "auditor"):
        role = organization["summary_fields"]["object_roles"][f"{name}_role"]["id"]
        await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    await finish(stack, job["job"], None)
    assert (await stack.client.delete(made["url"])).status_code == 204
    again = await stack.as_user("operator").post(relaunch, json={})
    assert again.status_code == 201, again.text
    assert (again.json()["name"], again.json()["job_template"]) == ("passing", None)
    record = await record_of(stack, again.json()["job"])
    assert (record.credentials, record.job_template) == ((credential["id"],), None)
    await finish(stack, again.json()["job"], None)
    await stack.client.delete(credential["url"])
    refused = await stack.client.post(relaunch, json={})
    assert refused.json() == {"errors": ["A credential of the job no longer exists."]}
    assert (await stack.client.delete(made["related"]["inventory"])).status_code == 202
    refused = await stack.client.post(relaunch, json={})
    assert refused.json()["errors"][0] == "Job Template Inventory is missing or undefined."


async def test_relaunch_with_other_credentials(stack: Stack, prompting: dict[str, Any]) -> None:
    """Where the template asks for credentials a relaunch takes others; none may be gone."""
    path, machine = f"{prompting['url']}launch/", prompting["found"]["machine"]
    body = {"credentials": [machine], "ssh_password": "x"}
    job = (await stack.client.post(path, json=body)).json()
    organization = prompting["organization"]
    other = await stack.make(
        "credentials", name="key", organization=organization, credential_type=1, inputs={}
    )
    again = await stack.client.post(job["related"]["relaunch"], json={"credentials": [other["id"]]})
    assert again.status_code == 201, again.text
    assert (await record_of(stack, again.json()["job"])).credentials == (other["id"],)
    await finish(stack, again.json()["job"], None)
    assert (await stack.client.delete(other["url"])).status_code == 204
    gone = await stack.client.post(again.json()["related"]["relaunch"], json={})
    assert gone.json() == {"errors": ["A credential of the job no longer exists."]}
    named = {"credentials": [other["id"]]}
    wrong = await stack.client.post(again.json()["related"]["relaunch"], json=named)
    assert wrong.json() == {"credentials": [f'Invalid pk "{other["id"]}" - object does not exist.']}
    client = stack.as_user("runner")
    mine = (await client.post(path, json={})).json()
    refused = await client.post(mine["related"]["relaunch"], json={"credentials": [machine]})
    assert refused.status_code == 403
