"""One object of each kind that AWX has, made through the API, and bodies for more of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import httpx

from tests.compat.paths import PATHS, documented
from tests.deployment.conftest import Deployment

DAILY = "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1"
SPEC = {
    "name": "",
    "description": "",
    "spec": [
        {
            "question_name": "Colour",
            "variable": "colour",
            "type": "text",
            "required": False,
            "default": "red",
        }
    ],
}
MACHINE_TYPE, AWS_TYPE, GALAXY_TYPE, VAULT_KV_TYPE = 1, 5, 19, 27
HOLDERS = ("hosts", "groups")
Body = dict[str, Any]
ALL = {each.path for each in PATHS}


class Graph:
    """The objects of a deployment by the first segment of their paths."""

    def __init__(self, deployment: Deployment) -> None:
        """Make everything."""
        self.client: httpx.Client = deployment.client
        self.nobody = httpx.Client(base_url=deployment.url, timeout=30)
        """Without credentials."""
        self.deployment = deployment
        self.ids: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._build()

    def name(self) -> str:
        """Return a name that nothing has yet."""
        return f"compat-{next(self._numbers)}"

    def body(self, plural: str) -> Body:
        """Return the body of a new object of a kind, with what it refers to made."""
        made = BODIES[plural](self)
        if not {"username", "identifier", "input_field_name", "object_id", "scope"} & set(made):
            made.setdefault("name", self.name())
        return made

    def make(self, plural: str, **fields: Any) -> Body:
        """Make an object and return it."""
        body = {**self.body(plural), **fields}
        answered = self.client.post(f"/api/v2/{plural}/", json=body)
        assert answered.status_code == 201, (plural, body, answered.text)
        made: Body = answered.json()
        return made

    def fresh(self, plural: str, **fields: Any) -> int:
        """Make an object and return its id."""
        number: int = self.make(plural, **fields)["id"]
        return number

    def url(self, path: str) -> str:
        """Return the URL of a path of AWX's table, with an object of ours in it."""
        values = {
            "pk": self.ids.get(path.split("/")[1], 1),
            "category_slug": "ui",
            "slug": "hosts",
            "name": "shared.organization",
            "ansible_id": self.ids.get("ansible_id", "x"),
        }
        return "/api/v2" + re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), path)

    def member(self, path: str, plural: str) -> int:
        """Return the id of something that a list may take, and has not."""
        if plural == "roles":
            project = self.get(f"/api/v2/projects/{self.ids['projects']}/")
            number: int = project["summary_fields"]["object_roles"]["use_role"]["id"]
            return number
        if plural == "galaxy_credentials":
            galaxy = {"credential_type": GALAXY_TYPE, "inputs": {"url": "https://example.com/"}}
            return self.fresh("credentials", **galaxy)
        return self.fresh(plural)

    def changeable(self, plural: str) -> Body:
        """Return an object that a test may change."""
        made = self.make(plural)["url"] if plural in BODIES else ""
        found: Body = self.get(made or f"/api/v2/{plural}/{self.ids[plural]}/")
        return found

    def replacement(self, plural: str, made: Body) -> Body:
        """Return the body of a PUT that leaves an object as it is."""
        if plural not in BODIES:
            return made
        return {key: made[key] for key in self.body(plural)} | self._secrets(plural)

    def _secrets(self, plural: str) -> Body:
        return {"password": "$encrypted$"} if plural == "users" else {}

    def deletable(self, plural: str) -> str:
        """Return the URL of an object that a test may delete."""
        if plural in BODIES:
            # Jobs of other tests may hold the inventory that everything else is in.
            apart = {"inventory": self.fresh("inventories")} if plural in HOLDERS else {}
            url: str = self.make(plural, **apart)["url"]
            return url
        if plural == "workflow_approval_templates":
            approval: str = self.approval()["url"]
            return approval
        if plural == "jobs":
            number = self.deployment.launch(self.ids["job_templates"])
        elif plural == "inventory_updates":
            number = self.inventory_update()
        else:
            path = f"/api/v2/projects/{self.ids['projects']}/update/"
            number = self.deployment.post(path, status=202)["id"]
        self.deployment.ended(number, plural)
        return f"/api/v2/{plural}/{number}/"

    def get(self, path: str) -> Any:
        """Return the JSON of a path that is there."""
        answered = self.client.get(path)
        assert answered.status_code == 200, (path, answered.text)
        return answered.json()

    def in_organization(self) -> Body:
        """Return what puts an object into the organization."""
        return {"organization": self.ids["organizations"]}

    def in_inventory(self) -> Body:
        """Return what puts an object into the inventory."""
        return {"inventory": self.ids["inventories"]}

    def assigned(self) -> Body:
        """Return what a role assignment is about."""
        return {
            "role_definition": self.ids["role_definitions"],
            "object_id": str(self.ids["projects"]),
        }

    def input_source(self) -> Body:
        """Return a source for the password of a credential of its own."""
        vault = {"url": "https://vault.example.com/", "api_version": "v2"}
        return {
            "input_field_name": "password",
            "target_credential": self.fresh("credentials"),
            "source_credential": self.fresh(
                "credentials", credential_type=VAULT_KV_TYPE, inputs=vault
            ),
            "metadata": {"secret_path": "/a", "secret_key": "b"},
        }

    def ad_hoc(self) -> Body:
        """Return the body of an ad hoc command."""
        machine = self.fresh("credentials", credential_type=MACHINE_TYPE, inputs={})
        return {**self.in_inventory(), "credential": machine, "module_name": "ping"}

    def prompting(self) -> int:
        """Return a template that asks for credentials, as those of saved launches must."""
        if "prompting" not in self.ids:
            self.ids["prompting"] = self.fresh("job_templates", ask_credential_on_launch=True)
        number: int = self.ids["prompting"]
        return number

    def approval(self) -> Body:
        """Make a node of a workflow wait for somebody."""
        node = self.make("workflow_job_template_nodes")["url"]
        answered = self.client.post(f"{node}create_approval_template/", json={"name": self.name()})
        assert answered.status_code == 201, answered.text
        made: Body = answered.json()
        return made

    def inventory_update(self) -> int:
        """Start the update of a source and return its id."""
        path = f"/api/v2/inventory_sources/{self.ids['inventory_sources']}/update/"
        number: int = self.deployment.post(path, status=202)["inventory_update"]
        return number

    def shared(self) -> Body:
        """Return the body of an object that is shared between services."""
        return {"resource_type": "shared.organization", "resource_data": {"name": self.name()}}

    def _build(self) -> None:
        self.ids["organizations"] = 1
        self.ids["users"] = self.get("/api/v2/me/")["results"][0]["id"]
        self.ids["projects"] = self.deployment.project
        self.ids["inventories"] = self.deployment.inventory
        lacking = documented()
        for plural in BODIES:
            listed = f"/{plural}/" in ALL
            if listed and plural not in self.ids and "POST" not in lacking.get(f"/{plural}/", ()):
                self.ids[plural] = self.fresh(plural)
        self.ids["workflow_approval_templates"] = self.approval()["id"]
        self._jobs()
        inventory = self.get(f"/api/v2/inventories/{self.ids['inventories']}/")
        self.ids["roles"] = inventory["summary_fields"]["object_roles"]["use_role"]["id"]
        shared = self.get("/api/v2/service-index/resources/")
        self.ids["ansible_id"] = shared["results"][0]["ansible_id"]
        for plural in ("activity_stream", "instances", "system_job_templates"):
            rows = self.get(f"/api/v2/{plural}/")["results"]
            self.ids[plural] = rows[0]["id"] if rows else 1

    def _jobs(self) -> None:
        template = self.ids["job_templates"]
        job = self.deployment.launch(template)
        self.deployment.ended(job)
        self.ids["jobs"] = job
        self.ids["inventory_updates"] = self.inventory_update()
        self.deployment.ended(self.ids["inventory_updates"], "inventory_updates")
        project = self.get(f"/api/v2/projects/{self.ids['projects']}/")
        self.ids["project_updates"] = project["summary_fields"]["last_update"]["id"]
        for name, path in (("job_events",) * 2, ("job_host_summaries",) * 2):
            rows = self.get(f"/api/v2/jobs/{job}/{path}/")["results"]
            self.ids[name] = rows[0]["id"]


