"""One real job after another on a whole deployment, driven by the awx command and HTTP."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops import connect as nats
from ops import direct
from tests.deployment.conftest import PASSWORD, Deployment
from tests.waiting import eventually

AWX = str(Path(sys.executable).parent / "awx")
pytestmark = pytest.mark.timeout(180)


def awx(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the unmodified awx command."""
    login = ("--conf.host", deployment.url, "--conf.username", "admin")
    return subprocess.run(
        [AWX, *login, "--conf.password", PASSWORD, "--conf.color", "f", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_awx_command_launches_and_follows_a_job(deployment: Deployment) -> None:
    """``launch --monitor`` prints the output to the recap and succeeds; ``stdout`` repeats it."""
    deployment.template("greet", "site.yml", ask_variables_on_launch=True)
    done = awx(
        deployment,
        *("job_templates", "launch", "greet", "--extra_vars", '{"extra": "world"}'),
        *("--monitor", "-f", "json"),
    )
    assert done.returncode == 0, done.stderr
    assert "hello one world" in done.stdout
    assert "PLAY RECAP" in done.stdout
    job = deployment.get("/api/v2/jobs/", order_by="-id")["results"][0]["id"]
    shown = awx(deployment, "jobs", "stdout", str(job))
    assert "hello two world" in shown.stdout
    found = deployment.ended(job)
    assert found["status"] == "successful"
    assert found["artifacts"] == {"answer": 42}
    assert found["host_status_counts"] == {"ok": 2}
    assert found["playbook_counts"] == {"play_count": 1, "task_count": 2}


def test_events_tile_the_output_and_carry_their_hosts(deployment: Deployment) -> None:
    """Counters have no gap, lines no overlap, and host events name the host's id."""
    job = deployment.launch(deployment.template("tile", "site.yml"))
    deployment.ended(job)
    events = deployment.get(f"/api/v2/jobs/{job}/job_events/", page_size=200, order_by="counter")[
        "results"
    ]
    assert [event["counter"] for event in events] == list(range(1, len(events) + 1))
    line = 0
    for event in events:
        assert event["start_line"] == line
        line = event["end_line"]
    hosts = {
        row["name"]: row["id"]
        for row in deployment.get(f"/api/v2/inventories/{deployment.inventory}/hosts/")["results"]
    }
    named = {event["host_name"]: event["host"] for event in events if event["host"]}
    assert named == hosts
    summaries = deployment.get(f"/api/v2/jobs/{job}/job_host_summaries/")["results"]
    assert {row["host"]: row["ok"] for row in summaries} == dict.fromkeys(hosts.values(), 2)


def test_live_output_is_tailed_over_nats(deployment: Deployment) -> None:
    """``playlog tail`` starts with the first line and ends with the job."""
    job = deployment.launch(deployment.template("tailed", "site.yml"))
    output = deployment.playlog("tail", str(job))
    assert "TASK [greet]" in output
    assert "PLAY RECAP" in output


def test_server_sent_events_follow_a_job_without_a_gap(deployment: Deployment) -> None:
    """History, then live, then the end; a cursor goes on behind what was seen."""
    job = deployment.launch(deployment.template("streamed", "site.yml"))

    def counters(**headers: str) -> tuple[list[int], list[str]]:
        path = f"/api/playlog/jobs/{job}/stream/"
        seen: list[int] = []
        kinds: list[str] = []
        with deployment.client.stream("GET", path, headers=headers, timeout=60) as answer:
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    seen.append(int(line[4:]))
                elif line.startswith("event: "):
                    kinds.append(line[7:])
        return seen, kinds

    seen, kinds = counters()
    assert seen == list(range(1, len(seen) + 1))
    assert kinds[-1] == "end"
    assert counters(**{"Last-Event-ID": str(seen[-2])})[0] == seen[-1:]


def test_a_running_job_is_canceled_and_leaves_no_process(deployment: Deployment) -> None:
    """Cancel answers 202; the job ends, and a second cancel is refused."""
    job = deployment.launch(deployment.template("slow", "sleep.yml"))
    eventually(lambda: deployment.processes(job), 60)
    deployment.post(f"/api/v2/jobs/{job}/cancel/", status=202)
    assert deployment.ended(job)["status"] == "canceled"
    assert not deployment.processes(job)
    deployment.post(f"/api/v2/jobs/{job}/cancel/", status=405)


def test_what_was_prompted_for_reaches_ansible(deployment: Deployment) -> None:
    """The awx command gives every prompt that Ansible sees; the play tells what it was given."""
    names = (
        *("variables", "limit", "tags", "skip_tags", "job_type", "verbosity", "diff_mode"),
        *("forks", "timeout", "labels"),
    )
    asked = {f"ask_{name}_on_launch": True for name in names}
    deployment.template("prompts", "prompts.yml", **asked)
    done = awx(
        deployment,
        *("job_templates", "launch", "prompts", "--wait", "-f", "json"),
        *("--extra_vars", '{"given": "a: b"}', "--limit", "two", "--job_tags", "wanted"),
        *("--skip_tags", "unwanted", "--job_type", "check", "--verbosity", "1"),
        *("--diff_mode", "true", "--forks", "3", "--timeout", "170"),
    )
    assert done.returncode == 0, done.stderr
    job = deployment.ended(json.loads(done.stdout)["id"])
    events = deployment.get(f"/api/v2/jobs/{job['id']}/job_events/", event="runner_on_ok")
    (event,) = events["results"]
    assert (event["host_name"], event["task"]) == ("two", "tell")
    told = event["event_data"]["res"]["msg"]
    assert {name: str(each) for name, each in told.items()} == {
        "check": "True",
        "diff": "True",
        "forks": "3",
        "limit": "two",
        "verbosity": "1",
        "tags": "wanted",
        "skipped": "unwanted",
        "given": "a: b",
        "user": "admin manual",
        "job": str(job["id"]),
    }
    assert job["timeout"] == 170


def test_relaunch_on_failed_hosts_limits_to_them(deployment: Deployment) -> None:
    """The new job runs with the old prompts on the hosts that failed."""
    job = deployment.launch(deployment.template("failing", "fails.yml"))
    found = deployment.ended(job)
    assert (found["status"], found["host_status_counts"]) == ("failed", {"failures": 2})
    again = deployment.post(f"/api/v2/jobs/{job}/relaunch/", {"hosts": "failed"})
    assert (again["limit"], again["launch_type"]) == ("one,two", "relaunch")
    deployment.ended(again["id"])


def test_a_failed_job_goes_on_at_its_failed_task(deployment: Deployment) -> None:
    """On the host that failed, from the task that failed; not where a handler would be missing."""
    template = deployment.template("breaks", "breaks.yml", ask_variables_on_launch=True)
    hosts = f"/api/v2/inventories/{deployment.inventory}/hosts/"
    (two,) = deployment.get(hosts, name="two")["results"]
    broken = json.dumps({"ansible_connection": "local", "broken": True})
    deployment.client.patch(two["url"], json={"variables": broken})
    try:
        with_handler = deployment.launch(template, extra_vars={"with_handler": True})
        job = deployment.launch(template)
        assert deployment.ended(with_handler)["status"] == "failed"
        assert deployment.ended(job)["status"] == "failed"
    finally:
        deployment.client.patch(two["url"], json={"variables": two["variables"]})
    refused = deployment.get(f"/api/playlog/jobs/{with_handler}/resume/")
    text = "The handler 'restart' was notified on two and has not run."
    assert (refused["can_resume"], refused["reasons"]) == (False, [text])
    denied = deployment.post(f"/api/playlog/jobs/{with_handler}/resume/", status=400)
    assert denied == {"errors": [text]}
    told = deployment.get(f"/api/playlog/jobs/{job}/resume/")
    assert (told["start_at_task"], told["limit"], told["reasons"]) == ("check", "two", [])
    assert told["failed_at"] == {"two": "check"}
    rest = deployment.ended(deployment.post(f"/api/playlog/jobs/{job}/resume/")["job"])
    assert (rest["status"], rest["launch_type"]) == ("successful", "relaunch")
    assert rest["scm_revision"] == deployment.job(job)["scm_revision"]
    events = deployment.get(f"/api/v2/jobs/{rest['id']}/job_events/", host=two["id"])["results"]
    run = [(row["task"], row["event"]) for row in events if row["event"] != "runner_on_start"]
    assert run == [("check", "runner_on_skipped"), ("finish", "runner_on_ok")]
    again = deployment.get(f"/api/playlog/jobs/{rest['id']}/resume/")
    assert again["reasons"] == ["Only a failed job can be resumed, this one is successful."]


def test_a_dry_run_lists_hosts_and_tasks_and_touches_no_host(deployment: Deployment) -> None:
    """Ansible reads the playbook on a runner; a broken one shows its error."""
    plans = []
    for name, playbook in (("read", "site.yml"), ("misread", "broken.yml")):
        template = deployment.template(name, playbook)
        path = f"/api/playlog/job_templates/{template}/dry_run/"
        told = deployment.post(path, {"plan": True}, status=202)
        assert told["project"]["playbook_found"] is True
        assert told["inventory"]["hosts"]["names"] == ["one", "two"]
        deployment.ended(told["plan"]["job"])
        plans.append(deployment.get(told["plan"]["plan"]))
        assert deployment.get(f"/api/v2/job_templates/{template}/")["status"] == "never updated"
    read, misread = plans
    assert read["syntax_ok"] is True
    (play,) = read["plays"]
    assert (play["pattern"], play["hosts"]) == ("all", ["one", "two"])
    assert [task["name"] for task in play["tasks"]] == ["greet", "keep"]
    summaries = deployment.get(f"/api/v2/jobs/{read['job']}/job_host_summaries/")
    assert summaries["count"] == 0
    assert (misread["syntax_ok"], misread["plays"]) == (False, [])
    assert misread["errors"][0].startswith("[ERROR]: YAML parsing failed")
    assert "broken.yml" in " ".join(misread["errors"])


@pytest.mark.parametrize(
    ("playbook", "status", "text"),
    [("broken.yml", "failed", "YAML"), ("sleep.yml", "canceled", "")],
)
def test_what_cannot_run_says_why(
    deployment: Deployment, playbook: str, status: str, text: str
) -> None:
    """A broken playbook fails with Ansible's own words in the output."""
    job = deployment.launch(deployment.template(f"bad {playbook}", playbook))
    if status == "canceled":
        deployment.post(f"/api/v2/jobs/{job}/cancel/", status=202)
    assert deployment.ended(job)["status"] == status
    shown = deployment.client.get(f"/api/v2/jobs/{job}/stdout/", params={"format": "txt"})
    assert text in shown.text


@pytest.mark.parametrize(
    ("url", "branch", "text"),
    [("file:///nowhere/at/all", "", "does not exist"), (None, "no-such-branch", "no-such-branch")],
)
def test_a_project_that_cannot_be_fetched_says_why(
    deployment: Deployment, url: str | None, branch: str, text: str
) -> None:
    """The update fails with the cause, and a job on it is refused for lack of a revision."""
    body = {
        "name": f"bad {text}",
        "organization": 1,
        "scm_type": "git",
        "scm_url": url or f"file://{deployment.directory}/repository",
        "scm_branch": branch,
    }
    project = deployment.post("/api/v2/projects/", body)["id"]
    path = f"/api/v2/projects/{project}/"
    eventually(lambda: deployment.get(path)["status"] == "failed", 60)
    update = deployment.get(f"{path}project_updates/")["results"][0]
    found = deployment.ended(update["id"], "project_updates")
    assert text in found["job_explanation"]


def test_a_websocket_client_hears_of_its_jobs(deployment: Deployment) -> None:
    """AWX's protocol: accepted, groups joined, status and events while the job runs."""
    from websockets.sync.client import connect

    template = deployment.template("watched", "site.yml")
    headers = {"Cookie": "csrftoken=abc"}
    token = deployment.post("/api/v2/tokens/", {"description": "ws", "scope": "read"})["token"]
    headers["Authorization"] = f"Bearer {token}"
    address = deployment.url.replace("http", "ws") + "/websocket/"
    with connect(address, additional_headers=headers) as socket:
        assert json.loads(socket.recv(10))["accept"] is True
        groups = {"jobs": ["status_changed", "summary"]}
        socket.send(json.dumps({"xrftoken": "abc", "groups": groups}))
        assert "jobs-summary" in json.loads(socket.recv(10))["groups_joined"]
        job = deployment.launch(template)
        socket.send(json.dumps({"xrftoken": "abc", "groups": {**groups, "job_events": [job]}}))
        heard: list[dict[str, Any]] = []
        while not any("final_counter" in each for each in heard):
            heard.append(json.loads(socket.recv(60)))
    statuses = [each["status"] for each in heard if each.get("status")]
    assert statuses[-1] == "successful"
    assert "running" in statuses
    counters = [each["counter"] for each in heard if each.get("group_name") == "job_events"]
    assert counters == sorted(set(counters))


def test_launch_with_a_key_happens_once(deployment: Deployment) -> None:
    """The same Idempotency-Key answers with the same job."""
    template = deployment.template("once", "site.yml")
    path = f"/api/v2/job_templates/{template}/launch/"
    answers = [
        deployment.client.post(path, json={}, headers={"Idempotency-Key": "k1"}) for _ in range(3)
    ]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["job"] for answer in answers}) == 1
    job = answers[0].json()["job"]
    assert deployment.ended(job)["status"] == "successful", _story(deployment, job)


