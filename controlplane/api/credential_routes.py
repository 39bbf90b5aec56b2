"""Trying out external credentials (``api.md`` 3.8-3.10); nothing is looked up yet."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest
from controlplane.api.guards import needs
from controlplane.api.routing import routes
from controlplane.domain.launch import NO_LOOKUPS
from controlplane.shell.read_model import QUERIES

EXTERNAL = "external"
NOT_EXTERNAL = "Only external credentials can be tested."


def credential_handlers() -> list[HTTPRouteHandler]:
    """Return the routes that try a lookup with saved and with unsaved inputs."""
    handlers: list[HTTPRouteHandler] = []
    for kind, plural, verb, query in (
        ("credential", "credentials", "use", "credential_type_kind"),
        ("credential_type", "credential_types", "read", "type_kind"),
    ):
        handlers += _test(kind, plural, verb, query)
    return handlers


def _test(kind: str, plural: str, verb: str, query: str) -> list[HTTPRouteHandler]:
    async def show(_call: Call) -> Response[Any]:
        return answer({})

    async def post(call: Call) -> Response[Any]:
        await call.body()
        async with call.read() as view:
            external = await view.value(QUERIES[query], call.target.id) == EXTERNAL
        raise BadRequest({"inputs": NO_LOOKUPS if external else NOT_EXTERNAL})

    async def describe(_call: Call) -> Response[Any]:
        fields = ("metadata",) if kind == "credential" else ("inputs", "metadata")
        shape = {"type": "json", "required": False}
        actions = {"POST": {name: {**shape, "label": name.title()} for name in fields}}
        return answer(options.plain("External Credential Test", (), actions))

    path = f"/api/v2/{plural}/{{key:str}}/test"
    read = needs("read", kind)
    return routes(path, {"GET": (read, show), "POST": (needs(verb, kind), post)}, (read, describe))
