"""Receivers of webhooks and provisioning callbacks: signed, not logged in (``api.md`` 4.8).

Whatever does not fit is 403 alike, so that nobody learns which templates there are.
"""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import named_urls, options
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import BadRequest, PermissionDenied
from controlplane.api.guards import ANYBODY, needs
from controlplane.api.job_render import url_of
from controlplane.api.routing import Endpoint, routes
from controlplane.api.survey_routes import SURVEYED
from controlplane.api.unrun_routes import NO_WORKFLOWS
from controlplane.api.writes import context_of
from controlplane.domain import extra_vars, launch, survey, webhook_requests
from controlplane.domain.facts import deep, plain
from controlplane.domain.launch import PromptFacts
from controlplane.domain.webhook_requests import Event, Request
from controlplane.shell import launch_lookups, launching
from controlplane.shell.launch_keys import Request as LaunchRequest
from controlplane.shell.launch_tools import How, Launched
from controlplane.shell.read_model import Row, View
from schemas.envelope import Actor
from schemas.events.job import NamedRef
from schemas.resource import RESOURCES
from schemas.resources.choices import WEBHOOK_SERVICES
from schemas.status import LaunchType

KIND = "job_template"
FORM = "application/x-www-form-urlencoded"
_CALLBACK = {"POST": {"host_config_key": {"type": "string", "required": True, "label": "Key"}}}