def test_a_deleted_job_leaves_every_table_and_the_log(deployment: Deployment) -> None:
    """Its row, events and recap are gone, its output is purged, and a rebuild agrees."""
    job = deployment.launch(deployment.template("deleted", "site.yml"))
    deployment.ended(job)
    event = deployment.get(f"/api/v2/jobs/{job}/job_events/")["results"][0]["id"]
    assert deployment.client.delete(f"/api/v2/jobs/{job}/").status_code == 204
    for path in (f"jobs/{job}", f"jobs/{job}/job_events", f"job_events/{event}"):
        assert deployment.client.get(f"/api/v2/{path}/").status_code == 404
    eventually(lambda: '"first":1,"last":0' in _frames(deployment, job), 30)
    assert "greet" not in _frames(deployment, job)
    assert "identical" in deployment.playlog("projections", "rebuild", "--verify")


def test_every_table_is_rebuilt_to_the_same_rows(deployment: Deployment) -> None:
    """Verify compares, rebuild switches, and the API goes on answering the same."""
    before = deployment.get("/api/v2/unified_jobs/", page_size=200)["count"]
    assert "identical" in deployment.playlog("projections", "rebuild", "--verify")
    assert "switched" in deployment.playlog("projections", "rebuild")
    assert deployment.get("/api/v2/unified_jobs/", page_size=200)["count"] == before
    deployment.post("/api/v2/organizations/", {"name": "after the switch"})


