"""Webhooks and callbacks over HTTP: only what knows the key starts a job, and only once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest

from ops import clock
from schemas import subjects
from schemas.events.job import JobFinished, JobPlaced
from tests.api.instances import append
from tests.api.stack import Stack
from tests.api.test_launching import launched, record_of
from tests.api.test_schedules import template
from tests.waiting import soon

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUSH = {"after": "a" * 40}


async def hooked(stack: Stack, name: str, service: str) -> tuple[dict[str, Any], str]:
    """Make a template that a service may start; return it with its key."""
    made = await template(stack, name, webhook_service=service)
    found = await stack.client.get(f"{made['url']}webhook_key/")
    return made, found.json()["webhook_key"]


def signed(key: str, body: bytes, event: str, guid: str) -> dict[str, str]:
    """Return the headers that GitHub sends."""
    digest = hmac.new(key.encode(), body, hashlib.sha1).hexdigest()
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": guid,
        "X-Hub-Signature": f"sha1={digest}",
        "Content-Type": "application/json",
    }


async def send(stack: Stack, url: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """Send a request as a service does, without credentials."""
    async with stack.anonymous() as client:
        return await client.post(url, content=body, headers=headers)


async def test_signed_event_starts_one_job(stack: Stack) -> None:
    """The job carries the event; the same delivery again starts nothing."""
    made, key = await hooked(stack, "pushed", "github")
    url = made["related"]["webhook_receiver"]
    assert url == f"{made['url']}github/"
    body = json.dumps(PUSH).encode()
    headers = signed(key, body, "push", "guid-1")
    first = await send(stack, url, body, headers)
    assert (first.status_code, first.json()) == (202, {"message": "Job queued."})
    second = await send(stack, url, body, headers)
    assert second.json() == {"message": "Webhook previously received, aborting."}
    jobs = (await stack.client.get(f"{made['url']}jobs/")).json()["results"]
    assert [each["launch_type"] for each in jobs] == ["webhook"]
    assert jobs[0]["launched_by"]["name"] == "pushed"
    variables = json.loads(jobs[0]["extra_vars"])
    assert variables["awx_webhook_event_ref"] == variables["tower_webhook_event_ref"] == "a" * 40
    assert variables["awx_webhook_payload"] == PUSH
    shown = {name: jobs[0][f"webhook_{name}"] for name in ("service", "guid", "credential")}
    assert shown == {"service": "github", "guid": "guid-1", "credential": None}
    found = await stack.client.get("/api/v2/jobs/?webhook_guid=guid-1")
    assert [each["id"] for each in found.json()["results"]] == [jobs[0]["id"]]
    again = await stack.client.post(jobs[0]["related"]["relaunch"], json={})
    assert json.loads(again.json()["extra_vars"]) == variables
    assert again.json()["webhook_guid"] == ""


async def test_what_an_event_says_is_no_template(stack: Stack) -> None:
    """Variables of the template may hold templates, but not with values that come from outside."""
    own = {"awx_webhook_event_ref": "main", "kept": "{{ 1 }}"}
    made = await template(stack, "own", webhook_service="github", extra_vars=json.dumps(own))
    key = (await stack.client.get(f"{made['url']}webhook_key/")).json()["webhook_key"]
    body = json.dumps({"after": "{{ lookup('pipe', 'id') }}"}).encode()
    sent = await send(stack, f"{made['url']}github/", body, signed(key, body, "push", "g"))
    assert sent.status_code == 202
    (job,) = (await stack.client.get(f"{made['url']}jobs/")).json()["results"]
    assert (await record_of(stack, job["id"])).template_vars == ("kept",)


async def test_what_is_not_signed_by_the_key_is_refused(stack: Stack) -> None:
    """A wrong key, another service and a template that is not there look alike."""
    made, key = await hooked(stack, "guarded-hook", "github")
    body = json.dumps(PUSH).encode()
    good = signed(key, body, "push", "g")
    other = await template(stack, "no-hook")
    for url, headers in (
        (f"{made['url']}github/", signed("wrong", body, "push", "g")),
        (f"{made['url']}github/", {}),
        (f"{made['url']}gitlab/", good),
        (f"{other['url']}github/", good),
        ("/api/v2/job_templates/999999/github/", good),
        ("/api/v2/job_templates/nowhere/github/", good),
    ):
        answered = await send(stack, url, body, headers)
        assert answered.status_code == 403, url
    broken = await send(stack, f"{made['url']}github/", b"[]", signed(key, b"[]", "push", "g"))
    assert broken.status_code == 400
    assert (await stack.client.get(f"{made['url']}jobs/")).json()["count"] == 0


async def test_new_key_ends_the_old_one(stack: Stack) -> None:
    """Rotating answers 201 with another key; a service turned off has none."""
    made, key = await hooked(stack, "rotated", "github")
    assert len(key) == 50
    answered = await stack.client.post(f"{made['url']}webhook_key/", json={})
    assert answered.status_code == 201
    assert answered.json()["webhook_key"] not in ("", key)
    body = json.dumps(PUSH).encode()
    refused = await send(stack, f"{made['url']}github/", body, signed(key, body, "push", "g"))
    assert refused.status_code == 403
    off = await stack.client.patch(made["url"], json={"webhook_service": ""})
    assert off.json()["related"]["webhook_receiver"] == ""
    gone = await stack.client.get(f"{made['url']}webhook_key/")
    assert gone.json() == {"webhook_key": ""}


async def test_gitlab_and_bitbucket_sign_in_their_own_ways(stack: Stack) -> None:
    """GitLab sends the key itself; of BitBucket's events some start nothing."""
    made, key = await hooked(stack, "lab", "gitlab")
    headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": key}
    body = b'{"checkout_sha": "b"}'
    assert (await send(stack, f"{made['url']}gitlab/", body, headers)).status_code == 202
    made, key = await hooked(stack, "bucket", "bitbucket_dc")
    url = f"{made['url']}bitbucket_dc/"
    ping = await send(stack, url, b"{}", {"X-Event-Key": "diagnostics:ping"})
    assert (ping.status_code, ping.json()) == (200, {"message": "Webhook ignored"})
    for event, status in (("pr:opened", 202), ("pr:deleted", 200)):
        digest = hmac.new(key.encode(), b"{}", hashlib.sha256).hexdigest()
        answered = await send(
            stack,
            url,
            b"{}",
            {"X-Event-Key": event, "X-Request-Id": event, "X-Hub-Signature": f"sha256={digest}"},
        )
        assert answered.status_code == status, answered.text


