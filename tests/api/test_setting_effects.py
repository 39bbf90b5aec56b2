"""What settings change: limits of output and forks, and what an organization's admins may."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import structlog

from controlplane.api.client_address import client_address
from controlplane.api.lasting import from_elsewhere
from controlplane.shell.job_secrets import job_secrets
from ops import clock
from schemas import subjects
from schemas.events.job import JobLaunched
from schemas.output import AnsibleEvent, Frame
from schemas.subjects import Attempt
from tests.api.instances import add_job
from tests.api.stack import PASSWORD, Stack
from tests.api.test_schedules import template
from tests.factories import launched

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _set(stack: Stack, **values: Any) -> None:
    answered = await stack.client.patch("/api/v2/settings/all/", json=values)
    assert answered.status_code == 200, answered.text


async def _reset(stack: Stack) -> None:
    assert (await stack.client.delete("/api/v2/settings/all/")).status_code == 204


async def _job_with_output(stack: Stack, number: int, text: str) -> None:
    """Add a job of one event that printed a line."""
    now = clock.now()
    await add_job(stack, launched(number, created=now), "successful", now)
    event = AnsibleEvent(
        counter=1,
        uuid=f"u{number}",
        event="runner_on_ok",
        created=clock.iso(now),
        stdout=text,
        end_line=1,
    )
    frame = Frame(
        job=number,
        attempt=1,
        kind="job",
        created=clock.iso(now),
        first=1,
        last=1,
        offset=0,
        events=(event,),
    )
    subject = subjects.output(Attempt(1, number, 1))
    body = msgspec.json.encode(frame)
    answer = await stack.services.nats.jetstream().publish(subject, body)
    assert await stack.services.catch_up.wait("output", answer.seq, 20)


async def test_output_is_shown_up_to_its_limits(stack: Stack) -> None:
    """A lower limit cuts events in lists and refuses the whole; 0 cuts no event."""
    await _job_with_output(stack, 701, "0123456789" * 200)
    events, output = "/api/v2/jobs/701/job_events/", "/api/v2/jobs/701/stdout/?format=txt"

    async def shown() -> int:
        found = (await stack.client.get(events)).json()
        return len(found["results"][0]["stdout"])

    assert await shown() == 1024
    assert "0123456789" in (await stack.client.get(output)).text
    await _set(
        stack,
        EVENT_STDOUT_MAX_BYTES_DISPLAY=10,
        STDOUT_MAX_BYTES_DISPLAY=1999,
        MAX_UI_JOB_EVENTS=123,
    )
    assert await shown() == 10
    assert "too large to display (2000 bytes)" in (await stack.client.get(output)).text
    assert (await stack.client.get(events)).headers["x-ui-max-events"] == "123"
    await _set(stack, EVENT_STDOUT_MAX_BYTES_DISPLAY=0)
    assert await shown() == 2000
    await _reset(stack)
    assert (await stack.client.get(events)).headers["x-ui-max-events"] == "4000"


async def test_more_forks_than_allowed_are_refused(stack: Stack) -> None:
    """The limit that is set counts, 0 sets none; the template stays as it was."""
    organization = await stack.make("organizations", name="forks")
    inventory = await stack.make("inventories", name="forks", organization=organization["id"])
    project = await stack.make("projects", name="forks", organization=organization["id"])
    template = await stack.make(
        "job_templates",
        name="forks",
        inventory=inventory["id"],
        project=project["id"],
        playbook="site.yml",
        forks=200,
    )
    answered = await stack.client.patch(template["url"], json={"forks": 201})
    text = "Maximum number of forks (200) exceeded."
    assert (answered.status_code, answered.json()) == (400, {"forks": [text]})
    await _set(stack, MAX_FORKS=10)
    answered = await stack.client.patch(template["url"], json={"forks": 11})
    assert answered.json() == {"forks": ["Maximum number of forks (10) exceeded."]}
    await _set(stack, MAX_FORKS=0)
    answered = await stack.client.patch(template["url"], json={"forks": 5000})
    assert (answered.status_code, answered.json()["forks"]) == (200, 5000)
    await _reset(stack)


async def test_administrators_of_organizations_see_whom_they_may(stack: Stack) -> None:
    """All users and teams, or those of their organizations and the powerful users alone."""
    organization = await stack.make("organizations", name="sighted")
    elsewhere = await stack.make("organizations", name="unsighted")
    team = await stack.make("teams", name="unsighted", organization=elsewhere["id"])
    boss, stranger = await stack.add_user("sighted-boss"), await stack.add_user("sighted-other")
    grant = f"{organization['url']}admins/"
    assert (await stack.client.post(grant, json={"id": boss})).status_code == 204
    client, url = stack.as_user("sighted-boss"), f"/api/v2/users/{stranger}/"
    assert (await client.get(url)).status_code == 200
    assert (await client.get(team["url"])).status_code == 200
    assert (await client.get("/api/v2/teams/")).json()["count"] == 1
    assert (await client.patch(team["url"], json={"name": "x"})).status_code == 403
    await _set(stack, ORG_ADMINS_CAN_SEE_ALL_USERS=False)
    assert (await client.get(url)).status_code == 403
    assert (await client.get(team["url"])).status_code == 403
    assert (await client.get("/api/v2/teams/")).json()["count"] == 0
    listed = (await client.get("/api/v2/users/", params={"username": "sighted-other"})).json()
    assert listed["count"] == 0
    await _reset(stack)
    assert (await client.get(url)).status_code == 200


async def test_administrators_of_organizations_manage_users_where_they_may(stack: Stack) -> None:
    """With the setting off they make no users or teams and change none; superusers do."""
    organization = await stack.make("organizations", name="managed")
    boss = await stack.add_user("managing-boss")
    grant = f"{organization['url']}admins/"
    assert (await stack.client.post(grant, json={"id": boss})).status_code == 204
    client = stack.as_user("managing-boss")
    team = {"name": "managed", "organization": organization["id"]}
    await _set(stack, MANAGE_ORGANIZATION_AUTH=False)
    assert (await client.post("/api/v2/teams/", json=team)).status_code == 403
    user = {"username": "made-by-boss", "password": "a good secret"}
    assert (await client.post("/api/v2/users/", json=user)).status_code == 403
    made = await stack.make("teams", **team)
    assert (await client.patch(made["url"], json={"name": "x"})).status_code == 403
    assert (await client.delete(made["url"])).status_code == 403
    own = await client.patch(f"/api/v2/users/{boss}/", json={"first_name": "B"})
    assert own.status_code == 200
    await _reset(stack)
    assert (await client.patch(made["url"], json={"name": "x"})).status_code == 200
    assert (await client.delete(made["url"])).status_code == 204


async def test_variables_of_jobs_have_names_that_an_environment_takes(stack: Stack) -> None:
    """A name that no process could be started with is refused when it is set."""
    answered = await stack.client.patch(
        "/api/v2/settings/jobs/", json={"AWX_TASK_ENV": {"A=": "1"}}
    )
    text = "Invalid names of environment variables: A="
    assert (answered.status_code, answered.json()) == (400, {"AWX_TASK_ENV": [text]})


async def test_a_refused_request_is_logged_in_the_words_that_are_set(stack: Stack) -> None:
    """The names in braces are replaced, whatever else stands in the format."""
    words = "{status_code}|{user_name}|{url_path}|{error}|{other}"
    await _set(stack, API_400_ERROR_LOG_FORMAT=words)
    with structlog.testing.capture_logs() as logs:
        await stack.client.get("/api/v2/organizations/987654/")
    text = "No Organization matches the given query."
    told = f"404|admin|/api/v2/organizations/987654/|{text}|{{other}}"
    assert told in [each["event"] for each in logs]
    await _reset(stack)


async def test_the_client_behind_a_proxy_is_found_where_it_is_set(stack: Stack) -> None:
    """A header is believed when it is named, and from the proxies that are named."""
    peer = SimpleNamespace(host="10.0.0.1")
    headers = {"x-forwarded-for": "203.0.113.5, 10.0.0.9"}
    connection: Any = SimpleNamespace(app=stack.app, client=peer, headers=headers)
    assert client_address(connection) == "10.0.0.1"
    await _set(stack, REMOTE_HOST_HEADERS=["HTTP_X_FORWARDED_FOR", "REMOTE_ADDR"])
    assert client_address(connection) == "203.0.113.5"
    await _set(stack, PROXY_IP_ALLOWED_LIST=["10.0.0.2"])
    assert client_address(connection) == "10.0.0.1"
    await _set(stack, PROXY_IP_ALLOWED_LIST=["10.0.0.1"])
    assert client_address(connection) == "203.0.113.5"
    await _reset(stack)
    unknown: Any = SimpleNamespace(app=stack.app, client=None, headers=headers)
    assert client_address(unknown) == ""


async def test_a_job_runs_in_the_nearest_environment(stack: Stack) -> None:
    """Launch, template, project, organization, installation; and with its registry's login."""
    environments = {
        name: await stack.make("execution_environments", name=name, image=f"registry.test/{name}:1")
        for name in ("of-all", "of-organization", "of-project", "of-template", "of-launch")
    }
    numbers = {name: each["id"] for name, each in environments.items()}
    made = await template(stack, "placed", ask_execution_environment_on_launch=True)
    related, client = made["related"], stack.client
    places: list[tuple[str, str, dict[str, Any]]] = [
        (
            "of-all",
            "/api/v2/settings/system/",
            {"DEFAULT_EXECUTION_ENVIRONMENT": numbers["of-all"]},
        ),
        (
            "of-organization",
            f"/api/v2/organizations/{made['organization']}/",
            {"default_environment": numbers["of-organization"]},
        ),
        ("of-project", related["project"], {"default_environment": numbers["of-project"]}),
        ("of-template", made["url"], {"execution_environment": numbers["of-template"]}),
    ]
    assert (await _launched(stack, made))["execution_environment"] is None
    for name, url, change in places:
        answered = await client.patch(url, json=change)
        assert answered.status_code == 200, answered.text
        job = await _launched(stack, made)
        assert job["execution_environment"] == numbers[name], name
        assert job["summary_fields"]["execution_environment"]["name"] == name
        shown = (await client.get(made["url"])).json()["summary_fields"]["resolved_environment"]
        assert (shown["name"], shown["image"]) == (name, f"registry.test/{name}:1")
    job = await _launched(stack, made, execution_environment=numbers["of-launch"])
    assert job["execution_environment"] == numbers["of-launch"]
    await _registry(stack, environments["of-launch"], job["id"], made)
    await _reset(stack)


