"""Notifications: the test of a template, and what was sent about a job."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest
from controlplane.api.guards import needs
from controlplane.api.job_render import PLURAL
from controlplane.api.listing import Within
from controlplane.api.resource_routes import page_of
from controlplane.api.routing import routes
from controlplane.api.where import Sql
from schemas.resource import RESOURCES

NOT_SENT = "Playlog does not send notifications yet."


def notification_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of notifications that declarations do not bring."""
    edit = needs("edit", "notification_template")
    handlers = routes(
        "/api/v2/notification_templates/{key:str}/test",
        {"POST": (edit, refuse_test)},
        "Notification Template Test",
    )
    for kind, plural in PLURAL.items():
        read = needs("read", kind)
        handlers += routes(
            f"/api/v2/{plural}/{{key:str}}/notifications",
            {"GET": (read, show_about)},
            (read, describe_about),
        )
    return handlers


async def refuse_test(_call: Call) -> Response[Any]:
    """Refuse to send a test message, rather than record one that never went out."""
    raise BadRequest({"detail": NOT_SENT})


async def show_about(call: Call) -> Response[Any]:
    """List the notifications that were sent about a job."""
    where = Sql(text='{t}."unified_job" = {0}', values=(call.target.id,))
    return await page_of(call, "notification", Within(where=where))


async def describe_about(_call: Call) -> Response[Any]:
    """Describe a list of notifications."""
    return answer(options.of_list(RESOURCES["notification"], create=False))