def webhook_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of webhook receivers and provisioning callbacks."""
    handlers: list[HTTPRouteHandler] = []
    for kind in SURVEYED:
        for service, _ in WEBHOOK_SERVICES:
            handlers += routes(
                f"/api/v2/{RESOURCES[kind].plural}/{{key:str}}/{service}",
                {"POST": (ANYBODY, _receiver(kind, service))},
                "Webhook Receiver",
            )
    handlers += routes(
        "/api/v2/job_templates/{key:str}/callback",
        {"GET": (needs("read", KIND), show_callback), "POST": (ANYBODY, call_back)},
        (needs("read", KIND, missing=True), describe_callback),
    )
    return handlers


def _receiver(kind: str, service: str) -> Endpoint:
    async def receive(call: Call) -> Response[Any]:
        headers = {name.lower(): value for name, value in call.request.headers.items()}
        if headers.get("x-event-key") == "diagnostics:ping" and service == "bitbucket_dc":
            return answer({"message": "Webhook ignored"})
        body = await call.request.body()
        async with call.read() as view:
            template = await _named(call, view, kind)
        if template is None or template["webhook_service"] != service:
            raise PermissionDenied
        sealed = template["webhook_key"]
        key = await call.services.vault.open(kind, template["id"], sealed) if sealed else ""
        request = Request(headers=headers, body=body, payload=_payload(body))
        event = webhook_requests.receive(service, request, key)
        if event is None:
            raise PermissionDenied
        if not webhook_requests.starts(service, event.type):
            return answer({"message": "Webhook ignored"})
        if kind != KIND:
            raise BadRequest(NO_WORKFLOWS)
        if not isinstance(request.payload, dict) or not plain(request.payload):
            raise BadRequest("JSON parse error - not a JSON object")
        done = await _launch(call, template, event, request.payload)
        await _seen(call, done)
        if done.repeated:
            return answer({"message": "Webhook previously received, aborting."}, 202)
        return answer({"message": "Job queued."}, 202)

    return receive


async def _named(call: Call, view: View, kind: str) -> Row | None:
    """Return the template that the path names, whoever asks."""
    number = await named_urls.resolve(view, kind, str(call.request.path_params["key"]))
    if number is None or number >= 2**63:
        return None
    return await view.row(f'select t.* from "{kind}" t where t."id" = $1', number)  # noqa: S608 - a declared kind


def _payload(body: bytes) -> Any:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if deep(found) else found


async def _launch(call: Call, template: Row, event: Event, payload: Any) -> Launched:
    """Launch the job of an event; the same delivery launches no second one."""
    async with call.read() as view:
        facts = await launch_lookups.template_facts(view, template)
        resolved = launch.resolve(facts, {}, PromptFacts())
        variables = extra_vars.parse(resolved.record.extra_vars) | event.variables(payload)
        record = msgspec.structs.replace(resolved.record, extra_vars=extra_vars.as_text(variables))
        tools = call.services.launch_tools
        if event.guid:
            delivery = LaunchRequest(cause=f"webhook:{template['id']}:{event.guid}")
            tools = msgspec.structs.replace(tools, request=delivery)
        return await launching.launch_template(
            tools,
            view,
            facts,
            msgspec.structs.replace(resolved, record=record),
            context_of(Actor(kind="process", name="webhook")),
            how=How(launch_type=LaunchType.WEBHOOK, launched_by=_itself(template)),
        )


async def _seen(call: Call, done: Launched) -> None:
    """Let whoever looks for the job next find it."""
    within_s = call.services.settings.write_wait_s
    await call.services.catch_up.wait("jobs", done.position, within_s)


def _itself(template: Row) -> NamedRef:
    return NamedRef(type=KIND, id=template["id"], name=template["name"])


async def describe_callback(_call: Call) -> Response[Any]:
    """Answer what a callback takes."""
    return answer(options.plain("Job Template Callback", (), {"GET": {}, **_CALLBACK}))


async def show_callback(call: Call) -> Response[Any]:
    """Answer the key and which hosts of the inventory have the address that asks."""
    async with call.read() as view:
        template = await _named(call, view, KIND)
        if template is None:
            raise LookupError(call.path)
        matching = await _matching(call, view, template)
    return answer({"host_config_key": template["host_config_key"], "matching_hosts": matching})


async def call_back(call: Call) -> Response[Any]:
    """Run the template on the one host that asks, if it knows the key: 201 without a body."""
    body = await _form(call)
    key = body.get("host_config_key")
    async with call.read() as view:
        template = await _named(call, view, KIND)
        if template is None or not isinstance(key, str) or not _same(template, key):
            raise PermissionDenied
        hosts = await _matching(call, view, template)
        if len(hosts) != 1:
            several = "Multiple hosts matched the request!"
            raise BadRequest({"msg": several if hosts else "No matching host could be found!"})
        facts = await launch_lookups.template_facts(view, template)
        given = {"extra_vars": body["extra_vars"]} if body.get("extra_vars") else {}
        asked = survey.needed(survey.questions(template))
        if launch.passwords_needed(facts.credentials) or (asked and not given):
            raise BadRequest({"msg": "Cannot start automatically, user input required!"})
        if await view.named("callback_jobs", template["id"], hosts[0]):
            raise BadRequest({"msg": "Host callback job already pending."})
        resolved = launch.resolve(facts, given, PromptFacts())
        record = msgspec.structs.replace(resolved.record, limit=hosts[0])
        done = await launching.launch_template(
            call.services.launch_tools,
            view,
            facts,
            msgspec.structs.replace(resolved, record=record),
            context_of(Actor(kind="process", name="callback")),
            how=How(launch_type=LaunchType.CALLBACK, launched_by=_itself(template), whole=True),
        )
    await _seen(call, done)
    return empty(201, {"Location": url_of("job", done.job)})


def _same(template: Row, key: str) -> bool:
    known: str = template["host_config_key"]
    return bool(known) and hmac.compare_digest(known.encode(), key.encode(errors="replace"))


async def _form(call: Call) -> dict[str, Any]:
    """Return the body, sent as a form or as JSON."""
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        return await call.body()
    return dict(parse_qsl((await call.request.body()).decode("latin-1")))


async def _matching(call: Call, view: View, template: Row) -> list[str]:
    """Return the hosts of the template's inventory that are at the address that asks."""
    client = call.request.client
    if template["inventory"] is None or client is None:
        return []
    found: list[str] = []
    for host in await view.named("hosts_perhaps_at", template["inventory"], client.host):
        variables = _variables(host["variables"])
        named = (variables.get("ansible_host"), variables.get("ansible_ssh_host"), host["name"])
        if client.host in named:
            found.append(host["name"])
    return found


def _variables(text: str) -> dict[str, Any]:
    try:
        return extra_vars.parse(text)
    except extra_vars.NotVariables:
        return {}
