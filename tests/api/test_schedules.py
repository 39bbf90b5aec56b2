"""Schedules over HTTP: of any kind of template, checked, dated, and gone with what they run."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.writes import context_of
from ops.cli import unrun
from schemas import subjects
from schemas.envelope import SYSTEM
from schemas.events.resource import ResourceUpdated
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULE = "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;COUNT=3"


async def template(stack: Stack, name: str, **more: Any) -> dict[str, Any]:
    """Make a job template of a project of its own."""
    organization = await stack.make("organizations", name=name)
    inventory = await stack.make("inventories", name=name, organization=organization["id"])
    project = await stack.make(
        "projects",
        name=name,
        organization=organization["id"],
        scm_type="git",
        scm_url="https://e.com/x.git",
    )
    return await stack.make(
        "job_templates",
        **{
            "name": name,
            "project": project["id"],
            "inventory": inventory["id"],
            "playbook": "site.yml",
            **more,
        },
    )


async def test_schedule_of_a_template_is_dated_and_linked(stack: Stack) -> None:
    """Times follow from the rule; the reference leads to the right kind of template."""
    made = await template(stack, "dated")
    schedule = await stack.make("schedules", name="s", unified_job_template=made["id"], rrule=RULE)
    assert schedule["dtstart"] == schedule["next_run"] == "2030-01-01T00:00:00Z"
    assert schedule["dtend"] == "2030-01-03T00:00:00Z"
    assert (schedule["timezone"], schedule["until"]) == ("UTC", "")
    assert schedule["related"]["unified_job_template"] == made["url"]
    assert schedule["summary_fields"]["unified_job_template"] == {
        "id": made["id"],
        "name": "dated",
        "description": "",
        "unified_job_type": "job",
    }
    listed = await stack.client.get(f"{made['url']}schedules/")
    assert [each["id"] for each in listed.json()["results"]] == [schedule["id"]]


async def test_a_branch_is_kept_only_where_the_project_lets_it(stack: Stack) -> None:
    """A schedule may name another branch than the project's while that may be overridden."""
    made = await template(stack, "branched")
    project = made["related"]["project"]
    await stack.client.patch(project, json={"allow_override": True, "scm_branch": "main"})
    await stack.client.patch(made["url"], json={"ask_scm_branch_on_launch": True})
    body = {"name": "b", "rrule": RULE, "unified_job_template": made["id"], "scm_branch": "other"}
    kept = await stack.make("schedules", **body)
    assert kept["scm_branch"] == "other"
    await stack.client.patch(project, json={"allow_override": False})
    refused = await stack.client.post("/api/v2/schedules/", json={**body, "name": "c"})
    text = "Project does not allow override of branch."
    assert (refused.status_code, refused.json()) == (400, {"scm_branch": [text]})
    await stack.make("schedules", **{**body, "name": "d", "scm_branch": "main"})


async def test_writer_of_an_enabled_schedule_is_warned(stack: Stack) -> None:
    """Nothing fires a schedule yet: it is kept, and the answer says so while it is enabled."""
    made = await template(stack, "warned")
    body = {"name": "w", "rrule": RULE, "unified_job_template": made["id"]}
    answered = await stack.client.post("/api/v2/schedules/", json=body)
    warning = '299 playlog "Playlog does not fire schedules yet."'
    assert (answered.status_code, answered.headers["warning"]) == (201, warning)
    off = await stack.client.patch(answered.json()["url"], json={"enabled": False})
    assert "warning" not in off.headers
    assert off.json()["next_run"] is None


async def test_doctor_names_what_will_not_happen(stack: Stack) -> None:
    """Enabled schedules and attached notifications are told of; what is off is not."""
    made = await template(stack, "told")
    body = {"rrule": RULE, "unified_job_template": made["id"]}
    await stack.make("schedules", **body, name="told-on")
    await stack.make("schedules", **body, name="told-off", enabled=False)
    before = await unrun.warnings(stack.services.settings)
    assert len(before) == 1
    assert "enabled schedules will not fire: " in before[0]
    assert "told-off" not in before[0]
    hook = await stack.make(
        "notification_templates",
        name="told",
        organization=made["organization"],
        notification_type="webhook",
        notification_configuration={"url": "https://hooks.example.com/", "headers": {}},
    )
    attached = await stack.client.post(
        f"{made['url']}notification_templates_error/", json={"id": hook["id"]}
    )
    assert attached.status_code == 204
    after = await unrun.warnings(stack.services.settings)
    assert after == [*before, "1 attached notifications will not be sent"]


