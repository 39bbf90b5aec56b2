"""Inventory sources on a whole deployment: files, scripts and plugins of a real git project."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.deployment.conftest import Deployment
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(180)

FILES = {
    "hosts.ini": """
[web]
w1 ansible_connection=local tier=front
w2 ansible_connection=local

[db]
d1 ansible_connection=local

[site:children]
web
db

[site:vars]
region=north
""",
    "script.sh": """#!/bin/sh
cat <<END
{"racks": {"hosts": ["s1", "s2"], "vars": {"seen": "$FLAVOUR"}},
 "_meta": {"hostvars": {"s1": {"ansible_connection": "local"}, "s2": {}}}}
END
""",
    "garbage.sh": "#!/bin/sh\necho 'this is { no inventory'\n",
    "hang.sh": "#!/bin/sh\nexec sleep 1000\n",
    "flood.py": "#!/usr/bin/env python3\nfor _ in range(100):\n    print('x' * 1048576)\n",
    "missing.yml": "plugin: acme.cloud.machines\n",
    "paint.yml": """- hosts: all
  gather_facts: false
  tasks:
    - debug: {msg: "was {{ ansible_facts.colour | default('bare') }}"}
    - set_fact: {colour: "{{ paint }}", cacheable: true}
      changed_when: true
""",
}


@pytest.fixture(scope="module")
def sources(deployment: Deployment) -> Deployment:
    """The deployment with inventory files in its project."""
    deployment.write(FILES)
    for name in FILES:
        if name.endswith((".sh", ".py")):
            (deployment.repository / name).chmod(0o755)
    (deployment.repository / "elsewhere").symlink_to("/etc")
    deployment.commit("inventories")
    return deployment


def made(deployment: Deployment, name: str, path: str, **fields: Any) -> tuple[int, int]:
    """Make an inventory with a source in the project; returns both ids."""
    inventory = deployment.post("/api/v2/inventories/", {"name": name, "organization": 1})["id"]
    body = {
        "name": path or "root",
        "inventory": inventory,
        "source": "scm",
        "source_project": deployment.project,
        "source_path": path,
        **fields,
    }
    return inventory, deployment.post("/api/v2/inventory_sources/", body)["id"]


def updated(deployment: Deployment, source: int) -> dict[str, Any]:
    """Update a source; returns the update once it has ended."""
    body = deployment.post(f"/api/v2/inventory_sources/{source}/update/", status=202)
    return deployment.ended(body["inventory_update"], "inventory_updates")


def stdout(deployment: Deployment, update: int) -> str:
    """Return what an update printed."""
    path = f"/api/v2/inventory_updates/{update}/stdout/?format=txt"
    return deployment.client.get(path).text


def test_a_file_of_a_project_becomes_hosts_and_groups(sources: Deployment) -> None:
    """Hosts, groups, children and variables arrive; the same again changes nothing."""
    inventory, source = made(sources, "from-ini", "hosts.ini", overwrite=True)
    done = updated(sources, source)
    assert (done["status"], done["job_explanation"]) == ("successful", ""), done
    assert done["name"] == "from-ini - hosts.ini"
    assert done["event_processing_finished"]
    hosts = sources.get(f"/api/v2/inventories/{inventory}/hosts/")["results"]
    assert [host["name"] for host in hosts] == ["d1", "w1", "w2"]
    assert json.loads(hosts[1]["variables"]) == {"ansible_connection": "local", "tier": "front"}
    assert all(host["has_inventory_sources"] for host in hosts)
    ids = {host["name"]: host["id"] for host in hosts}
    groups = sources.get(f"/api/v2/inventories/{inventory}/groups/")["results"]
    assert [group["name"] for group in groups] == ["db", "site", "web"]
    site = groups[1]
    assert json.loads(site["variables"]) == {"region": "north"}
    children = sources.get(f"/api/v2/groups/{site['id']}/children/")["results"]
    assert [group["name"] for group in children] == ["db", "web"]
    for kind, number in (("hosts", 3), ("groups", 3)):
        assert sources.get(f"/api/v2/inventory_sources/{source}/{kind}/")["count"] == number
    position = max(host["id"] for host in hosts)
    again = updated(sources, source)
    assert again["status"] == "successful"
    same = sources.get(f"/api/v2/inventories/{inventory}/hosts/")["results"]
    assert {host["name"]: host["id"] for host in same} == ids
    assert [host["modified"] for host in same] == [host["modified"] for host in hosts]
    assert position == max(host["id"] for host in same)


def test_a_script_is_given_its_variables(sources: Deployment) -> None:
    """An executable runs with what source_vars say."""
    inventory, source = made(sources, "from-script", "script.sh", source_vars="FLAVOUR: sour")
    done = updated(sources, source)
    assert done["status"] == "successful", (done["job_explanation"], stdout(sources, done["id"]))
    (group,) = sources.get(f"/api/v2/inventories/{inventory}/groups/")["results"]
    assert json.loads(group["variables"]) == {"seen": "sour"}


BAD = {
    "garbage.sh": "garbage.sh: [WARNING]: Failed to parse inventory with 'script' plugin",
    "flood.py": "flood.py: [WARNING]: Failed to parse inventory with 'script' plugin",
    "missing.yml": "acme.cloud.machines",
    "nowhere.ini": "'nowhere.ini' was not found in the project",
    "elsewhere/passwd": "lies behind, a link that leads out of the project",
    "../../etc/passwd": "lies outside the project",
    "hang.sh": "Job terminated due to timeout",
}
"""Source to what its update's explanation names."""


