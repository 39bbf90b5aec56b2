"""The service index: organizations, teams and users as services share them, by ansible id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import negotiation, options, pagination, visibility
from controlplane.api.auth import Authenticator, LoginFailed
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import BadRequest, Missing, PermissionDenied, Refusal
from controlplane.api.guards import AUDIT, LOGIN, SUPERUSER
from controlplane.api.installation import install_uuid
from controlplane.api.listing import find
from controlplane.api.login_records import record
from controlplane.api.resource_ids import SHARED, ansible_id, named_by, type_of
from controlplane.api.resource_writes import append_object, made_in
from controlplane.api.routing import routes
from controlplane.api.tables import Table, column, register
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain import access
from controlplane.domain.resource import Command, Delete, Update
from controlplane.shell.read_model import Row, View
from controlplane.shell.resource_commands import prepare_for
from ops import ids
from schemas.resource import RESOURCES

_ROOT = "/api/v2/service-index"
_NAMES = {"organization": '"name"', "team": '"name"', "user": '"username"'}
DATA = {
    "organization": ("name", "description"),
    "team": ("name", "description", "organization"),
    "user": ("username", "email", "first_name", "last_name", "is_superuser"),
}
"""Kind to the fields that services share."""
CHOSEN = "Playlog derives ansible_id from the object: it cannot be chosen."
WRONG = "Invalid username or password."
_TYPE_FILTER = "content_type__resource_type__name"

_SOURCE = " union all ".join(
    f'select t."id", t."id"::text as "object_id", \'shared.{kind}\' as "resource_type",'  # noqa: S608 - kinds from above
    f' \'{kind}\' as "kind", t.{name} as "name" from "{kind}" t'
    for kind, name in _NAMES.items()
)

register(
    Table(
        kind="service_resource",
        source=f"({_SOURCE})",
        verbose="Resource",
        columns={
            "id": column("id", "int"),
            **{name: column(name, "str") for name in ("object_id", "name", "resource_type")},
        },
        relations={},
        order=("resource_type", "id"),
        search=("name",),
    )
)


def service_index_handlers() -> list[HTTPRouteHandler]:
    """Return the routes below ``/api/v2/service-index/``."""
    csv = negotiation.rendering(AUDIT, "text/csv", "text/plain", *negotiation.DEFAULT)
    types = f"{_ROOT}/resource-types"
    return [
        *routes(_ROOT, {"GET": (LOGIN, show_root)}, "Service Index"),
        *routes(f"{_ROOT}/metadata", {"GET": (LOGIN, show_metadata)}, "Service Metadata"),
        *routes(
            f"{_ROOT}/validate-local-account",
            {"POST": (SUPERUSER, validate)},
            "Validate Local Account",
        ),
        *routes(
            f"{_ROOT}/resources",
            {"GET": (AUDIT, show_all), "POST": (SUPERUSER, create)},
            (AUDIT, describe_all),
        ),
        *routes(
            f"{_ROOT}/resources/{{ansible_id:str}}",
            {
                "GET": (AUDIT, show_one),
                "PUT": (SUPERUSER, replace),
                "PATCH": (SUPERUSER, change),
                "DELETE": (SUPERUSER, remove),
            },
            "Resource",
        ),
        *routes(types, {"GET": (AUDIT, show_types)}, "Resource Types"),
        *routes(f"{types}/{{name:str}}", {"GET": (AUDIT, show_type)}, "Resource Type"),
        *routes(f"{types}/{{name:str}}/manifest", {"GET": (csv, show_manifest)}, "Manifest"),
    ]


async def show_root(_call: Call) -> Response[Any]:
    """Name the parts of the index."""
    return answer(
        {name: f"{_ROOT}/{name}/" for name in ("metadata", "resources", "resource-types")}
    )


async def show_metadata(call: Call) -> Response[Any]:
    """Say which service this is."""
    async with call.read() as view:
        return answer({"service_id": await install_uuid(view), "service_type": "awx"})


async def validate(call: Call) -> Response[Any]:
    """Check a user's password: 200 with the user's ansible id, else 401.

    There is no authorization code: no other service is known that would take one.
    """
    body = await call.body()
    given = {name: body.get(name) for name in ("username", "password")}
    problems = {
        name: ["This field is required." if value is None else "Not a valid string."]
        for name, value in given.items()
        if not isinstance(value, str)
    }
    if problems:
        raise BadRequest(problems)
    username, password = str(given["username"]), str(given["password"])
    authenticator: Authenticator = call.request.app.state.authenticator
    try:
        async with authenticator.passwords.line(username, password), call.read() as view:
            row = await authenticator.check_password(username, password, view, "service")
            name = ansible_id(await install_uuid(view), "user", row["id"])
    except LoginFailed as failure:
        await record(call.request, username, failure.user, "service", accepted=False)
        raise Refusal(401, {"detail": WRONG}) from failure
    await record(call.request, username, row["id"], "service", accepted=True)
    return answer({"ansible_id": name, "auth_code": None})


async def show_all(call: Call) -> Response[Any]:
    """List the shared resources; ``ansible_id`` and the type's long name are filters too."""
    sent = call.pairs
    async with call.read() as view:
        installed = await install_uuid(view)
        call.pairs = [pair for each in sent for pair in _filter(installed, *each)]
        found = await find(call, view, "service_resource", open_list=True)
    rows = [_head(installed, row) for row in found.rows]
    return answer(pagination.envelope(found.page, call.path, sent, found.count, rows))