async def test_workflows_are_not_started_by_webhooks(stack: Stack) -> None:
    """A signed event of a workflow says that it does not run."""
    organization = await stack.make("organizations", name="hooked-workflow")
    made = await stack.make(
        "workflow_job_templates",
        name="hooked",
        organization=organization["id"],
        webhook_service="github",
    )
    key = (await stack.client.get(f"{made['url']}webhook_key/")).json()["webhook_key"]
    body = json.dumps(PUSH).encode()
    answered = await send(stack, f"{made['url']}github/", body, signed(key, body, "push", "g"))
    assert answered.status_code == 400
    assert answered.json() == {"detail": "Playlog does not run workflows yet."}


async def test_callback_runs_on_the_host_that_asks(stack: Stack) -> None:
    """A host that knows the key gets a job limited to it, while no other is waiting for it."""
    made = await template(stack, "called", host_config_key="k3y")
    url = made["related"]["callback"]
    body = b"host_config_key=k3y"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    nobody = await send(stack, url, body, form)
    assert nobody.json() == {"msg": "No matching host could be found!"}
    await stack.make(
        "hosts",
        name="me",
        inventory=made["inventory"],
        variables='{"ansible_host": "127.0.0.1"}',
    )
    shown = await stack.client.get(url)
    assert shown.json() == {"host_config_key": "k3y", "matching_hosts": ["me"]}
    assert (await send(stack, url, b"host_config_key=no", form)).status_code == 403
    for odd in (b"", b'{"host_config_key": "\\ud800"}', b'{"host_config_key": ["k3y"]}'):
        assert (await send(stack, url, odd, {})).status_code == 403, odd
    done = await send(stack, url, b'{"host_config_key": "k3y"}', {})
    assert (done.status_code, done.content) == (201, b""), done.text
    job = (await stack.client.get(done.headers["location"])).json()
    assert (job["limit"], job["launch_type"]) == ("me", "callback")
    waiting = await send(stack, url, body, form)
    assert waiting.json() == {"msg": "Host callback job already pending."}


async def test_a_host_that_is_not_known_is_looked_for_in_the_sources(stack: Stack) -> None:
    """They are updated once for it; the job waits for them no second time."""
    made = await template(stack, "sourced-call", host_config_key="k")
    source = await stack.make(
        "inventory_sources",
        name="of callers",
        inventory=made["inventory"],
        source="scm",
        source_project=made["project"],
        source_path="hosts.ini",
        update_on_launch=True,
    )
    updates, url = f"{source['url']}inventory_updates/", made["related"]["callback"]
    asking = asyncio.create_task(send(stack, url, b'{"host_config_key": "k"}', {}))

    async def under_way() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await stack.client.get(updates)).json()["results"]
        return found

    await soon(under_way)
    (update,) = await under_way()
    assert not asking.done()
    await stack.make("hosts", name="127.0.0.1", inventory=made["inventory"])
    end = JobFinished(status="successful", finished=clock.now(), attempt=1)
    placed = JobPlaced(attempt=1, group="default", work_class=1)
    await append(stack, subjects.job(update["id"]), "jobs", placed, end)
    done = await asking
    assert done.status_code == 201, done.text
    job = (await stack.client.get(done.headers["location"])).json()
    record = await launched(stack, job["id"])
    assert (job["limit"], update["id"] in record.waits_for) == ("127.0.0.1", False)
    assert len(await under_way()) == 1


