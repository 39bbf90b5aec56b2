"""Ad hoc commands: asked for anywhere above the hosts, checked whole, run, and run again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import job_lists, shown_options, visibility
from controlplane.api.call import Call, answer
from controlplane.api.errors import PermissionDenied
from controlplane.api.guards import LOGIN, needs
from controlplane.api.launch_answers import context_by, job_row, launched, once
from controlplane.api.routing import Endpoint, routes
from controlplane.domain import access, ad_hoc
from controlplane.domain.field_values import ID_MAX, reference
from controlplane.domain.launch import CredentialFact
from controlplane.shell.command_launching import launch_command
from controlplane.shell.launch_lookups import credential_facts
from controlplane.shell.launch_tools import BY_HAND, How, Launched
from controlplane.shell.read_model import View
from schemas.ad_hoc import FIELDS
from schemas.status import LaunchType

KIND = "ad_hoc_command"
_USED_AS = {"inventory": "adhoc", "credential": "use", "execution_environment": "read"}
"""Reference of a command to the verb its caller needs on it."""
_RENAMED = {
    "limit": "limit_",
    **{name: f"{name}_id" for name in _USED_AS},
}
_COLUMNS = {name: _RENAMED.get(name, name) for name in FIELDS}
"""Field of a request to the column that says what a command ran with."""
BELOW = (
    ("inventory", "inventories", '{t}."inventory_id" = {0}'),
    ("host", "hosts", '{t}."id" in (select e."job" from "job_event" e where e."host" = {0})'),
    (
        "group",
        "groups",
        (
            '{t}."id" in (select e."job" from "job_event" e join "group_hosts" l'
            ' on l."target" = e."host" where l."id" = {0})'
        ),
    ),
)
"""(kind, its plural, condition on the commands that concern it)."""


def ad_hoc_handlers() -> list[HTTPRouteHandler]:
    """Return the routes that list ad hoc commands and their events, and take requests for some."""
    handlers = routes(
        "/api/v2/ad_hoc_commands",
        {"GET": (LOGIN, job_lists.list_of(KIND)), "POST": (LOGIN, _asked("inventory"))},
        (LOGIN, describe),
    )
    for kind, plural, condition in BELOW:
        read = needs("read", kind)
        handlers += routes(
            f"/api/v2/{plural}/{{key:str}}/ad_hoc_commands",
            {
                "GET": (read, job_lists.list_of(KIND, condition)),
                "POST": (read, _asked(kind, preset=True)),
            },
            (read, describe),
        )
    handlers += routes(
        "/api/v2/ad_hoc_commands/{key:str}/relaunch",
        {
            "GET": (needs("read", KIND), show_relaunch),
            "POST": (needs("start", KIND), once(relaunch)),
        },
        "Ad Hoc Command Relaunch",
    )
    return handlers


def _asked(kind: str, *, preset: bool = False) -> Endpoint:
    """Return what takes a request; below an object of ``kind`` it is about that one."""

    async def ask(call: Call) -> Response[Any]:
        body = await call.body()
        async with call.read() as view:
            if preset:
                body |= await _preset(view, kind, call.target.id)
            done = await _launch(call, view, body)
        return await launched(call, done, KIND)

    return once(ask)


async def _launch(call: Call, view: View, body: Mapping[str, Any], how: How = BY_HAND) -> Launched:
    """Launch what a body asks for; raises Invalid or 403 with nothing stored."""
    known = await _known(call, view, body)
    credential = await _credential(view, body["credential"] if "credential" in known else None)
    modules = call.services.settings_store.get("AD_HOC_COMMANDS")
    record = ad_hoc.check(body, modules, credential, known)
    passwords = ad_hoc.passwords(body, credential)
    tools = call.services.launch_tools
    return await launch_command(tools, view, record, passwords, context_by(call), how)


async def _credential(view: View, number: Any) -> CredentialFact | None:
    used = [] if number is None else [int(number)]
    return next(iter(await credential_facts(view, used)), None)


async def show_relaunch(call: Call) -> Response[Any]:
    """Answer which passwords a command needs to be run again."""
    async with call.read() as view:
        row = await job_row(view, call.target.id)
        credential = await _credential(view, row["credential_id"])
    asks = [] if credential is None else list(credential.asks)
    return answer({"passwords_needed_to_start": asks})


async def relaunch(call: Call) -> Response[Any]:
    """Run a command again as it was, by what may be run now; 201."""
    given = await call.body()
    async with call.read() as view:
        row = await job_row(view, call.target.id)
        body = {**given, **{name: row[column] for name, column in _COLUMNS.items()}}
        how = How(launch_type=LaunchType.RELAUNCH, relaunch_of=row["id"])
        done = await _launch(call, view, body, how)
    return await launched(call, done, KIND)


async def describe(call: Call) -> Response[Any]:
    """Describe the list, and a request by the modules that may be run now."""
    body = shown_options.of_list(KIND)
    modules = [[name, name] for name in call.services.settings_store.get("AD_HOC_COMMANDS")]
    fields: dict[str, Any] = {}
    for name, field in FIELDS.items():
        shown = {**body["actions"]["GET"][name], "required": False}
        if field.choices is not None:
            shown["choices"] = [list(pair) for pair in field.choices.pairs]
        fields[name] = shown if field.default is None else {**shown, "default": field.default}
    for described in (fields["module_name"], body["actions"]["GET"]["module_name"]):
        described["choices"] = modules
    body["actions"]["POST"] = fields
    return answer(body)


async def _preset(view: View, kind: str, number: int) -> dict[str, Any]:
    """Return what a request below an object is about, whatever its body says."""
    if kind == "inventory":
        return {"inventory": number}
    row = await view.named_row(f"{kind}_for_ad_hoc", number)
    return {} if row is None else {"inventory": row["inventory"], "limit": row["name"]}


async def _known(call: Call, view: View, body: Mapping[str, Any]) -> set[str]:
    """Return the references that lead to something; raises 403 where the caller may not use it."""
    if call.who.read_only:
        raise PermissionDenied
    known: set[str] = set()
    for name, verb in _USED_AS.items():
        number = reference(body.get(name))
        if number is None or not 0 < number <= ID_MAX:
            continue
        facts = await visibility.load(view, name, number)
        if facts is None:
            continue
        if not access.may(call.who, verb, name, facts):
            raise PermissionDenied
        known.add(name)
    return known
