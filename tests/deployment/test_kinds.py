"""Kinds of jobs besides playbook runs, on one deployment: ad hoc commands, slices, housekeeping."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ops import clock
from tests.deployment.conftest import Deployment
from tests.waiting import eventually

FACTS = {
    "gather.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - setup: {gather_subset: ["!all", "!min", pkg_mgr, env]}
    - set_fact: {colour: "{{ inventory_hostname }}-blue", cacheable: true}
""",
    "tell.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - debug: {msg: "known {{ ansible_facts.colour }}"}
- hosts: one
  gather_facts: false
  tasks:
    - meta: clear_facts
""",
}
RECAP = {
    "recap.yml": """
- hosts: all
  gather_facts: false
  tasks:
    - block:
        - fail: {msg: first}
      rescue:
        - debug: {msg: rescued}
    - fail: {msg: second}
      ignore_errors: true
    - set_stats:
        data: {answer: 42, nested: {a: [1]}, large: "{{ 'x' * 2000000 }}"}
        per_host: false
      run_once: true
    - set_stats: {data: {own: "{{ inventory_hostname }}"}, per_host: true}
- hosts: two
  gather_facts: false
  vars: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 9}
  tasks:
    - ping:
    - debug: {msg: never}
""",
}


def machine(deployment: Deployment, name: str, **inputs: Any) -> int:
    """Make a machine credential; returns its id."""
    body = {"name": name, "credential_type": 1, "organization": 1, "inputs": inputs}
    made: int = deployment.post("/api/v2/credentials/", body)["id"]
    return made


def test_an_ad_hoc_command_runs_and_runs_again(deployment: Deployment) -> None:
    """One module on the hosts of an inventory: events, counts, output, and the same once more."""
    credential = machine(deployment, "anybody", username="root", become_password="ASK")
    body = {
        "credential": credential,
        "module_name": "command",
        "module_args": "echo hello",
        "limit": "two",
        "verbosity": 1,
        "extra_vars": "a: 1",
        "diff_mode": True,
        "become_password": "unneeded-secret",
    }
    path = f"/api/v2/inventories/{deployment.inventory}/ad_hoc_commands/"
    made = deployment.post(path, body)
    command = made["ad_hoc_command"]
    assert (made["name"], made["type"]) == ("command", "ad_hoc_command")
    assert made["status"] in ("pending", "waiting")
    ended = deployment.ended(command, "ad_hoc_commands")
    assert ended["status"] == "successful", ended["job_explanation"]
    assert ended["host_status_counts"] == {"changed": 1}
    assert ended["launched_by"]["name"] == "admin"
    assert '"-m","command","-a","echo hello","all"' in ended["job_args"]
    events = deployment.get(f"/api/v2/ad_hoc_commands/{command}/events/")["results"]
    print(events)
    host = deployment.get("/api/v2/hosts/", name="two")["results"][0]
    done = [each for each in events if each["event"] == "runner_on_ok"]
    assert [(each["host"], each["host_name"]) for each in done] == [(host["id"], "two")]
    assert "hello" in done[0]["stdout"]
    assert "parent_uuid" not in done[0]
    text = deployment.client.get(f"/api/v2/ad_hoc_commands/{command}/stdout/?format=txt").text
    assert "hello" in text
    again = f"/api/v2/ad_hoc_commands/{command}/relaunch/"
    assert deployment.get(again) == {"passwords_needed_to_start": ["become_password"]}
    refused = deployment.post(again, status=400)
    assert refused == {"passwords_needed_to_start": ["become_password"]}
    relaunched = deployment.post(again, {"become_password": "unneeded-secret"})
    second = deployment.ended(relaunched["ad_hoc_command"], "ad_hoc_commands")
    assert (second["status"], second["launch_type"], second["limit"]) == (
        "successful",
        "relaunch",
        "two",
    )
    for where in (f"hosts/{host['id']}", f"inventories/{deployment.inventory}"):
        listed = deployment.get(f"/api/v2/{where}/ad_hoc_commands/")["results"]
        assert {each["id"] for each in listed} == {command, second["id"]}
    seen = deployment.get(f"/api/v2/hosts/{host['id']}/ad_hoc_command_events/")
    assert seen["count"] >= 2
    assert deployment.get(f"/api/v2/hosts/{host['id']}/")["last_job"] is None
    told = deployment.get("/api/v2/activity_stream/", object1="ad_hoc_command", operation="create")
    assert told["count"] == 2


def test_a_sliced_run_is_a_workflow_of_its_slices(deployment: Deployment) -> None:
    """Each slice runs on its hosts; the run ends as they do, and runs again as often as it was."""
    template = deployment.template("sliced", "site.yml", job_slice_count=5)
    made = deployment.post(f"/api/v2/job_templates/{template}/launch/", {"limit": "x"})
    run = made["workflow_job"]
    assert (made["type"], made["is_sliced_job"], made["job_template"]) == (
        "workflow_job",
        True,
        template,
    )
    assert (made["workflow_job_template"], made["ignored_fields"]) == (None, {"limit": "x"})
    ended = over(deployment, run)
    assert (ended["status"], ended["failed"]) == ("successful", False), ended
    nodes = deployment.get(f"/api/v2/workflow_jobs/{run}/workflow_nodes/")["results"]
    jobs = [deployment.ended(each["job"]) for each in nodes]
    assert [(each["job_slice_number"], each["job_slice_count"]) for each in jobs] == [
        (1, 2),
        (2, 2),
    ]
    assert [each["host_status_counts"] for each in jobs] == [{"ok": 1}, {"ok": 1}]
    for job, host in zip(jobs, ("one", "two"), strict=True):
        recap = deployment.get(f"/api/v2/jobs/{job['id']}/job_host_summaries/")["results"]
        assert [each["host_name"] for each in recap] == [host]
        assert (job["launch_type"], job["allow_simultaneous"]) == ("workflow", True)
        assert job["summary_fields"]["source_workflow_job"]["id"] == run
        assert job["launched_by"]["url"] == f"/api/v2/workflow_jobs/{run}/"
    node = deployment.get(nodes[0]["url"])
    assert (node["summary_fields"]["job"]["status"], node["do_not_run"]) == ("successful", False)
    listed = deployment.get(f"/api/v2/job_templates/{template}/slice_workflow_jobs/")["results"]
    assert [each["id"] for each in listed] == [run]
    found = deployment.get("/api/v2/unified_jobs/", name="sliced")["results"]
    assert {each["type"] for each in found} == {"workflow_job", "job"}
    again = deployment.post(f"/api/v2/workflow_jobs/{run}/relaunch/")
    assert over(deployment, again["workflow_job"])["launch_type"] == "relaunch"
    deployment.client.patch(f"/api/v2/job_templates/{template}/", json={"job_slice_count": 1})
    refused = deployment.post(f"/api/v2/workflow_jobs/{run}/relaunch/", status=400)
    text = "Cannot relaunch sliced workflow job after slice count has changed."
    assert refused == {"detail": text}


def test_a_sliced_run_fails_with_a_slice_and_is_canceled_with_all(deployment: Deployment) -> None:
    """One failed slice fails the run; a cancel reaches each; two runs of a template wait."""
    failing = deployment.template("sliced failing", "fails.yml", job_slice_count=2)
    failed = deployment.post(f"/api/v2/job_templates/{failing}/launch/")["workflow_job"]
    asked = {"ask_job_slice_count_on_launch": True}
    sleeping = deployment.template("sliced sleeping", "sleep.yml", job_slice_count=1, **asked)
    launch = f"/api/v2/job_templates/{sleeping}/launch/"
    run, waiting = (
        deployment.post(launch, {"job_slice_count": 2})["workflow_job"] for _ in range(2)
    )
    path = f"/api/v2/workflow_jobs/{run}/workflow_nodes/"

    def running() -> list[int]:
        nodes = deployment.get(path)["results"]
        jobs = [each["summary_fields"].get("job", {}) for each in nodes]
        ids = [each["id"] for each in jobs if each.get("status") == "running"]
        return ids if len(ids) == len(nodes) else []

    slices = eventually(running, 60)
    held = deployment.job(waiting, "workflow_jobs")
    assert (held["status"], held["job_explanation"]) == (
        "pending",
        f"waiting for workflowjob-{run} to finish",
    )
    deployment.post(f"/api/v2/workflow_jobs/{waiting}/cancel/", status=202)
    assert over(deployment, waiting)["status"] == "canceled"
    unrun = deployment.get(f"/api/v2/workflow_jobs/{waiting}/workflow_nodes/")["results"]
    assert [(each["job"], each["do_not_run"]) for each in unrun] == [(None, True)] * 2
    deployment.post(f"/api/v2/workflow_jobs/{run}/cancel/", status=202)
    assert over(deployment, run)["status"] == "canceled"
    assert {deployment.job(each)["status"] for each in slices} == {"canceled"}
    ended = over(deployment, failed)
    assert (ended["status"], ended["job_explanation"]) == (
        "failed",
        "No error handling paths found, marking workflow as failed",
    )


def over(deployment: Deployment, run: int) -> dict[str, Any]:
    """Return a workflow job once it has ended."""

    def done() -> dict[str, Any] | None:
        found = deployment.job(run, "workflow_jobs")
        return found if found["finished"] else None

    found = eventually(done, 90)
    assert found is not None
    return found


def test_facts_are_kept_from_one_run_to_the_next(deployment: Deployment) -> None:
    """What a run changed of the facts is known to the next, to the API and to filters."""
    deployment.write(FACTS)
    deployment.commit("facts")
    gathered = deployment.template("facts gathered", "gather.yml", use_fact_cache=True)
    first = deployment.ended(deployment.launch(gathered))
    assert first["status"] == "successful", first["job_explanation"]
    hosts = {each["name"]: each["id"] for each in deployment.get("/api/v2/hosts/")["results"]}
    eventually(lambda: kept(deployment, hosts["two"]))
    known = {name: kept(deployment, number) for name, number in hosts.items()}
    assert [known[name]["colour"] for name in ("one", "two")] == ["one-blue", "two-blue"]
    assert all(each["ansible_pkg_mgr"] and "ansible_env" not in each for each in known.values())
    found = deployment.get("/api/v2/hosts/", host_filter='ansible_facts__colour="two-blue"')
    assert [each["name"] for each in found["results"]] == ["two"]
    before = modified(deployment, hosts["two"])
    assert before is not None
    told = deployment.template("facts told", "tell.yml", use_fact_cache=True)
    second = deployment.launch(told)
    assert deployment.ended(second)["status"] == "successful"
    text = deployment.client.get(f"/api/v2/jobs/{second}/stdout/?format=txt").text
    assert "known two-blue" in text
    eventually(lambda: not kept(deployment, hosts["one"]))
    assert modified(deployment, hosts["two"]) == before


def test_a_recap_counts_every_way_a_host_goes(deployment: Deployment) -> None:
    """Rescued, ignored and unreachable hosts, with what the play says of the run as a whole.

    What it says may be larger than a report, an event and a message can be.
    """
    deployment.write(RECAP)
    deployment.commit("recap")
    job = deployment.ended(deployment.launch(deployment.template("recap", "recap.yml")))
    assert (job["status"], job["failed"]) == ("failed", True)
    assert len(job["artifacts"].pop("large")) == 2_000_000
    assert job["artifacts"] == {"answer": 42, "nested": {"a": [1]}}
    assert job["host_status_counts"] == {"ok": 1, "dark": 1}
    assert job["playbook_counts"] == {"play_count": 2, "task_count": 6}
    recap = deployment.get(f"/api/v2/jobs/{job['id']}/job_host_summaries/", order_by="host_name")
    counted = [
        {name: each[name] for name in ("host_name", "failed", "dark", "rescued", "ignored")}
        for each in recap["results"]
    ]
    assert counted == [
        {"host_name": "one", "failed": False, "dark": 0, "rescued": 1, "ignored": 1},
        {"host_name": "two", "failed": True, "dark": 1, "rescued": 1, "ignored": 1},
    ]
    for each in recap["results"]:
        host = deployment.get(f"/api/v2/hosts/{each['host']}/")
        assert (host["last_job"], host["last_job_host_summary"]) == (job["id"], each["id"])
        assert host["has_active_failures"] == each["failed"]


def kept(deployment: Deployment, host: int) -> dict[str, Any]:
    """Return the facts of a host."""
    return deployment.get(f"/api/v2/hosts/{host}/ansible_facts/")


def modified(deployment: Deployment, host: int) -> Any:
    """Return when a host's facts changed."""
    return deployment.get(f"/api/v2/hosts/{host}/")["ansible_facts_modified"]