async def test_a_calling_host_is_found_by_header_and_by_name(stack: Stack) -> None:
    """A proxy's header tells the address where that is set; names are looked up both ways."""
    made = await template(stack, "proxied", host_config_key="k", ask_variables_on_launch=True)
    inventory = made["inventory"]
    await stack.make(
        "hosts", name="behind", inventory=inventory, variables="ansible_host: 10.9.8.7"
    )
    await stack.make("hosts", name="localhost", inventory=inventory)
    url, body = made["related"]["callback"], b'{"host_config_key": "k"}'
    shown = (await stack.client.get(url)).json()
    assert shown["matching_hosts"] == ["localhost"]
    settings = "/api/v2/settings/system/"
    headers = ["HTTP_X_FORWARDED_FOR", "REMOTE_ADDR"]
    await stack.client.patch(settings, json={"REMOTE_HOST_HEADERS": headers})
    try:
        forwarded = {"X-Forwarded-For": "10.9.8.7", "Content-Type": "application/json"}
        given = {"host_config_key": "k", "extra_vars": {"ansible_user": "x", "word": "w"}}
        done = await send(stack, url, json.dumps(given).encode(), forwarded)
        assert done.status_code == 201, done.text
        job = (await stack.client.get(done.headers["location"])).json()
        assert (job["limit"], json.loads(job["extra_vars"])) == ("behind", {"word": "w"})
        odd = {"host_config_key": "k", "extra_vars": [1]}
        other = {"X-Forwarded-For": "127.0.0.1"}
        refused = await send(stack, url, json.dumps(odd).encode(), other)
        assert refused.json() == {"extra_vars": ["Input type `list` is not a dictionary"]}
        listed = await stack.client.patch(settings, json={"PROXY_IP_ALLOWED_LIST": ["10.0.0.1"]})
        assert listed.status_code == 200, listed.text
        assert listed.json()["PROXY_IP_ALLOWED_LIST"] == ["10.0.0.1"]
        trusted = await send(stack, url, body, forwarded)
        assert trusted.status_code == 201, trusted.text
        job = (await stack.client.get(trusted.headers["location"])).json()
        assert job["limit"] == "localhost"
    finally:
        await stack.client.delete(settings)
    twin = await stack.make(
        "hosts", name="twin", inventory=inventory, variables="ansible_ssh_host: 127.0.0.1"
    )
    await stack.client.patch(twin["url"], json={"name": "localhost4"})
    await stack.make("hosts", name="127.0.0.1", inventory=inventory)
    several = await send(stack, url, body, {})
    assert several.json() == {"msg": "Multiple hosts matched the request!"}


async def test_a_callback_asks_nobody(stack: Stack) -> None:
    """Passwords and required answers would have to be given: only the answers can be."""
    made = await template(stack, "asking", host_config_key="k", survey_enabled=True)
    await stack.make("hosts", name="127.0.0.1", inventory=made["inventory"])
    question = {"type": "text", "variable": "word", "question_name": "w", "required": True}
    survey = {"name": "s", "description": "", "spec": [question]}
    await stack.client.post(f"{made['url']}survey_spec/", json=survey)
    url = made["related"]["callback"]
    asked = await send(stack, url, b'{"host_config_key": "k"}', {})
    assert asked.json() == {"msg": "Cannot start automatically, user input required!"}
    given = b'{"host_config_key": "k", "extra_vars": {"word": "w"}}'
    assert (await send(stack, url, given, {})).status_code == 201


async def test_bulk_launch_is_checked_and_refused(stack: Stack) -> None:
    """Wrong ids are named; what could be launched is not, and says so."""
    made = await template(stack, "bulk")
    url = "/api/v2/bulk/job_launch/"
    assert "detail" in (await stack.client.get(url)).json()
    for jobs, errors in (
        ([], {"jobs": ["This list may not be empty."]}),
        ("x", {"jobs": ["Expected a list of items."]}),
        ([{}], {"jobs": [{"unified_job_template": ["This field is required."]}]}),
        (
            [{"unified_job_template": 999999}],
            {"jobs": ['Invalid pk "999999" - object does not exist.']},
        ),
        (
            [{"unified_job_template": made["id"]}],
            {"detail": "Playlog does not run workflows yet."},
        ),
    ):
        answered = await stack.client.post(url, json={"jobs": jobs})
        assert (answered.status_code, answered.json()) == (400, errors)