BODIES: dict[str, Callable[[Graph], Body]] = {
    "organizations": lambda _: {},
    "users": lambda graph: {"username": graph.name(), "password": "long enough"},
    "teams": Graph.in_organization,
    "credentials": lambda graph: {
        **graph.in_organization(),
        "credential_type": AWS_TYPE,
        "inputs": {"username": "key", "password": "hush"},
    },
    "credential_types": lambda graph: {
        "kind": "cloud",
        "inputs": {"fields": [{"id": "token", "label": "Token", "secret": True}]},
        "injectors": {"env": {"THE_TOKEN": "{{ token }}"}},
    },
    "credential_input_sources": Graph.input_source,
    "execution_environments": lambda graph: {"image": "quay.io/ansible/awx-ee:latest"},
    "instance_groups": lambda _: {},
    "projects": lambda graph: {**graph.in_organization(), "scm_type": ""},
    "inventories": Graph.in_organization,
    "constructed_inventories": Graph.in_organization,
    "hosts": Graph.in_inventory,
    "groups": Graph.in_inventory,
    "inventory_sources": lambda graph: {
        **graph.in_inventory(),
        "source": "scm",
        "source_project": graph.ids["projects"],
        "source_path": "hosts.ini",
    },
    "job_templates": lambda graph: {
        "project": graph.ids["projects"],
        "inventory": graph.ids["inventories"],
        "playbook": "site.yml",
    },
    "workflow_job_templates": Graph.in_organization,
    "workflow_job_template_nodes": lambda graph: {
        "workflow_job_template": graph.ids["workflow_job_templates"],
        "unified_job_template": graph.prompting(),
        "identifier": graph.name(),
    },
    "schedules": lambda graph: {
        "unified_job_template": graph.prompting(),
        "rrule": DAILY,
    },
    "notification_templates": lambda graph: {
        **graph.in_organization(),
        "notification_type": "webhook",
        "notification_configuration": {
            "url": "https://hooks.example.com/",
            "headers": {},
        },
    },
    "labels": Graph.in_organization,
    "role_definitions": lambda graph: {
        "content_type": "awx.project",
        "permissions": ["awx.view_project"],
    },
    "role_user_assignments": lambda graph: {**graph.assigned(), "user": graph.fresh("users")},
    "role_team_assignments": lambda graph: {**graph.assigned(), "team": graph.fresh("teams")},
    "applications": lambda graph: {
        **graph.in_organization(),
        "client_type": "confidential",
        "authorization_grant_type": "password",
    },
    "tokens": lambda graph: {"scope": "write"},
    "application_tokens": lambda graph: {
        "scope": "write",
        "application": graph.ids["applications"],
    },
    "typed_credentials": lambda graph: {**graph.in_organization(), "inputs": {"token": "hush"}},
}
"""The least that AWX takes of each kind, save its name."""
