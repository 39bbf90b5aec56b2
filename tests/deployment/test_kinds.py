"""Kinds of jobs besides playbook runs, on one deployment: ad hoc commands, slices, housekeeping."""

from __future__ import annotations

from typing import Any

from tests.deployment.conftest import Deployment


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