async def _registry(
    stack: Stack, environment: dict[str, Any], before: int, made: dict[str, Any]
) -> None:
    """Give an environment a registry's credential: the next job has its login, sealed till then."""
    types = await stack.client.get("/api/v2/credential_types/?namespace=registry")
    inputs = {"host": "https://registry.test/", "username": "puller", "password": "pulled-secret"}
    credential = await stack.make(
        "credentials",
        name="registry",
        credential_type=types.json()["results"][0]["id"],
        organization=made["organization"],
        inputs={**inputs, "verify_ssl": False},
    )
    change = {"credential": credential["id"], "pull": "always"}
    changed = await stack.client.patch(environment["url"], json=change)
    assert changed.status_code == 200, changed.text
    job = await _launched(stack, made, execution_environment=environment["id"])
    store, vault = stack.services.store, stack.services.vault
    for number, wanted in ((before, []), (job["id"], [{**inputs, "verify_ssl": False}])):
        (stored, *_) = await store.load(subjects.job(number))
        (event, *_) = stored.events
        assert isinstance(event, JobLaunched)
        assert "pulled-secret" not in repr(event)
        told = await job_secrets(store, vault, event)
        assert [each.inputs for each in told.credentials] == wanted


async def _launched(stack: Stack, made: dict[str, Any], **body: Any) -> dict[str, Any]:
    answered = await stack.client.post(f"{made['url']}launch/", json=body)
    assert answered.status_code == 201, answered.text
    job: dict[str, Any] = (await stack.client.get(answered.json()["url"])).json()
    return job


