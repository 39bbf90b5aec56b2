"""Receivers of webhooks: their requests are signed, nobody is logged in (``api.md`` 4.8).

Whatever does not fit is 403 alike, so that nobody learns which templates there are.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import named_urls
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, PermissionDenied
from controlplane.api.guards import ANYBODY
from controlplane.api.routing import Endpoint, routes
from controlplane.api.survey_routes import SURVEYED
from controlplane.api.unrun_routes import NO_WORKFLOWS
from controlplane.api.writes import context_of
from controlplane.domain import extra_vars, launch, webhook_requests
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


def webhook_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of webhook receivers."""
    handlers: list[HTTPRouteHandler] = []
    for kind in SURVEYED:
        for service, _ in WEBHOOK_SERVICES:
            handlers += routes(
                f"/api/v2/{RESOURCES[kind].plural}/{{key:str}}/{service}",
                {"POST": (ANYBODY, _receiver(kind, service))},
                "Webhook Receiver",
            )
    return handlers


def _receiver(kind: str, service: str) -> Endpoint:
    async def receive(call: Call) -> Response[Any]:
        headers = {name.lower(): value for name, value in call.request.headers.items()}
        if headers.get("x-event-key") == "diagnostics:ping" and service == "bitbucket_dc":
            return answer({"message": "Webhook ignored"})
        body = await call.request.body()
        async with call.read() as view:
            template = await named_template(call, view, kind)
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
        await seen(call, done)
        if done.repeated:
            return answer({"message": "Webhook previously received, aborting."}, 202)
        return answer({"message": "Job queued."}, 202)

    return receive


async def named_template(call: Call, view: View, kind: str) -> Row | None:
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
        told = event.variables(payload)
        variables = extra_vars.parse(resolved.record.extra_vars) | told
        record = msgspec.structs.replace(
            resolved.record,
            extra_vars=extra_vars.as_text(variables),
            template_vars=tuple(n for n in resolved.record.template_vars or () if n not in told),
            prompted={"extra_vars": told},
            webhook_service=template["webhook_service"],
            webhook_credential=template["webhook_credential"],
            webhook_guid=event.guid,
        )
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
            how=How(launch_type=LaunchType.WEBHOOK, launched_by=itself(template)),
        )


async def seen(call: Call, done: Launched) -> None:
    """Let whoever looks for the job next find it."""
    within_s = call.services.settings.write_wait_s
    await call.services.catch_up.wait("jobs", done.position, within_s)


def itself(template: Row) -> NamedRef:
    """Return a template as what launched a job, for nobody did."""
    return NamedRef(type=KIND, id=template["id"], name=template["name"])
