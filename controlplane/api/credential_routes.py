"""Trying out external credentials (``api.md`` 3.8-3.10).

The lookup is made here, as in AWX: runners need not be there when somebody fills in a form. It
waits within bounds, few at a time, and tells whether it found something, never what. A saved secret
goes to the server it was saved with: who may merely use a credential cannot name another. Values
that nobody saved are tried for those alone who may make credentials of an organization.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import guards, options
from controlplane.api.call import Call, answer
from controlplane.api.computed import decoded
from controlplane.api.errors import BadRequest, PermissionDenied
from controlplane.api.guards import needs
from controlplane.api.routing import routes
from controlplane.domain import credential_schema
from controlplane.domain.field_values import ENCRYPTED
from controlplane.shell.credential_values import opened
from controlplane.shell.read_model import QUERIES
from ops.lookups import LookupFailed, look_up
from schemas.work import Lookup

EXTERNAL = "external"
NOT_EXTERNAL = "Only external credentials can be tested."
TEST_S = 20.0
AT_ONCE = 4
"""Tests that one process makes at a time; others wait."""
MAKERS = ("admin", "credential_admin")
Values = Mapping[str, Any]


def credential_handlers() -> list[HTTPRouteHandler]:
    """Return the routes that try a lookup with saved and with unsaved inputs."""
    turns = asyncio.Semaphore(AT_ONCE)
    handlers: list[HTTPRouteHandler] = []
    for kind, plural, verb, query in (
        ("credential", "credentials", "use", "type_of_credential"),
        ("credential_type", "credential_types", "read", "credential_type_alone"),
    ):
        handlers += _test(turns, (kind, plural, verb), query)
    return handlers


def _test(
    turns: asyncio.Semaphore, names: tuple[str, str, str], query: str
) -> list[HTTPRouteHandler]:
    kind, plural, verb = names

    async def show(_call: Call) -> Response[Any]:
        return answer({})

    async def post(call: Call) -> Response[Any]:
        body = await call.body()
        async with call.read() as view:
            row = await view.row(QUERIES[query], call.target.id)
            if row is None or row["kind"] != EXTERNAL:
                raise BadRequest({"inputs": NOT_EXTERNAL})
            given = {n: v for n, v in _object(body, "inputs").items() if v != ENCRYPTED}
            if kind == "credential_type":
                allowed = call.who.superuser or call.who.on_any("organization", MAKERS)
            else:
                changes = bool(given)
                allowed = not changes or await guards.may(
                    view, call.who, "edit", kind, call.target.id
                )
        if not allowed:
            raise PermissionDenied
        schema = decoded(row["schema"])
        metadata = _object(body, "metadata")
        _check(schema, given, metadata)
        services = call.services
        saved = await opened(
            services.vault, call.target.id, decoded(row["inputs"]), {"inputs": schema}
        )
        lookup = Lookup(store=row["namespace"] or "", inputs={**saved, **given}, metadata=metadata)
        await _try(turns, lookup)
        return answer({}, 202)

    async def describe(_call: Call) -> Response[Any]:
        fields = ("metadata",) if kind == "credential" else ("inputs", "metadata")
        shape = {"type": "json", "required": False}
        actions = {"POST": {name: {**shape, "label": name.title()} for name in fields}}
        return answer(options.plain("External Credential Test", (), actions))

    path = f"/api/v2/{plural}/{{key:str}}/test"
    read = needs("read", kind)
    return routes(path, {"GET": (read, show), "POST": (needs(verb, kind), post)}, (read, describe))


def _object(body: Values, name: str) -> dict[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise BadRequest({name: f"{type(value).__name__} provided, expected dict"})
    return value


def _check(schema: Values, inputs: Values, metadata: Values) -> None:
    """Refuse what the type does not have or what does not fit; secrets are not repeated."""
    for place, key, values in (("inputs", "fields", inputs), ("metadata", "metadata", metadata)):
        fields = {field["id"]: field for field in schema.get(key, ())}
        if unknown := [name for name in values if name not in fields]:
            raise BadRequest({place: credential_schema.unexpected(unknown)})
        for name, value in values.items():
            shown = ENCRYPTED if fields[name].get("secret") else repr(value)
            if problem := credential_schema.value_problem(fields[name], value, shown):
                raise BadRequest({place: {name: [problem]}})


async def _try(turns: asyncio.Semaphore, lookup: Lookup) -> None:
    """Look up within bounds; raises BadRequest with the reason when nothing is found."""
    try:
        async with asyncio.timeout(TEST_S), turns:
            await look_up(lookup)
    except LookupFailed as error:
        raise BadRequest({"inputs": str(error)}) from None
    except TimeoutError:
        raise BadRequest({"inputs": f"no answer within {TEST_S:.0f} s"}) from None
