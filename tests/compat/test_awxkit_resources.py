"""The unmodified awx command through every resource: create, get, list, modify, delete."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.compat.kit import Kit
from tests.deployment.conftest import PASSWORD, ROOT, Deployment
from tests.waiting import eventually, lasting

pytestmark = pytest.mark.timeout(180)

WEBHOOK = json.dumps({"url": "https://hooks.example.com/", "headers": {}})
TYPE = json.dumps({"fields": [{"id": "key", "label": "Key", "secret": True}]})
VAULT = json.dumps({"url": "https://vault.example.com", "api_version": "v2"})
DAILY = "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1"
ORGANIZATION = ("--organization", "Default")
HOOK = ("--notification_type", "webhook", "--notification_configuration", WEBHOOK)
RESOURCES: dict[str, tuple[str, ...]] = {
    "organizations": (),
    "teams": ORGANIZATION,
    "users": ("--password", "long enough"),
    "credential_types": ("--kind", "cloud", "--inputs", TYPE),
    "credentials": (*ORGANIZATION, "--credential_type", "Machine", "--inputs", "username: me"),
    "execution_environments": ("--image", "quay.io/ansible/awx-ee:latest"),
    "instance_groups": ("--max_forks", "3"),
    "inventory": (*ORGANIZATION, "--variables", '{"a": 1}'),
    "hosts": ("--inventory", "fleet", "--enabled", "false", "--variables", "a: 1"),
    "groups": ("--inventory", "fleet"),
    "projects": (*ORGANIZATION, "--allow_override", "true"),
    "job_templates": (
        *("--project", "playbooks", "--inventory", "fleet", "--playbook", "site.yml"),
        *("--extra_vars", "x: 1", "--ask_limit_on_launch", "true"),
    ),
    "labels": ORGANIZATION,
    "notification_templates": (
        *(*ORGANIZATION, "--notification_type", "webhook"),
        *("--notification_configuration", WEBHOOK),
    ),
}
"""Names of the command's resources with what creating one takes beside its name."""


@pytest.fixture(scope="module")
def kit(deployment: Deployment) -> Iterator[Kit]:
    """The command on the module's deployment."""
    made = Kit(deployment.url)
    yield made
    made.close()


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_a_resource_lives_and_dies(kit: Kit, resource: str) -> None:
    """What is created is found by its name, changed, listed with a filter and deleted."""
    named = "username" if resource == "users" else "name"
    name = f"kit-{resource}"
    made = kit.run(resource, "create", f"--{named}", name, *RESOURCES[resource])
    assert made[named] == name
    assert kit.run(resource, "get", name)["id"] == made["id"]
    field = {"users": "first_name", "instance_groups": "max_forks", "labels": "name"}.get(resource)
    value = {"max_forks": "7", "name": f"{name}-2"}.get(field or "", "changed")
    changed = kit.run(resource, "modify", name, f"--{field or 'description'}", value)
    assert str(changed[field or "description"]) == value
    name = changed[named]
    listed = kit.run(resource, "list", f"--{named}", name)
    assert [row["id"] for row in listed["results"]] == [made["id"]]
    if resource != "labels":
        kit.run(resource, "delete", name)
        assert kit.run(resource, "list", f"--{named}", name)["count"] == 0
        assert kit.ended(resource, "get", name)[0] != 0