async def describe_all(call: Call) -> Response[Any]:
    """Describe the list, and the body that creates in it."""
    field = {"required": True, "filterable": True, "hidden": False}
    choices = [[type_of(kind), kind.title()] for kind in SHARED]
    actions: dict[str, Any] = {"GET": {}}
    if call.who.superuser:
        actions["POST"] = {
            "resource_type": {**field, "type": "choice", "label": "Type", "choices": choices},
            "resource_data": {**field, "type": "json", "label": "Data"},
        }
    body = options.plain("Resource List", ("resource",), actions)
    lists = {"search_fields": ["name"], "related_search_fields": [], "object_roles": []}
    return answer({**body, **lists, "max_page_size": pagination.PAGE_SIZE_MAX})


async def create(call: Call) -> Response[Any]:
    """Create an organization, a team or a user: 201. Such a user has no password to log in with."""
    body = await call.body()
    kind = _kind(body)
    values = await _values(call, kind, body)
    if kind == "user":
        values["password"] = ids.new_token()
    appended = await append_object(call, RESOURCES[kind], values)
    await caught_up(call, appended)
    made = made_in(appended)
    async with call.read() as view:
        shown = await _detail(view, kind, made or 0)
    return answer(shown, 201, position_header(appended))


async def show_one(call: Call) -> Response[Any]:
    """Show a shared resource with the data that services share."""
    async with call.read() as view:
        return answer(await _detail(view, *await _named(call, view)))


async def replace(call: Call) -> Response[Any]:
    """Set all of a resource's shared data."""
    return await _update(call, partial=False)


async def change(call: Call) -> Response[Any]:
    """Set some of a resource's shared data."""
    return await _update(call, partial=True)


async def remove(call: Call) -> Response[Any]:
    """Delete the object itself: 204."""
    async with call.read() as view:
        kind, number = await _allowed(call, view, "delete")
    return await _submitted(call, Delete(kind=kind, id=number))


async def show_types(call: Call) -> Response[Any]:
    """List the types of shared resources."""
    page = pagination.read(call.pairs)
    rows = [_type(kind) for kind in SHARED][page.offset : page.offset + page.size]
    return answer(pagination.envelope(page, call.path, call.pairs, len(SHARED), rows))


async def show_type(call: Call) -> Response[Any]:
    """Show one type."""
    return answer(_type(_type_named(call)))


async def show_manifest(call: Call) -> Response[Any]:
    """Show the ansible ids of a type, each with a digest of its shared data, as CSV."""
    kind = _type_named(call)
    async with call.read() as view:
        installed = await install_uuid(view)
        rows = await view.fetch(f'select t.* from "{kind}" t order by t."id"')  # noqa: S608 - a known kind
    lines = ["ansible_id,resource_hash"]
    for row in rows:
        digest = hashlib.sha256(msgspec.json.encode(_data(installed, kind, row), order="sorted"))
        lines.append(f"{ansible_id(installed, kind, row['id'])},{digest.hexdigest()}")
    return Response(
        content="".join(f"{line}\r\n" for line in lines).encode(),
        status_code=200,
        media_type="text/csv",
    )


