"""Provisioning callbacks: a host that knows a template's key has it run on itself (``api.md`` 4.8).

Nobody is logged in. Whatever does not know the key is 403 alike.
"""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import callback_updates, options
from controlplane.api.call import Call, answer, empty
from controlplane.api.calling_hosts import matching
from controlplane.api.errors import BadRequest, PermissionDenied
from controlplane.api.guards import ANYBODY, needs
from controlplane.api.job_render import url_of
from controlplane.api.routing import routes
from controlplane.api.webhook_routes import KIND, itself, named_template, seen
from controlplane.api.writes import context_of
from controlplane.domain import extra_vars, launch, survey
from controlplane.domain.launch import PromptFacts, TemplateFacts
from controlplane.domain.launch_fields import ASK
from controlplane.shell import launch_lookups, launching
from controlplane.shell.launch_keys import Request as LaunchRequest
from controlplane.shell.launch_tools import How, Launched
from controlplane.shell.read_model import Row, View
from schemas.status import LaunchType

FORM = "application/x-www-form-urlencoded"
OF_ANSIBLE = "ansible_"
"""Variables of this prefix would say how hosts are reached: no host may tell."""
PENDING = {"msg": "Host callback job already pending."}
_TAKEN = {"POST": {"host_config_key": {"type": "string", "required": True, "label": "Key"}}}


def callback_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of provisioning callbacks."""
    return routes(
        "/api/v2/job_templates/{key:str}/callback",
        {"GET": (needs("read", KIND), show_callback), "POST": (ANYBODY, call_back)},
        (needs("read", KIND, missing=True), describe_callback),
    )


async def describe_callback(_call: Call) -> Response[Any]:
    """Answer what a callback takes."""
    return answer(options.plain("Job Template Callback", (), {"GET": {}, **_TAKEN}))


async def show_callback(call: Call) -> Response[Any]:
    """Answer the key and which hosts of the inventory have the address that asks."""
    async with call.read() as view:
        template = await named_template(call, view, KIND)
        if template is None:
            raise LookupError(call.path)
        hosts = await matching(call, view, template["inventory"])
    return answer({"host_config_key": template["host_config_key"], "matching_hosts": hosts})


async def call_back(call: Call) -> Response[Any]:
    """Run the template on the one host that asks, if it knows the key: 201 without a body.

    A host that is not found is looked for again once the inventory's sources were updated.
    """
    body = await _form(call)
    key = body.get("host_config_key")
    async with call.read() as view:
        template = await _template(call, view, key)
        hosts = await matching(call, view, template["inventory"])
        updates: tuple[int, ...] = ()
        if len(hosts) != 1:
            updates = await callback_updates.started(call, view, template["inventory"])
    updated = bool(updates) and await callback_updates.successful(call, updates)
    async with call.read() as view:
        template = await _template(call, view, key)
        if updates:
            hosts = await matching(call, view, template["inventory"])
        if len(hosts) != 1:
            several = "Multiple hosts matched the request!"
            raise BadRequest({"msg": several if hosts else "No matching host could be found!"})
        given = body.get("extra_vars")
        done = await _launch(call, view, template, hosts[0], given, updated=updated)
    if done.repeated:
        raise BadRequest(PENDING)
    await seen(call, done)
    return empty(201, {"Location": url_of("job", done.job)})


async def _template(call: Call, view: View, key: Any) -> Row:
    """Return the template that the path names, to whom knows its key; else 403."""
    template = await named_template(call, view, KIND)
    if template is None or not isinstance(key, str) or not _same(template, key):
        raise PermissionDenied
    return template


async def _launch(
    call: Call, view: View, template: Row, host: str, given: Any, *, updated: bool
) -> Launched:
    """Launch a template on a host; of callbacks at the same time one launches.

    ``updated``: its inventory's sources were just updated for it.
    """
    facts = await launch_lookups.template_facts(view, template)
    variables = _variables(given)
    if _input_needed(facts, variables):
        raise BadRequest({"msg": "Cannot start automatically, user input required!"})
    newest = await view.named_row("newest_job_on", template["id"], host)
    if newest is not None and newest["finished"] is None:
        raise BadRequest(PENDING)
    resolved = launch.resolve(facts, {"extra_vars": variables}, PromptFacts())
    prompted = {**(resolved.record.prompted or {}), "limit": host}
    record = msgspec.structs.replace(
        resolved.record, limit=host, prompted=prompted, job_slice_count=1
    )
    cause = f"callback:{template['id']}:{host}:{newest['id'] if newest else 0}"
    return await launching.launch_template(
        msgspec.structs.replace(call.services.launch_tools, request=LaunchRequest(cause=cause)),
        view,
        facts,
        msgspec.structs.replace(resolved, record=record),
        context_of(callback_updates.CALLBACK),
        how=How(
            launch_type=LaunchType.CALLBACK,
            launched_by=itself(template),
            whole=True,
            updated=updated,
        ),
    )


def _input_needed(facts: TemplateFacts, variables: dict[str, Any]) -> bool:
    """Return whether somebody would have to be asked: what prompts may offer is no matter."""
    needed = survey.needed(survey.questions(facts.template))
    lacking = [name for name in needed if name not in variables]
    return bool(lacking) or bool(launch.passwords_needed(facts.credentials))


def _variables(given: Any) -> dict[str, Any]:
    """Return the variables that a host may give; raises BadRequest."""
    try:
        found = extra_vars.parse(given)
    except extra_vars.NotVariables as error:
        raise BadRequest({"extra_vars": [str(error)]}) from error
    return {name: value for name, value in found.items() if not name.startswith(OF_ANSIBLE)}


def _same(template: Row, key: str) -> bool:
    known: str = template["host_config_key"]
    return bool(known) and hmac.compare_digest(known.encode(), key.encode(errors="replace"))


async def _form(call: Call) -> dict[str, Any]:
    """Return the body, sent as JSON, or as a form, which has a key and nothing else."""
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        return await call.body()
    given = dict(parse_qsl((await call.request.body()).decode("latin-1")))
    return {name: each for name, each in given.items() if name not in ASK}