async def test_preview_shows_times_in_the_zone_and_in_utc(stack: Stack) -> None:
    """Ten times at most, nothing stored; the zones there are can be asked for."""
    rule = "DTSTART;TZID=Europe/Berlin:20300101T090000 RRULE:FREQ=DAILY;INTERVAL=1;COUNT=2"
    found = await stack.client.post("/api/v2/schedules/preview/", json={"rrule": rule})
    assert found.json() == {
        "local": ["2030-01-01T09:00:00+01:00", "2030-01-02T09:00:00+01:00"],
        "utc": ["2030-01-01T08:00:00Z", "2030-01-02T08:00:00Z"],
    }
    endless = "DTSTART:20300101T000000Z RRULE:FREQ=MINUTELY;INTERVAL=1"
    many = await stack.client.post("/api/v2/schedules/preview/", json={"rrule": endless})
    assert len(many.json()["utc"]) == 10
    for wrong in (None, 5, ["x"], "RRULE:FREQ=DAILY;INTERVAL=1", "\x00"):
        refused = await stack.client.post("/api/v2/schedules/preview/", json={"rrule": wrong})
        assert refused.status_code == 400
        assert list(refused.json()) == ["rrule"]
    zones = (await stack.client.get("/api/v2/schedules/zoneinfo/")).json()
    assert "Europe/Berlin" in zones["zones"]
    assert zones["links"]["US/Eastern"] == "America/New_York"


async def test_who_made_a_schedule_may_change_it(stack: Stack) -> None:
    """With execute on the template one changes one's own schedules, not those of others."""
    made = await template(stack, "own")
    user = await stack.add_user("own-schedules")
    client = stack.as_user("own-schedules")
    role = made["summary_fields"]["object_roles"]["execute_role"]["id"]
    await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    body = {"rrule": RULE, "unified_job_template": made["id"]}
    mine = await client.post("/api/v2/schedules/", json={**body, "name": "mine"})
    assert mine.status_code == 201, mine.text
    theirs = await stack.make("schedules", **body, name="theirs")
    changed = await client.patch(mine.json()["url"], json={"description": "x"})
    assert changed.status_code == 200
    assert (await client.patch(theirs["url"], json={"description": "x"})).status_code == 403
    assert (await client.delete(theirs["url"])).status_code == 403
    assert (await client.delete(mine.json()["url"])).status_code == 204


async def test_schedule_goes_with_what_it_runs(stack: Stack) -> None:
    """A deleted template takes its schedules along."""
    made = await template(stack, "going")
    answered = await stack.client.post(
        f"{made['url']}schedules/", json={"name": "s", "rrule": RULE}
    )
    assert answered.status_code == 201, answered.text
    assert (await stack.client.delete(made["url"])).status_code == 204
    assert (await stack.client.get(answered.json()["url"])).status_code == 404


async def test_schedules_are_filtered_through_their_template(stack: Stack) -> None:
    """Filters follow the shared reference, both ways."""
    made = await template(stack, "filtered")
    await stack.make("schedules", name="mine", unified_job_template=made["id"], rrule=RULE)
    found = await stack.client.get("/api/v2/schedules/?unified_job_template__name=filtered")
    assert [each["name"] for each in found.json()["results"]] == ["mine"]
    above = await stack.client.get("/api/v2/job_templates/?schedules__name=mine")
    assert [each["name"] for each in above.json()["results"]] == ["filtered"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"rrule": "nonsense"}, "rrule"),
        ({"rrule": 5}, "rrule"),
        ({"rrule": None}, "rrule"),
        ({"unified_job_template": 999999}, "unified_job_template"),
        ({"unified_job_template": None}, "unified_job_template"),
        ({"unified_job_template": [1]}, "unified_job_template"),
        ({"name": ""}, "name"),
        ({"verbosity": 9}, "verbosity"),
        ({"extra_data": []}, "extra_data"),
    ],
)
async def test_bad_schedule_is_refused(stack: Stack, change: dict[str, Any], error: str) -> None:
    """What does not fit is a 400 under the field's name."""
    body = {"name": "bad", "unified_job_template": 1, "rrule": RULE, **change}
    answered = await stack.client.post("/api/v2/schedules/", json=body)
    assert answered.status_code == 400, answered.text
    assert list(answered.json()) == [error]


async def test_every_wrong_in_a_rule_is_named(stack: Stack) -> None:
    """AWX tells all that is wrong with a rule at once."""
    body = {"name": "x", "unified_job_template": 1, "rrule": "RRULE:FREQ=SECONDLY;COUNT=1000"}
    answered = await stack.client.post("/api/v2/schedules/", json=body)
    assert answered.json()["rrule"] == [
        "Valid DTSTART required in rrule. Value should start with: DTSTART:YYYYMMDDTHHMMSSZ",
        "INTERVAL required in rrule: RULE:FREQ=SECONDLY;COUNT=1000",
        "COUNT > 999 is unsupported: RULE:FREQ=SECONDLY;COUNT=1000",
    ]