async def _update(call: Call, *, partial: bool) -> Response[Any]:
    body = await call.body()
    async with call.read() as view:
        kind, number = await _allowed(call, view, "edit")
    values = await _values(call, kind, body)
    answered = await _submitted(call, Update(kind=kind, id=number, changes=values, partial=partial))
    async with call.read() as view:
        shown = await _detail(view, kind, number)
    return answer(shown, 200, answered.headers)


async def _submitted(call: Call, command: Command) -> Response[Any]:
    appended = await submit(call, prepare_for(command, call.services))
    await caught_up(call, appended)
    return empty(204, position_header(appended))


async def _named(call: Call, view: View) -> tuple[str, int]:
    found = named_by(await install_uuid(view), str(call.request.path_params["ansible_id"]))
    if found is None:
        raise Missing("Resource")
    return found


async def _allowed(call: Call, view: View, verb: str) -> tuple[str, int]:
    """Return the object of the path, which the caller may change; raises 404 and 403."""
    kind, number = await _named(call, view)
    facts = await visibility.load(view, kind, number)
    if facts is None:
        raise Missing("Resource")
    if not access.may(call.who, verb, kind, facts):
        raise PermissionDenied
    return kind, number


def _kind(body: Mapping[str, Any]) -> str:
    given = body.get("resource_type")
    if given is None:
        raise BadRequest({"resource_type": ["This field is required."]})
    for kind in SHARED:
        if given == type_of(kind):
            return kind
    raise BadRequest({"resource_type": [f'"{given}" is not a valid choice.']})


async def _values(call: Call, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shared data of a body as fields of the kind."""
    if "ansible_id" in body:
        raise BadRequest({"ansible_id": [CHOSEN]})
    data = body.get("resource_data")
    if not isinstance(data, dict):
        text = "This field is required." if data is None else "Value must be a JSON object."
        raise BadRequest({"resource_data": [text]})
    values = {name: data[name] for name in DATA[kind] if name in data}
    if values.get("organization") is not None:
        async with call.read() as view:
            owner = named_by(await install_uuid(view), str(values["organization"]))
        if owner is None or owner[0] != "organization":
            text = f'Invalid ansible_id "{values["organization"]}" - object does not exist.'
            raise BadRequest({"organization": [text]})
        values["organization"] = owner[1]
    return values


def _filter(installed: str, name: str, value: str) -> Sequence[tuple[str, str]]:
    """Return the filters of our own columns that one of the request's stands for."""
    if name == _TYPE_FILTER:
        return (("resource_type", value),)
    if name != "ansible_id":
        return ((name, value),)
    kind, number = named_by(installed, value) or ("", 0)
    return (("resource_type", type_of(kind)), ("id", str(number)))


async def _detail(view: View, kind: str, number: int) -> dict[str, Any]:
    sql = f'select t.* from "{kind}" t where t."id" = $1'  # noqa: S608 - a known kind
    row = await view.row(sql, number)
    if row is None:
        raise Missing("Resource")
    installed = await install_uuid(view)
    name = row["username"] if kind == "user" else row["name"]
    head = _head(installed, {"kind": kind, "id": number, "name": name})
    return {**head, "resource_data": _data(installed, kind, row)}


def _head(installed: str, row: Row) -> dict[str, Any]:
    name = ansible_id(installed, row["kind"], row["id"])
    return {
        "object_id": str(row["id"]),
        "name": row["name"],
        "ansible_id": name,
        "service_id": installed,
        "is_partially_migrated": False,
        "resource_type": type_of(row["kind"]),
        "has_serializer": True,
        "url": f"{_ROOT}/resources/{name}/",
    }


def _data(installed: str, kind: str, row: Row) -> dict[str, Any]:
    data = {name: row[name] for name in DATA[kind]}
    if data.get("organization") is not None:
        data["organization"] = ansible_id(installed, "organization", data["organization"])
    return data


def _type(kind: str) -> dict[str, Any]:
    name = type_of(kind)
    return {
        "id": SHARED[kind],
        "name": name,
        "externally_managed": False,
        "shared_resource_type": kind,
        "url": f"{_ROOT}/resource-types/{name}/",
    }


def _type_named(call: Call) -> str:
    for kind in SHARED:
        if call.request.path_params["name"] == type_of(kind):
            return kind
    raise Missing("ResourceType")
