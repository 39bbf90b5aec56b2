"""Surveys of templates and keys of webhooks: what no body of a template sets (AWX 4.3, 4.8)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options
from controlplane.api.call import Call, answer, empty
from controlplane.api.guards import needs
from controlplane.api.routing import routes
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain import survey
from controlplane.domain.facts import decoded
from controlplane.domain.resource import Assign
from controlplane.shell.config_writer import Appended
from controlplane.shell.resource_commands import prepare_for
from schemas.events.resource import ResourceUpdated
from schemas.resource import RESOURCES

SURVEYED = ("job_template", "workflow_job_template")
"""Kinds that ask questions at launch and take webhooks."""
_ACTIONS = {
    "GET": {},
    "POST": {
        "name": {"type": "string", "required": True, "label": "Name"},
        "description": {"type": "string", "required": True, "label": "Description"},
        "spec": {"type": "list", "required": True, "label": "Spec"},
    },
}


def survey_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of surveys and webhook keys."""
    handlers: list[HTTPRouteHandler] = []
    for kind in SURVEYED:
        base = f"/api/v2/{RESOURCES[kind].plural}/{{key:str}}"
        read, edit = needs("read", kind), needs("edit", kind)
        handlers += routes(
            f"{base}/survey_spec",
            {
                "GET": (read, show_survey),
                "POST": (edit, replace_survey),
                "DELETE": (edit, remove_survey),
            },
            (read, describe_survey),
        )
        handlers += routes(
            f"{base}/webhook_key",
            {"GET": (edit, show_key), "POST": (edit, rotate_key)},
            "Webhook Key",
        )
    return handlers


async def describe_survey(_call: Call) -> Response[Any]:
    """Answer what a survey is made of."""
    return answer(options.plain("Survey Spec", (), _ACTIONS))


async def show_survey(call: Call) -> Response[Any]:
    """Answer the survey, or an empty object."""
    return answer(survey.shown(decoded(await _stored(call, "survey_spec"))))


async def replace_survey(call: Call) -> Response[Any]:
    """Put a survey in the place of what there is."""
    body = await call.body()
    if not body:
        survey.checked(body, {})
    appended = await _assign(call, {"survey_spec": body})
    return empty(200, position_header(appended))


async def remove_survey(call: Call) -> Response[Any]:
    """Take the survey away."""
    appended = await _assign(call, {"survey_spec": {}})
    return empty(200, position_header(appended))


async def show_key(call: Call) -> Response[Any]:
    """Answer the key that webhooks are signed with, to those who may change the template."""
    sealed = await _stored(call, "webhook_key")
    return answer({"webhook_key": await _opened(call, sealed)})


async def rotate_key(call: Call) -> Response[Any]:
    """Make another key: 201 with it."""
    appended = await _assign(call, {"webhook_key": ""})
    changed = (each for each in appended.events if isinstance(each, ResourceUpdated))
    sealed = next(changed).changes["webhook_key"]
    body = {"webhook_key": await _opened(call, sealed)}
    return answer(body, 201, position_header(appended))


async def _opened(call: Call, sealed: str) -> str:
    if not sealed:
        return ""
    return await call.services.vault.open(call.target.kind, call.target.id, sealed)


async def _stored(call: Call, field: str) -> Any:
    async with call.read() as view:
        sql = f'select t."{field}" from "{call.target.kind}" t where t."id" = $1'  # noqa: S608 - names from above
        return await view.value(sql, call.target.id)


async def _assign(call: Call, changes: dict[str, Any]) -> Appended:
    command = Assign(kind=call.target.kind, id=call.target.id, changes=changes)
    appended = await submit(call, prepare_for(command, call.services))
    await caught_up(call, appended)
    return appended