def test_a_bad_source_fails_with_its_reason(sources: Deployment) -> None:
    """What cannot be read ends the update; the explanation names the cause, nothing is left."""
    started: dict[str, int] = {}
    for number, path in enumerate(BAD):
        _, source = made(sources, f"bad-{number}", path, timeout=5 if path == "hang.sh" else 0)
        body = sources.post(f"/api/v2/inventory_sources/{source}/update/", status=202)
        started[path] = body["inventory_update"]
    for path, number in started.items():
        done = sources.ended(number, "inventory_updates")
        assert done["status"] in ("failed", "error"), path
        assert BAD[path] in done["job_explanation"], (path, stdout(sources, number))
        assert sources.processes(number) == []
    jobs = sources.data / "runner-1" / "jobs"
    eventually(lambda: not list(jobs.iterdir()))


def test_a_launch_waits_for_the_updates_of_its_inventory(sources: Deployment) -> None:
    """The job runs on what the update left; one serves many, a bad one fails its job."""
    inventory, source = made(
        sources,
        "on-launch",
        "hosts.ini",
        update_on_launch=True,
        update_cache_timeout=1000,
    )
    template = sources.template("updated first", "site.yml", inventory=inventory)
    jobs = [sources.launch(template), sources.launch(template)]
    done = [sources.ended(job) for job in jobs]
    assert [job["status"] for job in done] == ["successful"] * 2, done
    assert done[0]["host_status_counts"] == {"ok": 3}
    (update,) = sources.get(f"/api/v2/inventory_sources/{source}/inventory_updates/")["results"]
    assert (update["launch_type"], update["status"]) == ("dependency", "successful")
    shown = [sources.get(f"/api/playlog/jobs/{job}/inventory/") for job in jobs]
    left = sources.get(f"/api/playlog/inventory_updates/{update['id']}/inventory/")
    assert {each["digest"] for each in shown} == {left["digest"]}
    assert (left["hosts"], left["groups"], left["inventory"]) == (3, 3, inventory)
    assert left["content"]["_meta"]["hostvars"]["w1"]["tier"] == "front"
    _, broken = made(sources, "broken-first", "nowhere.ini", update_on_launch=True)
    within = sources.get(f"/api/v2/inventory_sources/{broken}/")["inventory"]
    failing = sources.ended(
        sources.launch(sources.template("never runs", "site.yml", inventory=within))
    )
    assert failing["status"] == "failed"
    word, _, told = failing["job_explanation"].partition(": ")
    assert word == "Previous Task Failed"
    assert json.loads(told) | {"job_id": ""} == {
        "job_type": "inventory_update",
        "job_name": "broken-first - nowhere.ini",
        "job_id": "",
    }
    constructed(sources, inventory)


def constructed(sources: Deployment, original: int) -> None:
    """Make an inventory of another one by its facts, and run on the group that it adds.

    What the run changes, counts and gathers is the original hosts', beside the constructed ones'.
    """
    known = {"use_fact_cache": True, "limit": "w1"}
    fields = known | {"inventory": original, "extra_vars": "paint: red"}
    painted = sources.launch(sources.template("painted", "paint.yml", **fields))
    assert sources.ended(painted)["status"] == "successful"
    w1 = sources.get(f"/api/v2/inventories/{original}/hosts/", name="w1")["results"][0]
    facts = f"/api/v2/hosts/{w1['id']}/ansible_facts/"
    eventually(lambda: sources.get(facts))
    assert sources.get(facts) == {"colour": "red"}
    rules = "plugin: constructed\nstrict: true\ngroups:\n  front: colour | default('') == 'red'\n"
    body = {"name": "built", "organization": 1, "source_vars": rules, "update_cache_timeout": 0}
    made = sources.post("/api/v2/constructed_inventories/", body)
    path = f"/api/v2/inventories/{made['id']}/"
    sources.post(f"{path}input_inventories/", {"id": original}, status=204)
    fields = known | {"inventory": made["id"], "extra_vars": "paint: blue", "limit": "front"}
    job = sources.launch(sources.template("built first", "paint.yml", **fields))
    done = sources.ended(job)
    assert (done["status"], done["host_status_counts"]) == ("successful", {"changed": 1}), done
    shadows = {row["name"]: row for row in sources.get(f"{path}hosts/")["results"]}
    found = sources.get(f"/api/v2/inventories/{original}/hosts/")["results"]
    assert {name: row["instance_id"] for name, row in shadows.items()} == {
        row["name"]: str(row["id"]) for row in found
    }
    assert shadows["w1"]["related"]["original_host"] == found[1]["url"]
    assert "front" in [row["name"] for row in sources.get(f"{path}groups/")["results"]]
    assert "was red" in sources.client.get(f"/api/v2/jobs/{job}/stdout/?format=txt").text
    eventually(lambda: sources.get(facts) == {"colour": "blue"})
    ids = {"host": w1["id"], "constructed_host": shadows["w1"]["id"]}
    (recap,) = sources.get(f"/api/v2/jobs/{job}/job_host_summaries/")["results"]
    assert {name: recap[name] for name in ids} == ids
    assert sources.get(f"/api/v2/hosts/{ids['constructed_host']}/ansible_facts/") == {}
    for number in ids.values():
        host = sources.get(f"/api/v2/hosts/{number}/")
        assert (host["last_job"], host["last_job_host_summary"]) == (job, recap["id"])
        assert host["summary_fields"]["recent_jobs"][0]["id"] == job
        listed = sources.get(f"/api/v2/hosts/{number}/job_host_summaries/")["results"]
        assert listed[0]["id"] == recap["id"]
    changes = sources.get(f"/api/playlog/hosts/{w1['id']}/changes/")["results"]
    assert [(row["job"]["id"], row["host"]) for row in changes] == [
        (job, shadows["w1"]["id"]),
        (painted, w1["id"]),
    ]
