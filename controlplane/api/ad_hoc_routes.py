"""Ad hoc commands: what is asked for is checked whole and then refused, for none runs yet."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import job_lists, shown_options, visibility
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, PermissionDenied
from controlplane.api.guards import LOGIN, needs
from controlplane.api.listing import Within
from controlplane.api.routing import Endpoint, routes
from controlplane.api.where import Sql
from controlplane.domain import access, ad_hoc
from controlplane.domain.field_values import reference
from controlplane.shell.launch_lookups import credential_facts
from controlplane.shell.read_model import View
from schemas.ad_hoc import FIELDS

KIND = "ad_hoc_command"
NO_COMMANDS = "Playlog does not run ad hoc commands yet."
ID_MAX = 2**63
_USED_AS = {"inventory": "adhoc", "credential": "use", "execution_environment": "read"}
"""Reference of a command to the verb its caller needs on it."""
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
        {"GET": (LOGIN, _listed(None)), "POST": (LOGIN, _asked("inventory"))},
        (LOGIN, describe),
    )
    for kind, plural, condition in BELOW:
        read = needs("read", kind)
        handlers += routes(
            f"/api/v2/{plural}/{{key:str}}/ad_hoc_commands",
            {"GET": (read, _listed(condition)), "POST": (read, _asked(kind, preset=True))},
            (read, describe),
        )
    return handlers


def _listed(condition: str | None) -> Endpoint:
    async def show(call: Call) -> Response[Any]:
        within = None
        if condition is not None:
            within = Within(where=Sql(text=condition, values=(call.target.id,)))
        return answer(await job_lists.job_page(call, KIND, within))

    return show


def _asked(kind: str, *, preset: bool = False) -> Endpoint:
    """Return what takes a request; below an object of ``kind`` it is about that one."""

    async def ask(call: Call) -> Response[Any]:
        body = await call.body()
        async with call.read() as view:
            if preset:
                body |= await _preset(view, kind, call.target.id)
            known = await _known(call, view, body)
            used = [body["credential"]] if "credential" in known else []
            credentials = await credential_facts(view, [int(each) for each in used])
        modules = call.services.settings_store.get("AD_HOC_COMMANDS")
        ad_hoc.check(body, modules, next(iter(credentials), None), known)
        raise BadRequest(NO_COMMANDS)

    return ask


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


async def _known(call: Call, view: View, body: dict[str, Any]) -> set[str]:
    """Return the references that lead to something; raises 403 where the caller may not use it."""
    if call.who.read_only:
        raise PermissionDenied
    known: set[str] = set()
    for name, verb in _USED_AS.items():
        number = reference(body.get(name))
        if number is None or not 0 < number < ID_MAX:
            continue
        facts = await visibility.load(view, name, number)
        if facts is None:
            continue
        if not access.may(call.who, verb, name, facts):
            raise PermissionDenied
        known.add(name)
    return known
