"""A client that does anything to anything: bodies for every kind, most of which can be stored."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import httpx

import schemas.resources  # noqa: F401 - declares every kind
from schemas.resource import RESOURCES, Resource

RULE = "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;COUNT=3"
NAMES = 14
"""So few that names collide."""
WEIGHTS = {
    "create": 34,
    "change": 10,
    "delete": 9,
    "attach": 30,
    "grant": 8,
    "assign": 7,
    "copy": 3,
    "token": 3,
    "survey": 2,
    "bulk": 3,
    "approval": 2,
    "setting": 2,
    "place_beneath": 6,
}
_SECRET = {"fields": [{"id": "token", "label": "T", "secret": True}]}
_HOOK = {"url": "http://x.example", "headers": {}}
NEEDED: dict[str, tuple[dict[str, Any], ...]] = {
    "user": ({"password": "pw"},),
    "credential": tuple({"credential_type": each, "inputs": {}} for each in (1, 1, 17, 19, 21)),
    "credential_type": ({"kind": "cloud", "inputs": _SECRET},),
    "application": ({"client_type": "public", "authorization_grant_type": "password"},),
    "execution_environment": ({"image": "quay.io/x/y"},),
    "inventory": ({}, {}, {}, {"kind": "constructed"}, {"kind": "smart", "host_filter": "name=x"}),
    "inventory_source": ({"source": "scm", "source_path": "hosts"},),
    "job_template": ({"playbook": "site.yml", "ask_credential_on_launch": True},),
    "schedule": ({"rrule": RULE},),
    "credential_input_source": tuple(
        {"input_field_name": each} for each in ("password", "username")
    ),
    "notification_template": (
        {"notification_type": "webhook", "notification_configuration": _HOOK},
    ),
}
"""Bodies that a kind takes, one of which is chosen."""
MADE = tuple(
    kind
    for kind, resource in RESOURCES.items()
    if not resource.read_only and kind not in ("role_definition", "workflow_approval_template")
)
FIRST = [
    "organization",
    "user",
    "team",
    "label",
    "credential_type",
    "credential",
    "execution_environment",
    "instance_group",
    "inventory",
    "group",
    "host",
    "project",
    "job_template",
    "notification_template",
    "application",
    "inventory_source",
    "workflow_job_template",
    "workflow_job_template_node",
    "schedule",
    "credential_input_source",
]
"""Every kind behind what it refers to."""


class Wanderer:
    """Chooses by a seed of its own; what it has made is known to all that share ``made``."""

    def __init__(
        self, client: httpx.AsyncClient, seed: int, made: defaultdict[str, list[int]]
    ) -> None:
        """Act over ``client``."""
        self._client = client
        self._random = random.Random(seed)
        self._made = made
        self.outcomes: Counter[tuple[str, int]] = Counter()

    async def begin(self) -> None:
        """Make the first of what everything hangs on."""
        for kind in sorted(MADE, key=FIRST.index):
            await self._create(kind)
            await self._create(kind)

    async def step(self) -> None:
        """Do one thing; raises AssertionError where the server fails."""
        name = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        answered = await getattr(self, f"_do_{name}")()
        assert answered.status_code < 500, (name, answered.request.url, answered.text)
        self.outcomes[name, answered.status_code] += 1

    def _some(self, kind: str) -> int:
        """Return the id of something made, which may be gone by now, or of nothing."""
        known = self._made[kind]
        return self._random.choice(known) if known and self._random.random() < 0.97 else 99999

    def _name(self) -> str:
        return f"n{self._random.randrange(NAMES)}"

    def _url(self, kind: str, number: int, *more: str) -> str:
        parts = ("/api/v2", RESOURCES[kind].plural, str(number), *more)
        return "/".join(parts) + "/"

    async def _post(self, url: str, body: Any) -> httpx.Response:
        return await self._client.post(url, json=body)

    async def _create(self, kind: str) -> httpx.Response:
        answered = await self._post(f"/api/v2/{RESOURCES[kind].plural}/", self._body(kind))
        if answered.status_code == 201:
            self._made[kind].append(answered.json()["id"])
            if RESOURCES[kind].job_kind:
                self._made["unified_job_template"].append(answered.json()["id"])
        return answered

    def _body(self, kind: str) -> dict[str, Any]:
        """Return a body with some references, or what the kind needs."""
        resource = RESOURCES[kind]
        body: dict[str, Any] = {"name": self._name()}
        for name, field in resource.fields.items():
            if field.ref is None or field.read_only:
                continue
            wanted = field.required or (
                name in ("organization", "inventory", "project") or self._random.random() < 0.15
            )
            if wanted:
                body[name] = self._some(field.ref.kind)
        return body | self._special(kind)

    def _special(self, kind: str) -> dict[str, Any]:
        """Return what a kind needs besides names and references."""
        chosen: dict[str, Any] = self._random.choice(NEEDED.get(kind, ({},)))
        own = {"user": "username", "workflow_job_template_node": "identifier"}
        return {**chosen, own[kind]: self._name()} if kind in own else chosen

    async def _do_create(self) -> httpx.Response:
        return await self._create(self._random.choice(MADE))

    async def _do_change(self) -> httpx.Response:
        kind = self._random.choice(MADE)
        body = self._body(kind)
        chosen = self._random.sample(sorted(body), min(len(body), 2))
        url = self._url(kind, self._some(kind))
        return await self._client.patch(url, json={name: body[name] for name in chosen})

    async def _do_delete(self) -> httpx.Response:
        kind = self._random.choice(MADE)
        if kind == "organization" and self._random.random() < 0.5:
            kind = "group"
        return await self._client.delete(self._url(kind, self._some(kind)))

    async def _do_attach(self) -> httpx.Response:
        links = [(r, each) for r in RESOURCES.values() for each in r.related if each.attach]
        resource, related = self._random.choice(links)
        return await self._attach(resource, related.name, related.kind)

    async def _do_place_beneath(self) -> httpx.Response:
        """Draw edges, which may close circles, more often than chance would."""
        place = self._random.choice(("children", "hosts", "success_nodes", "always_nodes"))
        kind = "workflow_job_template_node" if place.endswith("_nodes") else "group"
        return await self._attach(RESOURCES[kind], place, "host" if place == "hosts" else kind)

    async def _attach(self, resource: Resource, relation: str, kind: str) -> httpx.Response:
        body: dict[str, Any] = {"id": 1 if kind == "instance" else self._some(kind)}
        if self._random.random() < 0.25:
            body["disassociate"] = True
        url = self._url(resource.kind, self._some(resource.kind), relation)
        return await self._post(url, body)

    async def _do_grant(self) -> httpx.Response:
        holder = self._random.choice(("user", "team"))
        kind = self._random.choice([k for k in MADE if RESOURCES[k].roles])
        shown = await self._client.get(self._url(kind, self._some(kind), "object_roles"))
        if shown.status_code != 200:
            return shown
        role = self._random.choice(shown.json()["results"])
        return await self._post(
            self._url(holder, self._some(holder), "roles"),
            {"id": role["id"], "disassociate": self._random.random() < 0.2},
        )

    async def _do_assign(self) -> httpx.Response:
        holder = self._random.choice(("user", "team"))
        if self._random.random() < 0.3:
            name = {"name": self._name(), "content_type": "awx.inventory"}
            held = ["awx.view_inventory", "awx.use_inventory"]
            made = await self._post("/api/v2/role_definitions/", {**name, "permissions": held})
            if made.status_code == 201:
                self._made["role_definition"].append(made.json()["id"])
        if self._random.random() < 0.15:
            url = self._url("role_definition", self._some("role_definition"))
            return await self._client.delete(url)
        body = {
            "role_definition": self._some("role_definition"),
            holder: self._some(holder),
            "object_id": str(self._some("inventory")),
        }
        return await self._post(f"/api/v2/role_{holder}_assignments/", body)

    async def _do_copy(self) -> httpx.Response:
        kind = self._random.choice([k for k in MADE if RESOURCES[k].copyable])
        return await self._post(self._url(kind, self._some(kind), "copy"), {"name": self._name()})

    async def _do_token(self) -> httpx.Response:
        if self._random.random() < 0.5:
            url = self._url("application", self._some("application"), "tokens")
        else:
            url = self._url("user", self._some("user"), "personal_tokens")
        return await self._post(url, {"scope": "read"})

    async def _do_survey(self) -> httpx.Response:
        kind = self._random.choice(("job_template", "workflow_job_template"))
        asked = {"type": "password", "variable": "v", "question_name": "q", "required": True}
        spec = {"name": "", "description": "", "spec": [{**asked, "default": "secret"}]}
        return await self._post(self._url(kind, self._some(kind), "survey_spec"), spec)

    async def _do_bulk(self) -> httpx.Response:
        if self._random.random() < 0.4:
            hosts = sorted({self._some("host") for _ in range(3)})
            return await self._post("/api/v2/bulk/host_delete/", {"hosts": hosts})
        named = [{"name": f"b{self._random.randrange(1000)}"} for _ in range(5)]
        body = {"inventory": self._some("inventory"), "hosts": named}
        answered = await self._post("/api/v2/bulk/host_create/", body)
        if answered.status_code == 201:
            self._made["host"] += [each["id"] for each in answered.json()["hosts"]]
        return answered

    async def _do_approval(self) -> httpx.Response:
        kind = "workflow_job_template_node"
        url = self._url(kind, self._some(kind), "create_approval_template")
        answered = await self._post(url, {"name": self._name()})
        if answered.status_code == 201:
            self._made["unified_job_template"].append(answered.json()["id"])
        return answered

    async def _do_setting(self) -> httpx.Response:
        body = {
            "MAX_UI_JOB_EVENTS": self._random.randrange(10, 5000),
            "DEFAULT_EXECUTION_ENVIRONMENT": self._some("execution_environment"),
        }
        return await self._client.patch("/api/v2/settings/all/", json=body)