async def test_paths_shown_to_jobs_are_checked(stack: Stack) -> None:
    """Absolute, in three parts at most, with an option that is known; AWX's words."""
    syntax = "Invalid syntax. A string HOST-DIR[:CONTAINER-DIR[:OPTIONS]] is expected but got"
    for path, words in (
        ("etc", "etc is not a valid path choice. You must provide an absolute path."),
        ("/etc:etc", "etc is not a valid path choice. You must provide an absolute path."),
        ("/etc:/etc:q", "q is not a valid mount option. Allowed types are z, O, ro, rw"),
        ("/a:/b:ro:z", f"{syntax} /a:/b:ro:z."),
    ):
        answered = await stack.client.patch(
            "/api/v2/settings/jobs/", json={"AWX_ISOLATION_SHOW_PATHS": [path]}
        )
        assert answered.status_code == 400
        assert words in str(answered.json()["AWX_ISOLATION_SHOW_PATHS"]), answered.json()


async def test_pages_of_trusted_origins_may_connect(stack: Stack) -> None:
    """Another site's page is from elsewhere until its origin is trusted, by name or by domain."""

    def elsewhere(origin: str) -> bool:
        headers = {"origin": origin, "host": "playlog.example.com"}
        connection: Any = SimpleNamespace(app=stack.app, headers=headers)
        return from_elsewhere(connection)

    assert not elsewhere("")
    assert not elsewhere("https://playlog.example.com")
    assert elsewhere("https://ui.example.org")
    answered = await stack.client.patch(
        "/api/v2/settings/system/", json={"CSRF_TRUSTED_ORIGINS": ["ui.example.org"]}
    )
    assert "must start with a scheme" in answered.json()["__all__"][0]
    origins = ["https://ui.example.org", "https://*.example.net"]
    await _set(stack, CSRF_TRUSTED_ORIGINS=origins)
    assert not elsewhere("https://ui.example.org")
    assert not elsewhere("https://a.example.net")
    for origin in ("http://ui.example.org", "https://example.net", "https://ui.example.org.evil"):
        assert elsewhere(origin), origin
    await _reset(stack)


async def test_the_unmodified_command_lists_and_changes_settings(stack: Stack) -> None:
    """``awx settings modify`` takes its keys from OPTIONS; ``awx metrics`` reads the text."""
    changed = await _awx(stack, "settings", "modify", "SCHEDULE_MAX_JOBS", "12")
    assert json.loads(changed) == {"key": "SCHEDULE_MAX_JOBS", "value": 12}
    listed = await _awx(stack, "settings", "list", "--slug", "changed")
    assert json.loads(listed) == {"SCHEDULE_MAX_JOBS": 12}
    assert "awx_users_total" in await _awx(stack, "metrics", "-f", "human")
    await _reset(stack)


async def _awx(stack: Stack, *words: str) -> str:
    """Run the command as the superuser; returns what it printed."""
    login = ("--conf.host", stack.url, "--conf.username", "admin", "--conf.password", PASSWORD)
    plain = ("--conf.color", "false")
    command = Path(sys.executable).with_name("awx")
    process = await asyncio.create_subprocess_exec(
        str(command), *login, *plain, *words, stdout=PIPE, stderr=PIPE
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()