def test_system_jobs_clean_up_by_events(deployment: Deployment) -> None:
    """Each kind runs in the control plane, says what it did, and deletes by events alone."""
    templates = {
        each["job_type"]: each["id"]
        for each in deployment.get("/api/v2/system_job_templates/")["results"]
    }
    doomed = deployment.ended(deployment.launch(deployment.template("doomed", "ping.yml")))["id"]
    path = f"/api/v2/system_job_templates/{templates['cleanup_jobs']}/launch/"
    for days in (-1, "x", True, [1], 1.5):
        refused = deployment.post(path, {"extra_vars": {"days": days}}, status=400)
        assert refused == {"extra_vars": ["days must be a positive integer."]}
    dry = deployment.post(path, {"extra_vars": {"days": 0, "dry_run": True}})
    assert (dry["ignored_fields"], dry["type"]) == (None, "system_job")
    told = deployment.ended(dry["system_job"], "system_jobs")
    assert told["status"] == "successful", told["job_explanation"]
    assert "would be deleted" in told["result_stdout"]
    assert deployment.job(doomed)["status"] == "successful"
    made = deployment.post(path, {"extra_vars": '{"days": 0}'})
    deployment.kill_role("dispatcher")
    ended = deployment.ended(made["system_job"], "system_jobs")
    lines = ended["result_stdout"].splitlines()
    assert len(lines) == 7
    assert lines[0].endswith("deleted, 0 skipped.")
    assert lines[0].startswith("jobs: ")
    assert ended["job_args"] == '["awx-manage","cleanup_jobs","--days=0"]'
    assert deployment.client.get(f"/api/v2/jobs/{doomed}/").status_code == 404
    assert deployment.get("/api/v2/jobs/")["count"] == 0
    events = deployment.get(f"/api/v2/system_jobs/{ended['id']}/events/")["results"]
    assert {each["event"] for each in events} == {"verbose"}
    brief = {"ACCESS_TOKEN_EXPIRE_SECONDS": 1}
    for lifetimes in ({"OAUTH2_PROVIDER": brief}, None):
        if lifetimes is None:
            deployment.client.delete("/api/v2/settings/authentication/")
        else:
            deployment.client.patch("/api/v2/settings/authentication/", json=lifetimes)
        deployment.client.post("/api/v2/tokens/", json={})
    (expired, lasting) = deployment.get("/api/v2/tokens/", order_by="id")["results"]
    assert expired["expires"] < lasting["expires"]
    eventually(lambda: clock.now() > datetime.fromisoformat(expired["expires"]))
    for job_type, text in (
        ("cleanup_activitystream", "Removed "),
        ("cleanup_sessions", "Expired Sessions deleted 0"),
        ("cleanup_tokens", "Expired OAuth 2 Access Tokens deleted: 1"),
    ):
        launch = f"/api/v2/system_job_templates/{templates[job_type]}/launch/"
        begun = deployment.post(launch, {"extra_vars": {"days": 0}})["system_job"]
        over = deployment.ended(begun, "system_jobs")
        assert (over["status"], over["job_explanation"]) == ("successful", "")
        assert over["result_stdout"].startswith(text)
    oldest = deployment.get("/api/v2/activity_stream/", order_by="timestamp", page_size=1)
    assert oldest["results"][0]["timestamp"] > told["finished"]
    assert [each["id"] for each in deployment.get("/api/v2/tokens/")["results"]] == [lasting["id"]]
    query = {"object1": "o_auth2_access_token", "operation": "delete"}
    (told,) = deployment.get("/api/v2/activity_stream/", **query)["results"]
    assert told["changes"]["id"] == expired["id"]
