"""Who may run a template without seeing what others ran: ``JobTemplate Execute Own``."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from controlplane.api.auth import principal_of
from controlplane.api.live_routes import Watcher
from ops import clock
from schemas.events.job import NamedRef
from schemas.output import HostStats
from schemas.role_definitions import EXECUTE_OWN, definition_of
from tests.api.instances import add_job, add_report
from tests.api.stack import Stack
from tests.factories import launched

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINE, OTHERS = 901, 902
OWN = definition_of("job_template", EXECUTE_OWN)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def template(stack: Stack) -> dict[str, Any]:
    """A template that ``one`` may run by own right and ``two`` by a team; each ran it once."""
    organization = (await stack.make("organizations", name="shared"))["id"]
    project = await stack.make(
        "projects", name="p", organization=organization, scm_type="git", scm_url="https://e.com/x"
    )
    inventory = await stack.make("inventories", name="i", organization=organization)
    host = await stack.make("hosts", name="h", inventory=inventory["id"])
    made = await stack.make(
        "job_templates",
        name="t",
        project=project["id"],
        inventory=inventory["id"],
        playbook="site.yml",
    )
    one, two = await stack.add_user("one"), await stack.add_user("two")
    team = await stack.make("teams", name="runners", organization=organization)
    await stack.client.post(f"{team['url']}users/", json={"id": two})
    for path, holder in (("user", one), ("team", team["id"])):
        body = {"role_definition": OWN, path: holder, "object_id": str(made["id"])}
        given = await stack.client.post(f"/api/v2/role_{path}_assignments/", json=body)
        assert given.status_code == 201, given.text
    at = clock.now()
    for number, user, name in ((MINE, one, "one"), (OTHERS, two, "two")):
        by = NamedRef(type="user", id=user, name=name)
        record = {"job_template": made["id"], "inventory": inventory["id"]}
        job = launched(
            number,
            organization=organization,
            template=made["id"],
            launched_by=by,
            created=at,
            created_by=user,
        )
        await add_job(stack, _about(job, record), "successful", at)
        await add_report(stack, number, at, {"h": HostStats(host=host["id"], ok=1)})
    return {**made, "host": host, "team": team}


def _about(job: Any, record: dict[str, Any]) -> Any:
    return msgspec.structs.replace(job, record=msgspec.structs.replace(job.record, **record))


async def ids_of(client: httpx.AsyncClient, path: str) -> list[int]:
    """Return the ids in a list."""
    answered = await client.get(path)
    assert answered.status_code == 200, answered.text
    return [row["id"] for row in answered.json()["results"]]


@pytest.mark.parametrize(
    "path", ["/api/v2/jobs/", "/api/v2/unified_jobs/?type=job", "/api/v2/job_templates/{}/jobs/"]
)
async def test_lists_hold_only_what_one_ran(
    stack: Stack, template: dict[str, Any], path: str
) -> None:
    """Each of two runners of the same template finds the own job; the superuser finds both."""
    full = path.format(template["id"])
    assert await ids_of(stack.as_user("one"), full) == [MINE]
    assert await ids_of(stack.as_user("two"), full) == [OTHERS]
    assert sorted(await ids_of(stack.client, full)) == [MINE, OTHERS]


async def test_details_events_and_output_of_others_are_refused(
    stack: Stack, template: dict[str, Any]
) -> None:
    """What a list does not show is not shown by its id either, nor anything below it."""
    client = stack.as_user("one")
    below = ("", "job_events/", "job_host_summaries/", "stdout/?format=txt", "relaunch/")
    paths = [f"/api/v2/jobs/{OTHERS}/{path}" for path in below]
    for path in (*paths, f"/api/playlog/jobs/{OTHERS}/stream/"):
        refused = await client.get(path)
        assert refused.status_code == 403, path
    for path in ("", "job_events/", "job_host_summaries/"):
        assert (await client.get(f"/api/v2/jobs/{MINE}/{path}")).status_code == 200, path
    assert (await client.post(f"/api/v2/jobs/{OTHERS}/cancel/")).status_code == 403
    summaries = (await client.get(f"/api/v2/jobs/{MINE}/job_host_summaries/")).json()["results"]
    (theirs,) = await ids_of(stack.client, f"/api/v2/jobs/{OTHERS}/job_host_summaries/")
    assert len(summaries) == 1
    assert (await client.get(f"/api/v2/job_host_summaries/{theirs}/")).status_code == 403


async def test_what_is_live_is_decided_alike(stack: Stack, template: dict[str, Any]) -> None:
    """Websocket groups and NATS users are given for the own job alone."""
    async with stack.services.read.view() as view:
        row = await view.named_row("user_by_name", "one")
        assert row is not None
        who = await principal_of(row, view)
    watcher = Watcher(stack.services, who)
    mine = await watcher.job(MINE)
    assert mine is not None
    assert mine.id == MINE
    assert await watcher.job(OTHERS) is None
    path = "/api/playlog/live_credentials/"
    refused = await stack.as_user("one").post(path, json={"jobs": [MINE, OTHERS]})
    assert refused.status_code == 403
    own = await stack.as_user("one").post(path, json={"jobs": [MINE]})
    assert own.json() == {"detail": "This NATS has no accounts: no users can be made."}


async def test_the_template_is_seen_and_run_but_tells_nothing_of_others(
    stack: Stack, template: dict[str, Any]
) -> None:
    """The template shows no recent jobs and no state; it can be launched and not changed."""
    client = stack.as_user("one")
    shown = (await client.get(template["url"])).json()
    assert shown["summary_fields"]["recent_jobs"] == []
    assert "last_job" not in shown["summary_fields"]
    assert (shown["status"], shown["last_job_run"]) == ("never updated", None)
    assert "last_job" not in shown["related"]
    rights = shown["summary_fields"]["user_capabilities"]
    assert (rights["start"], rights["edit"], rights["delete"]) == (True, False, False)
    assert (await client.patch(template["url"], json={"name": "x"})).status_code == 403
    seen = (await stack.client.get(template["url"])).json()
    assert {job["id"] for job in seen["summary_fields"]["recent_jobs"]} == {MINE, OTHERS}


async def test_a_runner_sees_the_job_just_launched(stack: Stack, template: dict[str, Any]) -> None:
    """Launching answers 201, and the new job is in the own list and in nobody else's."""
    client = stack.as_user("two")
    before = await ids_of(client, "/api/v2/jobs/")
    answered = await client.post(f"{template['url']}launch/", json={})
    assert answered.status_code == 201, answered.text
    number = answered.json()["id"]
    assert sorted(await ids_of(client, "/api/v2/jobs/")) == sorted([*before, number])
    assert number not in await ids_of(stack.as_user("one"), "/api/v2/jobs/")
    assert (await client.post(f"/api/v2/jobs/{number}/cancel/")).status_code == 202


async def test_taking_the_role_away_hides_the_own_jobs(
    stack: Stack, template: dict[str, Any]
) -> None:
    """Without the role nothing of the template is seen any more."""
    client = stack.as_user("two")
    (user,) = await ids_of(stack.client, "/api/v2/users/?username=two")
    members = f"{template['team']['url']}users/"
    await stack.client.post(members, json={"id": user, "disassociate": True})
    assert await ids_of(client, "/api/v2/jobs/") == []
    assert (await client.get(f"/api/v2/jobs/{OTHERS}/")).status_code == 403
    assert (await client.get(template["url"])).status_code == 403
