"""Surveys over HTTP: what is asked, what is answered at launch, and that secrets stay secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas import subjects
from schemas.events.job import JobLaunched
from tests.api.stack import Stack
from tests.api.test_schedules import RULE, template

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = {"question_name": "Q", "required": True}


def survey(*questions: dict[str, Any]) -> dict[str, Any]:
    """Return a survey of these questions."""
    return {"name": "S", "description": "D", "spec": [{**QUESTION, **each} for each in questions]}


async def asking(
    stack: Stack, name: str, *questions: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """Make a template that asks questions."""
    made = await template(stack, name, survey_enabled=True, **more)
    answered = await stack.client.post(f"{made['url']}survey_spec/", json=survey(*questions))
    assert (answered.status_code, answered.content) == (200, b""), answered.text
    return made


async def launch(stack: Stack, made: dict[str, Any], **variables: Any) -> Any:
    """Launch with answers."""
    return await stack.client.post(f"{made['url']}launch/", json={"extra_vars": variables})


async def test_survey_is_kept_shown_and_taken_away(stack: Stack) -> None:
    """GET gives what was posted; DELETE leaves nothing; the template names the survey."""
    made = await asking(stack, "kept", {"type": "text", "variable": "v"})
    url = f"{made['url']}survey_spec/"
    assert (await stack.client.get(url)).json() == survey({"type": "text", "variable": "v"})
    shown = (await stack.client.get(made["url"])).json()
    assert shown["summary_fields"]["survey"] == {"title": "S", "description": "D"}
    assert "survey_spec" not in shown
    assert (await stack.client.delete(url)).status_code == 200
    assert (await stack.client.get(url)).json() == {}
    refused = await stack.client.post(url, json={})
    assert refused.json() == {"error": "'name' missing from survey spec."}
    ignored = await stack.client.patch(made["url"], json={"survey_spec": {"name": "x"}})
    assert ignored.status_code == 200
    assert (await stack.client.get(url)).json() == {}


async def test_answers_are_checked_at_launch(stack: Stack) -> None:
    """What is missing or does not fit is told all at once; good answers become variables."""
    made = await asking(
        stack,
        "answers",
        {"type": "text", "variable": "word", "min": 2, "max": 4},
        {"type": "integer", "variable": "number", "required": False, "default": 7},
        {"type": "multiplechoice", "variable": "pick", "choices": "a\nb", "required": False},
    )
    info = (await stack.client.get(f"{made['url']}launch/")).json()
    assert info["variables_needed_to_start"] == ["word"]
    assert info["can_start_without_user_input"] is False
    missing = await launch(stack, made)
    assert missing.status_code == 400
    assert missing.json() == {"variables_needed_to_start": ["'word' value missing"]}
    wrong = await launch(stack, made, word="x", number="y", pick="c")
    assert wrong.json() == {
        "variables_needed_to_start": [
            "'word' value x is too small (length is 1 must be at least 2).",
            "Value y for 'number' expected to be an integer.",
            "Value c for 'pick' expected to be one of ['a', 'b'].",
        ]
    }
    good = await launch(stack, made, word="fine", other=1)
    assert good.status_code == 201, good.text
    assert json.loads(good.json()["extra_vars"]) == {"word": "fine", "number": 7}
    assert good.json()["ignored_fields"] == {"extra_vars": {"other": 1}}


async def test_secret_answers_are_sealed_for_the_job(stack: Stack) -> None:
    """A password is shown nowhere and kept for the job; its default is filled in for it."""
    made = await asking(
        stack,
        "secret",
        {"type": "password", "variable": "given"},
        {"type": "password", "variable": "usual", "required": False, "default": "open-sesame"},
    )
    spec = (await stack.client.get(f"{made['url']}survey_spec/")).json()["spec"]
    assert spec[1]["default"] == "$encrypted$"
    done = await launch(stack, made, given="hunter-two")
    assert done.status_code == 201, done.text
    assert json.loads(done.json()["extra_vars"]) == {
        "given": "$encrypted$",
        "usual": "$encrypted$",
    }
    number = done.json()["job"]
    assert await secrets_of(stack, number) == {"given": "hunter-two", "usual": "open-sesame"}
    again = await stack.client.post(f"/api/v2/jobs/{number}/relaunch/", json={})
    assert again.status_code == 201, again.text
    assert await secrets_of(stack, again.json()["job"]) == {
        "given": "hunter-two",
        "usual": "open-sesame",
    }
    kept = await stack.client.post(f"{made['url']}survey_spec/", json=survey(*spec))
    assert kept.status_code == 200
    copied = await stack.client.post(f"{made['url']}copy/", json={"name": "secret copy"})
    third = await launch(stack, copied.json(), given="x")
    assert await secrets_of(stack, third.json()["job"]) == {"given": "x", "usual": "open-sesame"}
    for text in await everything(stack):
        assert "hunter-two" not in text
        assert "open-sesame" not in text


async def secrets_of(stack: Stack, job: int) -> Any:
    """Return the secret variables that an attempt of a job would be given."""
    history = await stack.services.store.load(subjects.job(job))
    launched = history[0].events[0]
    assert isinstance(launched, JobLaunched)
    opened = json.loads(await stack.services.vault.open("job", job, launched.secrets))
    return json.loads(opened["extra_vars"])


async def everything(stack: Stack) -> list[str]:
    """Return whatever the log and the tables hold of templates and jobs, as text."""
    found = []
    async with stack.services.read.view() as view:
        for table in ("job_template", "unified_job", "activity", "job_activity"):
            rows = await view.fetch(f'select to_jsonb(t)::text as row from "{table}" t')
            found += [row["row"] for row in rows]
    return found


async def test_schedule_must_answer_what_is_required(stack: Stack) -> None:
    """A schedule without a required answer is refused; a secret one is kept and not shown."""
    made = await asking(stack, "planned", {"type": "password", "variable": "pw", "min": 3})
    body = {"name": "s", "rrule": RULE, "unified_job_template": made["id"]}
    refused = await stack.client.post("/api/v2/schedules/", json=body)
    assert refused.json() == {"variables_needed_to_start": ["'pw' value missing"]}
    told = {"variables_needed_to_start": ["Value (secret) for 'pw' expected to be a string."]}
    for odd in (7271934, 7.25, True, ["letmein"], {"pw": "letmein"}):
        open_ = await stack.client.post(
            "/api/v2/schedules/", json={**body, "extra_data": {"pw": odd}}
        )
        assert (open_.status_code, open_.json()) == (400, told), odd
    schedule = await stack.make("schedules", **body, extra_data={"pw": "letmein"})
    assert schedule["extra_data"] == {"pw": "$encrypted$"}
    changed = await stack.client.patch(
        schedule["url"], json={"extra_data": {"pw": "$encrypted$"}, "description": "d"}
    )
    assert changed.status_code == 200, changed.text
    async with stack.services.read.view() as view:
        stored = json.loads(
            await view.value('select "extra_data" from "schedule" where "id" = $1', schedule["id"])
        )
    assert stored["pw"] != "letmein"
    assert await stack.services.vault.open("schedule", schedule["id"], stored["pw"]) == "letmein"


async def test_schedule_of_a_job_is_off_and_prompts_as_it_did(stack: Stack) -> None:
    """What a job was prompted for becomes the prompts of its schedule, secrets sealed again."""
    asked = ("limit", "variables", "credential", "labels", "instance_groups")
    flags = {f"ask_{name}_on_launch": True for name in asked}
    made = await asking(stack, "again", {"type": "password", "variable": "pw"}, **flags)
    organization = made["organization"]
    credential = await stack.make(
        "credentials", name="again", organization=organization, credential_type=1, inputs={}
    )
    label = await stack.make("labels", name="again", organization=organization)
    group = await stack.make("instance_groups", name="again")
    prompts = {
        "limit": "web",
        "credentials": [credential["id"]],
        "labels": [label["id"]],
        "instance_groups": [group["id"]],
        "extra_vars": {"a": 1, "pw": "letmein"},
    }
    done = await stack.client.post(f"{made['url']}launch/", json=prompts)
    assert done.status_code == 201, done.text
    url = f"/api/v2/jobs/{done.json()['job']}/create_schedule/"
    assert (await stack.client.get(url)).json() == {
        "can_schedule": True,
        "prompts": {
            "limit": "web",
            "credentials": [{"id": credential["id"], "name": "again"}],
            "labels": [{"id": label["id"], "name": "again"}],
            "instance_groups": [{"id": group["id"], "name": "again"}],
            "extra_vars": {"a": 1, "pw": "$encrypted$"},
        },
    }
    answered = await stack.client.post(url, json={})
    assert answered.status_code == 201, answered.text
    schedule = answered.json()
    assert (schedule["enabled"], schedule["next_run"]) == (False, None)
    shown = (schedule["limit"], schedule["extra_data"])
    assert shown == ("web", {"a": 1, "pw": "$encrypted$"})
    for below, target in (("credentials", credential), ("instance_groups", group)):
        listed = (await stack.client.get(f"{schedule['url']}{below}/")).json()["results"]
        assert [each["id"] for each in listed] == [target["id"]]
    # What was given as a password stays secret, whatever the question has become.
    text = survey({"type": "text", "variable": "pw", "max": 3})
    assert (await stack.client.post(f"{made['url']}survey_spec/", json=text)).status_code == 200
    second = (await stack.client.post(url, json={})).json()
    assert second["name"] == f"{schedule['name']} - number 1"
    assert second["extra_data"] == {"a": 1, "pw": "$encrypted$"}
    user = await stack.add_user("scheduler")
    role = made["summary_fields"]["object_roles"]["execute_role"]["id"]
    await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    foreign = await stack.as_user("scheduler").post(url, json={})
    assert foreign.status_code == 403


async def test_survey_needs_the_right_to_edit(stack: Stack) -> None:
    """Who may only run a template sees its questions and changes nothing."""
    made = await asking(stack, "guarded", {"type": "text", "variable": "v"})
    user = await stack.add_user("survey-user")
    client = stack.as_user("survey-user")
    url = f"{made['url']}survey_spec/"
    assert (await client.get(url)).status_code == 403
    role = made["summary_fields"]["object_roles"]["execute_role"]["id"]
    await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    assert (await client.get(url)).status_code == 200
    assert (await client.post(url, json=survey())).status_code == 403
    assert (await client.delete(url)).status_code == 403
    assert (await client.get("/api/v2/job_templates/999999/survey_spec/")).status_code == 404


async def test_what_cannot_be_kept_is_refused(stack: Stack) -> None:
    """Values nested without end and numbers beyond all bounds are 400, not errors of their own."""
    made = await template(stack, "bounds")
    url = f"{made['url']}survey_spec/"
    nested: Any = "x"
    for _ in range(500):
        nested = [nested]
    question = {"type": "integer", "variable": "v"}
    for more, key in (
        ({"extra": nested}, "detail"),
        ({"min": 10**30}, "error"),
        ({"default": 10**30}, "error"),
    ):
        answered = await stack.client.post(url, json=survey({**question, **more}))
        assert answered.status_code == 400, more
        assert list(answered.json()) == [key]
    assert (await stack.client.get(url)).json() == {}