def test_inventory_sources_schedules_and_workflows(kit: Kit, deployment: Deployment) -> None:
    """What hangs below others is made by names and ids, a node's children by its page."""
    source = kit.run(
        *("inventory_sources", "create", "--name", "kit source", "--inventory", "fleet"),
        *("--source", "scm", "--source_project", "playbooks", "--source_path", "hosts.ini"),
    )
    assert source["source"] == "scm"
    changed = kit.run("inventory_sources", "modify", "kit source", "--overwrite", "true")
    assert changed["overwrite"] is True
    template = deployment.template("kit scheduled", "ping.yml", ask_limit_on_launch=True)
    rule = ("--rrule", DAILY, "--limit", "one", "--enabled", "false")
    made = kit.run(
        *("schedules", "create", "--name", "kit daily"),
        *("--unified_job_template", str(template), *rule),
    )
    assert (made["limit"], made["enabled"]) == ("one", False)
    listed = kit.run("schedules", "list", "--unified_job_template", str(template))
    assert [row["id"] for row in listed["results"]] == [made["id"]]
    flow = kit.run("workflow_job_templates", "create", "--name", "kit flow", *ORGANIZATION)
    nodes = [
        kit.run(
            *("workflow_job_template_nodes", "create", "--identifier", identifier),
            *("--workflow_job_template", str(flow["id"])),
            *("--unified_job_template", str(template)),
        )
        for identifier in ("first", "second")
    ]
    path = f"/api/v2/workflow_job_template_nodes/{nodes[0]['id']}/success_nodes/"
    deployment.post(path, {"id": nodes[1]["id"]}, 204)
    shown = kit.run("workflow_job_template_nodes", "get", str(nodes[0]["id"]))
    assert shown["success_nodes"] == [nodes[1]["id"]]
    code, out, problem = kit.ended("workflow_job_templates", "launch", str(flow["id"]))
    assert code == 1
    assert "Playlog does not run workflows yet." in out + problem
    for kind, name in (("schedules", made["id"]), ("workflow_job_templates", flow["id"])):
        kit.run(kind, "delete", str(name))
    kit.run("inventory_sources", "delete", "kit source")


def test_what_is_associated(kit: Kit, deployment: Deployment) -> None:
    """``associate`` and ``disassociate`` of credentials and of notification templates by event."""
    kit.run("notification_templates", "create", "--name", "kit hook", *ORGANIZATION, *HOOK)
    machine = ("--credential_type", "Machine", "--inputs", "{}")
    kit.run("credentials", "create", "--name", "kit machine", *ORGANIZATION, *machine)
    deployment.template("kit associated", "ping.yml")
    kit.run("workflow_job_templates", "create", "--name", "kit told", *ORGANIZATION)
    pairs = (
        ("job_templates", "kit associated", "--credential", "kit machine"),
        ("job_templates", "kit associated", "--start_notification", "kit hook"),
        ("job_templates", "kit associated", "--failure_notification", "kit hook"),
        ("projects", "playbooks", "--success_notification", "kit hook"),
        ("organizations", "Default", "--approval_notification", "kit hook"),
        ("organizations", "Default", "--galaxy_credential", "Ansible Galaxy"),
        ("workflow_job_templates", "kit told", "--approval_notification", "kit hook"),
    )
    for kind, name, flag, target in pairs:
        attached = kit.run(kind, "associate", name, flag, target)
        assert target in [row["name"] for row in attached["results"]]
        detached = kit.run(kind, "disassociate", name, flag, target)
        assert target not in [row["name"] for row in detached["results"]]


def test_settings(kit: Kit) -> None:
    """``settings list`` by category and ``settings modify`` of numbers, texts and lists."""
    assert "MAX_UI_JOB_EVENTS" in kit.run("settings", "list", "--slug", "ui")
    changed = kit.run("settings", "modify", "SESSION_COOKIE_AGE", "3600")
    assert changed == {"key": "SESSION_COOKIE_AGE", "value": 3600}
    changed = kit.run("settings", "modify", "CUSTOM_LOGIN_INFO", "hello")
    assert changed["value"] == "hello"
    code, out, problem = kit.ended("settings", "modify", "SESSION_COOKIE_AGE", "1")
    assert code == 1
    assert "greater than or equal to 60" in out + problem


