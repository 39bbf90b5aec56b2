"""What goes beyond AWX: a ledger of changes, the difference of two runs, dry runs, resuming."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from ops import clock
from ops.blobs import Blobs
from schemas import subjects
from schemas.events.job import JobLaunched, NamedRef, PlaybookLaunch
from schemas.output import HostStats
from tests.api.instances import add_job, add_report
from tests.api.output import publish
from tests.api.stack import Stack
from tests.factories import launched

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND, CHECK, OTHERS = 911, 912, 913, 914
DIFF = {"before": "a\n", "after": "b\n", "before_header": "/etc/x", "after_header": "/etc/x"}
Made = dict[str, Any]


def result(host: int | None, name: str, task: str, **fields: Any) -> dict[str, Any]:
    """A task's result on a host, changed unless said otherwise."""
    data = {"task_action": "copy", "res": {"changed": True, "diff": DIFF}}
    values = {"event": "runner_on_ok", "changed": True, "play": "all", "parent_uuid": task}
    return {**values, "host": host, "host_name": name, "task": task, "event_data": data, **fields}


def task(name: str) -> dict[str, Any]:
    """The start of a task."""
    return {"event": "playbook_on_task_start", "uuid": name, "task": name, "play": "all"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(stack: Stack) -> Made:
    """Two runs of a template, a check run, and a run of another template."""
    organization = (await stack.make("organizations", name="acme"))["id"]
    project = await stack.make(
        "projects", name="p", organization=organization, scm_type="git", scm_url="https://e.com/x"
    )
    inventory = await stack.make("inventories", name="i", organization=organization)
    host = await stack.make("hosts", name="web1", inventory=inventory["id"])
    other = await stack.make("hosts", name="web2", inventory=inventory["id"])
    templates = [
        await stack.make(
            "job_templates",
            name=name,
            project=project["id"],
            inventory=inventory["id"],
            playbook="site.yml",
        )
        for name in ("one", "two")
    ]
    viewer = await stack.add_user("viewer")
    for where, role in ((templates[0], "read_role"), (inventory, "read_role")):
        number = where["summary_fields"]["object_roles"][role]["id"]
        given = await stack.client.post(f"/api/v2/roles/{number}/users/", json={"id": viewer})
        assert given.status_code == 204, given.text
    await stack.add_user("nobody")
    found = {"host": host, "other": other, "templates": templates, "organization": organization}
    await _runs(stack, found, project["id"], inventory["id"])
    return found


async def _runs(stack: Stack, made: Made, project: int, inventory: int) -> None:
    one, two = (each["id"] for each in made["templates"])
    at = clock.now()
    for number, template, changes in (
        (FIRST, one, {"extra_vars": '{"a":1,"b":2}', "limit": ""}),
        (SECOND, one, {"extra_vars": '{"a":1,"b":3,"c":4}', "limit": "web1"}),
        (CHECK, one, {"job_type": "check"}),
        (OTHERS, two, {}),
    ):
        by = NamedRef(type="user", id=1, name="admin")
        job = launched(
            number,
            name=f"run {number}",
            organization=made["organization"],
            template=template,
            launched_by=by,
            created=at,
        )
        fields = {"job_template": template, "project": project, "inventory": inventory, **changes}
        record = msgspec.structs.replace(job.record, **fields)
        await add_job(stack, msgspec.structs.replace(job, record=record), "successful", at)
    web1, web2 = (made[name]["id"] for name in ("host", "other"))
    await publish(
        stack,
        FIRST,
        [
            task("install"),
            result(web1, "web1", "install"),
            result(web2, "web2", "install", changed=False),
            task("old"),
            result(web1, "web1", "old", changed=False),
            {**result(web1, "web1", "old"), "event": "runner_item_on_ok"},
            result(None, "elsewhere", "install"),
        ],
    )
    censored = {"task_action": "user", "res": {"censored": "hidden"}}
    await publish(
        stack,
        SECOND,
        [
            task("install"),
            result(web1, "web1", "install", changed=False),
            result(web2, "web2", "install", event="runner_on_failed", failed=True, changed=False),
            task("new"),
            result(web1, "web1", "new", event_data=censored),
        ],
    )
    await publish(stack, CHECK, [task("install"), result(web1, "web1", "install")])
    await publish(stack, OTHERS, [task("theirs"), result(web1, "web1", "theirs")])


async def ledger(stack: Stack, made: Made, query: str = "", user: str = "admin") -> Any:
    """GET a host's changes."""
    path = f"/api/playlog/hosts/{made['host']['id']}/changes/"
    found = await stack.as_user(user).get(f"{path}{query}")
    assert found.status_code == 200, found.text
    return found.json()


async def test_a_ledger_names_every_change_of_a_host(stack: Stack, made: Made) -> None:
    """Newest first: what, by which job of whom, at which revision, and the diff."""
    found = await ledger(stack, made)
    assert [(row["job"]["id"], row["task"]) for row in found["results"]] == [
        (OTHERS, "theirs"),
        (SECOND, "new"),
        (FIRST, "install"),
    ]
    last = found["results"][-1]
    assert last["diff"] == [DIFF]
    assert (last["action"], last["censored"], last["diff_truncated"]) == ("copy", False, False)
    assert last["launched_by"]["name"] == "admin"
    assert last["job"]["name"] == f"run {FIRST}"
    assert last["job_template"] == made["templates"][0]["id"]
    assert (found["results"][1]["censored"], found["results"][1]["diff"]) == (True, [])
    event = await stack.client.get(last["event"])
    assert event.json()["task"] == "install"


async def test_a_ledger_is_filtered_and_paged(stack: Stack, made: Made) -> None:
    """By template, task and time; a page links to the next."""
    one = made["templates"][0]["id"]
    for query, tasks in (
        (f"?job_template={one}", ["new", "install"]),
        ("?task=install", ["install"]),
        ("?created__gt=2999", []),
        ("?created__lt=2999&job__name=run 912", ["new"]),
        ("?search=inst", ["install"]),
        ("?order_by=job", ["install", "new", "theirs"]),
    ):
        found = await ledger(stack, made, query)
        assert [row["task"] for row in found["results"]] == tasks, query
    first = await ledger(stack, made, "?page_size=2")
    assert (first["count"], len(first["results"])) == (3, 2)
    second = (await stack.client.get(first["next"])).json()
    assert [row["task"] for row in second["results"]] == ["install"]


async def test_a_ledger_shows_only_what_one_may_see(stack: Stack, made: Made) -> None:
    """Jobs of a template that is not seen are left out; without the host there is nothing."""
    found = await ledger(stack, made, user="viewer")
    assert [row["job"]["id"] for row in found["results"]] == [SECOND, FIRST]
    path = f"/api/playlog/hosts/{made['host']['id']}/changes/"
    assert (await stack.as_user("nobody").get(path)).status_code == 403
    assert (await stack.client.get("/api/playlog/hosts/99999/changes/")).status_code == 404
    refused = await stack.client.get(f"{path}?nothing=1")
    assert refused.status_code == 400
    assert "nothing" in refused.json()["detail"]


async def difference(
    stack: Stack, query: str = "", first: int = FIRST, second: int = SECOND
) -> Any:
    """GET the difference of two jobs."""
    found = await stack.client.get(f"/api/playlog/jobs/{first}/diff/{second}/{query}")
    assert found.status_code == 200, found.text
    return found.json()


def told(found: Any) -> list[tuple[Any, ...]]:
    """Return what results say: task, host, and what it came to in each run."""
    names = ("task", "host_name", "first", "second")
    return [tuple(row[name] for name in names) for row in found["results"]]


async def test_two_runs_differ_in_launch_and_results(stack: Stack, made: Made) -> None:
    """Variables by name, and each task of both whose result is another one on a host."""
    found = await difference(stack)
    assert (found["first"]["id"], found["second"]["id"], found["count"]) == (FIRST, SECOND, 3)
    assert found["launch"] == {
        "limit": ["", "web1"],
        "extra_vars": {
            "changed": {"b": [2, 3]},
            "only_in_first": {},
            "only_in_second": {"c": 4},
        },
    }
    assert told(found) == [
        ("install", "web1", "changed", "ok"),
        ("install", "web2", "ok", "failed"),
        ("install", "elsewhere", "changed", None),
    ]


async def test_tasks_of_one_run_alone_stand_apart(stack: Stack, made: Made) -> None:
    """What only one ran is asked for by itself, and filtered alike."""
    assert told(await difference(stack, "?only_in_one=true")) == [
        ("new", "web1", None, "changed"),
        ("old", "web1", "ok", None),
    ]
    assert told(await difference(stack, "?host_name=web2")) == [("install", "web2", "ok", "failed")]
    assert told(await difference(stack, "?task=new&only_in_one=1")) == [
        ("new", "web1", None, "changed")
    ]
    paged = await difference(stack, "?page_size=2")
    assert (paged["count"], len(paged["results"])) == (3, 2)
    assert told((await stack.client.get(paged["next"])).json()) == [
        ("install", "elsewhere", "changed", None)
    ]


async def test_a_run_does_not_differ_from_itself(stack: Stack, made: Made) -> None:
    """Nothing is found between a job and itself."""
    found = await difference(stack, second=FIRST)
    assert (found["launch"], found["results"]) == ({}, [])


async def test_a_difference_is_refused_in_words(stack: Stack, made: Made) -> None:
    """Unknown jobs and filters, and jobs that one may not see, on either side."""
    base = f"/api/playlog/jobs/{FIRST}/diff"
    for path, status in (
        (f"{base}/99999/", 404),
        (f"{base}/x/", 404),
        (f"{base}/{2**70}/", 404),
        (f"/api/playlog/jobs/99999/diff/{FIRST}/", 404),
        (f"{base}/{SECOND}/?nothing=1", 400),
        (f"{base}/{SECOND}/?page=9", 404),
    ):
        assert (await stack.client.get(path)).status_code == status, path
    viewer = stack.as_user("viewer")
    assert (await viewer.get(f"{base}/{SECOND}/")).status_code == 200
    assert (await viewer.get(f"{base}/{OTHERS}/")).status_code == 403
    assert (await viewer.get(f"/api/playlog/jobs/{OTHERS}/diff/{FIRST}/")).status_code == 403


async def dry_run(stack: Stack, template: Made, status: int = 200, **body: Any) -> Any:
    """POST a dry run."""
    path = f"/api/playlog/job_templates/{template['id']}/dry_run/"
    found = await stack.client.post(path, json=body)
    assert found.status_code == status, found.text
    return found.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asking(stack: Stack, made: Made) -> Made:
    """A template that asks for its limit, on three hosts, with a machine credential that asks."""
    inventory = made["host"]["inventory"]
    group = await stack.make("groups", name="web", inventory=inventory)
    for host in (made["host"], made["other"]):
        await stack.client.post(f"/api/v2/groups/{group['id']}/hosts/", json={"id": host["id"]})
    await stack.make("hosts", name="db1", inventory=inventory)
    await stack.make("hosts", name="off", inventory=inventory, enabled=False)
    types = await stack.client.get("/api/v2/credential_types/?kind=ssh")
    credential = await stack.make(
        "credentials",
        name="machine",
        organization=made["organization"],
        credential_type=types.json()["results"][0]["id"],
        inputs={"username": "u", "password": "ASK"},
    )
    template = await stack.make(
        "job_templates",
        name="asking",
        project=made["templates"][0]["project"],
        inventory=inventory,
        playbook="site.yml",
        ask_limit_on_launch=True,
        ask_job_slice_count_on_launch=True,
    )
    path = f"/api/v2/job_templates/{template['id']}/credentials/"
    assert (await stack.client.post(path, json={"id": credential["id"]})).status_code == 204
    return template


async def test_a_dry_run_says_what_a_launch_would_run_on(stack: Stack, asking: Made) -> None:
    """Hosts of the limit, shares of slices, credentials; nothing is launched."""
    before = (await stack.client.get("/api/v2/unified_jobs/")).json()["count"]
    body: dict[str, Any] = {
        "limit": "web:!web2:nobody",
        "job_slice_count": 2,
        "forks": 9,
        "ssh_password": "secret",
    }
    found = await dry_run(stack, asking, **body)
    assert (found["would_launch"], found["refused"]) == (True, {})
    assert found["ignored_fields"] == {"forks": 9}
    inventory = found["inventory"]
    assert inventory["hosts"] == {"count": 1, "names": ["web1"], "truncated": False}
    assert inventory["unmatched"] == ["nobody"]
    assert (inventory["enabled_hosts"], inventory["disabled_hosts"]) == (3, 1)
    assert inventory["slices"] == [
        {"slice": 1, "hosts": 2, "within_limit": 0},
        {"slice": 2, "hosts": 1, "within_limit": 1},
    ]
    assert found["credentials"][0]["passwords_needed"] == ["ssh_password"]
    assert found["launch"]["limit"] == body["limit"]
    assert (found["project"]["name"], found["project"]["has_content"]) == ("p", False)
    assert found["instance_groups"] == ["default"]
    assert "secret" not in str(found)
    assert (await stack.client.get("/api/v2/unified_jobs/")).json()["count"] == before


async def test_a_dry_run_says_what_would_be_refused(stack: Stack, asking: Made) -> None:
    """Missing passwords and wrong prompts, as a launch words them; what is known is shown."""
    found = await dry_run(stack, asking, limit="~web.*")
    assert found["refused"] == {"passwords_needed_to_start": ["ssh_password"]}
    assert found["would_launch"] is False
    assert found["inventory"]["hosts"] is None
    assert "~web" in found["inventory"]["hosts_unknown"]
    wrong = await dry_run(stack, asking, limit=["a"])
    assert "limit" in wrong["refused"]
    assert "inventory" not in wrong
    refused = await dry_run(stack, asking, 400, plan=True)
    assert refused["refused"] == {"passwords_needed_to_start": ["ssh_password"]}


async def test_a_dry_run_is_for_those_who_may_launch(stack: Stack, made: Made) -> None:
    """A viewer of the template may not, an unknown template is 404, a plan is true or false."""
    path = f"/api/playlog/job_templates/{made['templates'][0]['id']}/dry_run/"
    assert (await stack.as_user("viewer").post(path, json={})).status_code == 403
    unknown = await stack.client.post("/api/playlog/job_templates/99999/dry_run/", json={})
    assert unknown.status_code == 404
    for body in ({"plan": "yes"}, {"plan": 1}):
        assert (await stack.client.post(path, json=body)).status_code == 400


async def test_a_plan_is_a_job_apart(stack: Stack, made: Made) -> None:
    """Its job stands in no list of runs and moves no template; its plan is open until it ends."""
    template = made["templates"][0]
    found = await dry_run(stack, template, 202, plan=True)
    job = found["plan"]["job"]
    shown = (await stack.client.get(found["plan"]["url"])).json()
    assert (shown["name"], shown["status"]) == ("one (dry run)", "pending")
    for path in ("jobs", "unified_jobs", f"job_templates/{template['id']}/jobs"):
        rows = (await stack.client.get(f"/api/v2/{path}/")).json()["results"]
        assert job not in [row["id"] for row in rows], path
    before = (await stack.client.get(template["url"])).json()
    assert before["summary_fields"].get("last_job", {}).get("id") != job
    plan = (await stack.client.get(found["plan"]["plan"])).json()
    assert (plan["finished"], plan["plays"], plan["syntax_ok"]) == (False, [], None)
    relaunched = await stack.client.post(f"/api/v2/jobs/{job}/relaunch/", json={})
    assert relaunched.status_code == 400
    assert (await stack.client.get(f"/api/playlog/jobs/{FIRST}/plan/")).status_code == 400
    assert (await stack.as_user("nobody").get(found["plan"]["plan"])).status_code == 403
    assert (await stack.client.post(f"/api/v2/jobs/{job}/cancel/")).status_code == 202


BROKEN, SITE = (
    915,
    "- hosts: all\n  tasks:\n    - name: one\n      ping:\n    - name: two\n      ping:\n",
)


def tree(files: dict[str, str]) -> bytes:
    """Pack a project."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return packed.getvalue()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broken(stack: Stack, made: Made) -> str:
    """A run that failed on one of two hosts at its second task; returns its path."""
    content = await Blobs(stack.services.nats).put(tree({"site.yml": SITE}))
    template, at = made["templates"][0], clock.now()
    job = launched(BROKEN, organization=made["organization"], template=template["id"], created=at)
    record = msgspec.structs.replace(
        job.record,
        job_template=template["id"],
        project=template["project"],
        inventory=template["inventory"],
        prompted={},
    )
    placed = {"project_content": content, "scm_revision": "abc"}
    await add_job(stack, msgspec.structs.replace(job, record=record), "failed", at, placed=placed)
    stats = {"web1": HostStats(host=made["host"]["id"], failures=1), "web2": HostStats(ok=2)}
    await add_report(stack, BROKEN, at, stats)
    where = {"event_data": {"task_path": "/x/project/site.yml:5", "task_action": "ping"}}
    failure = {"failed": True, "event": "runner_on_failed", "changed": False}
    await publish(
        stack,
        BROKEN,
        [
            {"event": "playbook_on_play_start", "uuid": "play"},
            {**task("two"), **where},
            result(made["host"]["id"], "web1", "two", **failure),
        ],
    )
    return f"/api/playlog/jobs/{BROKEN}/resume/"


async def test_a_failed_job_is_resumed_at_its_revision(stack: Stack, broken: str) -> None:
    """The new job starts at the task, on the host, with the content of the failed one."""
    told = (await stack.client.get(broken)).json()
    assert (told["can_resume"], told["reasons"]) == (True, [])
    assert (told["start_at_task"], told["limit"]) == ("two", "web1")
    assert (told["failed_at"], told["failed_hosts"]) == ({"web1": "two"}, 1)
    key = {"Idempotency-Key": "resume-once"}
    made = await stack.client.post(broken, json={}, headers=key)
    assert made.status_code == 201, made.text
    job = made.json()
    assert (job["start_at_task"], job["limit"]) == ("two", "web1")
    assert job["launch_type"] == "relaunch"
    again = await stack.client.post(broken, json={}, headers=key)
    assert again.json()["id"] == job["id"]
    history = await stack.services.store.load(subjects.job(job["id"]))
    (event,) = history[0].events
    assert isinstance(event, JobLaunched)
    assert isinstance(event.record, PlaybookLaunch)
    assert event.record.pinned is not None
    assert event.record.pinned.revision == "abc"
    assert event.relaunch_of == BROKEN


async def test_resuming_is_refused_in_words(stack: Stack, made: Made, broken: str) -> None:
    """A job that has not failed, one whose template has changed, and callers without rights."""
    done = await stack.client.post(f"/api/playlog/jobs/{FIRST}/resume/", json={})
    text = "Only a failed job can be resumed, this one is successful."
    assert (done.status_code, done.json()) == (400, {"errors": [text]})
    template = made["templates"][0]
    await stack.client.patch(template["url"], json={"job_tags": "other"})
    changed = await stack.client.post(broken, json={})
    assert changed.json() == {"errors": ["The job template has another job_tags now."]}
    await stack.client.patch(template["url"], json={"job_tags": ""})
    viewer = stack.as_user("viewer")
    assert (await viewer.get(broken)).status_code == 200
    assert (await viewer.post(broken, json={})).status_code == 403
    assert (await stack.as_user("nobody").get(broken)).status_code == 403
    assert (await stack.client.get("/api/playlog/jobs/99999/resume/")).status_code == 404
    types = await stack.client.get("/api/v2/credential_types/?namespace=gpg_public_key")
    kind = types.json()["results"][0]["id"]
    owner = {"organization": made["organization"], "credential_type": kind}
    key = await stack.make("credentials", name="who signs", **owner)
    named = {"signature_validation_credential": key["id"]}
    project = f"/api/v2/projects/{template['project']}/"
    assert (await stack.client.patch(project, json=named)).status_code == 200
    text = "The job's revision has not been verified by who signs the project now."
    assert (await stack.client.get(broken)).json()["reasons"] == [text]
