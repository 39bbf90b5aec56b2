"""Kinds of jobs besides playbook runs, on one deployment: ad hoc commands, slices, housekeeping."""

from __future__ import annotations

from typing import Any

from tests.deployment.conftest import Deployment
from tests.waiting import eventually


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
    sleeping = deployment.template("sliced sleeping", "sleep.yml", job_slice_count=2)
    run = deployment.post(f"/api/v2/job_templates/{sleeping}/launch/")["workflow_job"]
    waiting = deployment.post(f"/api/v2/job_templates/{sleeping}/launch/")["workflow_job"]
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