def test_status_and_replay_tell_the_story(deployment: Deployment) -> None:
    """``status --json`` names roles, projections and addresses without secrets."""
    text = deployment.playlog("status", "--json")
    report = json.loads(text)
    assert {role["role"] for role in report["roles"]} >= {"api", "projector", "dispatcher"}
    assert {each["name"] for each in report["projections"]} == {
        *("config", "jobs", "reports", "output"),
        *("activity", "job_activity", "access", "facts"),
    }
    assert PASSWORD not in text
    secret = Path(report["postgres_password_file"]).read_text()
    assert secret not in text
    job = deployment.launch(deployment.template("told", "site.yml"))
    deployment.ended(job)
    story = _story(deployment, job)
    lines = story.splitlines()
    tags = [json.loads(line)["tag"] for line in lines[:-1]]
    assert tags[0] == "job.launched.v1"
    assert tags[-1] == "job.finished.v1"
    assert json.loads(lines[-1])["state"]["status"] == "successful", story


def test_many_clients_at_once_are_all_answered(deployment: Deployment) -> None:
    """Sixteen threads read and write at once: nothing answers 5xx."""
    codes: list[int] = []

    def work(number: int) -> None:
        with httpx.Client(base_url=deployment.url, auth=("admin", PASSWORD), timeout=60) as own:
            for step in range(10):
                body = {"name": f"o-{number}-{step}"}
                codes.append(own.post("/api/v2/organizations/", json=body).status_code)
                codes.append(own.get("/api/v2/organizations/", params={"page": 1}).status_code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) == {200, 201}


def _story(deployment: Deployment, job: int) -> str:
    """Every event of a job and its folded state, one JSON object a line."""
    return deployment.playlog("replay", "--job", str(job), "--json")


def _frames(deployment: Deployment, job: int) -> str:
    """Everything that OUTPUT holds of a job, as text."""

    async def read() -> str:
        creds = deployment.data / "nats" / "control.creds.json"
        url = json.loads(deployment.playlog("status", "--json"))["nats_url"]
        connection = await nats.connect_nats(url, creds, "test", patient=False)
        messages = await direct.by_subject(connection, "OUTPUT", f"output.1.{job}.1")
        await nats.close_quietly(connection)
        return "".join(message.data.decode() for message in messages)

    return asyncio.run(read())