async def test_manual_project_has_no_schedule(stack: Stack) -> None:
    """Nothing can update a directory that somebody keeps by hand."""
    organization = await stack.make("organizations", name="manual")
    project = await stack.make("projects", name="manual", organization=organization["id"])
    body = {"name": "s", "unified_job_template": project["id"], "rrule": RULE}
    answered = await stack.client.post("/api/v2/schedules/", json=body)
    assert answered.json() == {
        "unified_job_template": ["Manual Project cannot have a schedule set."]
    }


async def test_unified_list_holds_every_kind(stack: Stack) -> None:
    """Each row is as its own list shows it; type, name and organization pick some."""
    made = await template(stack, "unified")
    everything = await stack.client.get("/api/v2/unified_job_templates/?name=unified")
    assert sorted(row["type"] for row in everything.json()["results"]) == [
        "job_template",
        "project",
    ]
    picked = await stack.client.get(
        "/api/v2/unified_job_templates/",
        params={
            "type": "job_template",
            "name": "unified",
            "organization": made["organization"],
        },
    )
    own = await stack.client.get("/api/v2/job_templates/?name=unified")
    assert picked.json()["results"] == own.json()["results"]
    unknown = await stack.client.get("/api/v2/unified_job_templates/?colour=red")
    assert unknown.json() == {"detail": "UnifiedJobTemplate has no field named 'colour'"}


async def test_what_runs_is_seen_by_its_own_rights(stack: Stack) -> None:
    """A user sees the schedules of templates that they may read, and no other."""
    made = await template(stack, "rights")
    schedule = await stack.make("schedules", name="r", unified_job_template=made["id"], rrule=RULE)
    user = await stack.add_user("sched")
    client = stack.as_user("sched")
    assert (await client.get("/api/v2/schedules/")).json()["count"] == 0
    assert (await client.get("/api/v2/unified_job_templates/")).json()["count"] == 0
    assert (await client.get(schedule["url"])).status_code == 403
    body = {"name": "x", "unified_job_template": made["id"], "rrule": RULE}
    assert (await client.post("/api/v2/schedules/", json=body)).status_code == 403
    role = made["summary_fields"]["object_roles"]["execute_role"]["id"]
    granted = await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    assert granted.status_code == 204
    assert (await client.get("/api/v2/schedules/")).json()["count"] == 1
    assert (await client.get("/api/v2/unified_job_templates/")).json()["count"] == 1
    assert (await client.post("/api/v2/schedules/", json=body)).status_code == 201


async def test_system_templates_are_there_from_the_start(stack: Stack) -> None:
    """The four of AWX under AWX's ids, each with a schedule that is off."""
    found = (await stack.client.get("/api/v2/system_job_templates/?order_by=id")).json()
    assert [(row["id"], row["job_type"]) for row in found["results"]] == [
        (1, "cleanup_jobs"),
        (2, "cleanup_activitystream"),
        (4, "cleanup_sessions"),
        (5, "cleanup_tokens"),
    ]
    schedules = await stack.client.get("/api/v2/system_job_templates/1/schedules/")
    assert [(row["name"], row["enabled"]) for row in schedules.json()["results"]] == [
        ("Cleanup Job Schedule", False)
    ]
    assert (await stack.client.post("/api/v2/system_job_templates/", json={})).status_code == 405
    assert (await stack.client.delete("/api/v2/system_job_templates/1/")).status_code == 405


async def test_a_rule_of_other_days_is_shown(stack: Stack) -> None:
    """A log may hold a rule that is refused by now: it has no next time and breaks no list."""
    made = await template(stack, "older")
    schedule = await stack.make("schedules", name="o", unified_job_template=made["id"], rrule=RULE)
    rule = "DTSTART:00010101T000000Z RRULE:FREQ=DAILY;INTERVAL=1"
    event = ResourceUpdated(kind="schedule", id=schedule["id"], changes={"rrule": rule}, was={})
    subject = subjects.config("schedule", schedule["id"])
    position = await stack.services.store.append(subject, context_of(SYSTEM), (event,))
    assert await stack.services.catch_up.wait("config", position, 20)
    listed = await stack.client.get(f"{made['url']}schedules/")
    shown = listed.json()["results"][0]
    assert (shown["rrule"], shown["next_run"], shown["timezone"]) == (rule, None, "")