def test_every_role_is_granted_and_revoked(kit: Kit) -> None:
    """``users grant`` and ``teams grant`` on each kind that has roles; access follows."""
    kit.run("users", "create", "--username", "kit holder", "--password", "long enough")
    kit.run("teams", "create", "--name", "kit holders", *ORGANIZATION)
    kit.run("job_templates", "create", "--name", "kit granted", *RESOURCES["job_templates"])
    grants = (
        ("users", "kit holder", "--organization", "Default", "inventory_admin"),
        ("users", "kit holder", "--team", "kit holders", "member"),
        ("users", "kit holder", "--job_template", "kit granted", "execute"),
        ("teams", "kit holders", "--project", "playbooks", "update"),
        ("teams", "kit holders", "--inventory", "fleet", "adhoc"),
        ("teams", "kit holders", "--instance_group", "default", "use"),
    )
    for kind, name, flag, target, role in grants:
        for action in ("grant", "grant", "revoke", "revoke"):
            kit.run(kind, action, name, flag, target, "--role", role)
    code, _, problem = kit.ended(
        *("users", "grant", "kit holder", "--project", "playbooks", "--role", "approval")
    )
    assert (code, "invalid choice" in problem) == (1, True)


def test_a_job_is_launched_and_watched(kit: Kit, deployment: Deployment) -> None:
    """``launch --monitor`` prints the whole output as it comes and ends with the job's state."""
    deployment.template("kit watched", "site.yml", ask_variables_on_launch=True)
    deployment.template("kit broken", "fails.yml")
    watch = ("--monitor", "--interval", "2.5", "--extra_vars", "extra: friend")
    shown = kit.text("job_templates", "launch", "kit watched", *watch)
    assert "hello one friend" in shown
    assert "PLAY RECAP" in shown
    code, out, _ = kit.ended("job_templates", "launch", "kit broken", "--monitor")
    assert (code, '"status": "failed"' in out) == (1, True)
    job = kit.run("jobs", "list", "--order_by=-id")["results"][0]["id"]
    assert "fatal: [one]: FAILED!" in kit.text("jobs", "stdout", str(job))
    relaunched = kit.run("projects", "update", "playbooks", "--wait")
    assert relaunched["status"] == "successful"


def test_a_connection_outlasts_the_pauses_of_the_command(deployment: Deployment) -> None:
    """It asks for a job every 5 s over one connection, which must not end just then."""
    server = urlsplit(deployment.url)
    connection = http.client.HTTPConnection(server.hostname or "", server.port)
    with contextlib.closing(connection):
        connection.request("GET", "/api/v2/ping/")
        assert connection.getresponse().read()
        lasting(6.0)
        connection.request("GET", "/api/v2/ping/")
        assert connection.getresponse().read()


def test_bulk_and_ad_hoc(kit: Kit, deployment: Deployment) -> None:
    """Hosts in bulk; an ad hoc command runs (the command's own ``--wait`` fails for these)."""
    hosts = json.dumps([{"name": "kit-bulk-1"}, {"name": "kit-bulk-2"}])
    fleet = str(deployment.inventory)
    made = kit.run("bulk", "host_create", "--inventory", fleet, "--hosts", hosts)
    ids = [host["id"] for host in made["hosts"]]
    kit.run("bulk", "host_delete", "--hosts", json.dumps(ids))
    assert deployment.get("/api/v2/hosts/", name__startswith="kit-bulk")["count"] == 0
    machine = ("--credential_type", "Machine", "--inputs", "{}")
    kit.run("credentials", "create", "--name", "kit ad hoc", *ORGANIZATION, *machine)
    asked = ("--inventory", fleet, "--credential", "kit ad hoc", "--module_name", "ping")
    run = kit.run("ad_hoc_commands", "create", *asked)
    assert run["module_name"] == "ping"
    eventually(lambda: deployment.get(run["url"])["status"] == "successful", 60)


def test_the_library_works_as_the_command_does(deployment: Deployment) -> None:
    """Awxkit's pages make, copy, launch, wait, relaunch and delete, with a session."""
    deployment.template("kit library", "ping.yml")
    arguments = (deployment.url, PASSWORD, "kit library")
    done = subprocess.run(
        [sys.executable, "-m", "tests.compat.library", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
