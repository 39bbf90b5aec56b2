"""Creating and deleting many hosts in one transaction (``api.md`` 3.48)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import guards, options
from controlplane.api.bulk_launch import bulk_launch_routes
from controlplane.api.call import Call, answer
from controlplane.api.errors import BadRequest, PermissionDenied
from controlplane.api.guards import LOGIN
from controlplane.api.links import url_of
from controlplane.api.routing import routes
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain.field_values import ID_MAX, missing_pk, reference
from controlplane.domain.resource import BulkCreate, BulkDelete
from controlplane.shell.resource_commands import prepare_for
from schemas.events.resource import ResourceCreated

MANUAL_ONLY = "Hosts can only be created in manual inventories (not smart or constructed types)."
HOST_FIELDS = ("name", "enabled", "instance_id", "description", "variables")


def bulk_handlers() -> list[HTTPRouteHandler]:
    """Return the routes below ``/api/v2/bulk/``."""
    return [
        *routes("/api/v2/bulk", {"GET": (LOGIN, root)}, "Bulk"),
        *routes(
            "/api/v2/bulk/host_create",
            {"GET": (LOGIN, show_create), "POST": (LOGIN, create_hosts)},
            (LOGIN, describe_create),
        ),
        *routes(
            "/api/v2/bulk/host_delete",
            {"GET": (LOGIN, show_delete), "POST": (LOGIN, delete_hosts)},
            (LOGIN, describe_delete),
        ),
        *bulk_launch_routes(),
    ]


async def root(_call: Call) -> Response[Any]:
    """Name the bulk operations."""
    names = ("host_create", "host_delete", "job_launch")
    return answer({name: f"/api/v2/bulk/{name}/" for name in names})


async def show_create(_call: Call) -> Response[Any]:
    """Say how hosts are created in bulk."""
    detail = "Bulk create hosts with this endpoint. POST {inventory, hosts: [{name, ...}]}."
    return answer({"detail": detail})


async def show_delete(_call: Call) -> Response[Any]:
    """Say how hosts are deleted in bulk."""
    return answer({"detail": "Bulk delete hosts with this endpoint. POST {hosts: [ids]}."})


async def describe_create(_call: Call) -> Response[Any]:
    """Describe the body that creates hosts."""
    fields = {
        "inventory": {"type": "id", "required": True, "label": "Inventory"},
        "hosts": {"type": "list", "required": True, "label": "Hosts"},
    }
    return answer(options.plain("Bulk Host Create", (), {"GET": {}, "POST": fields}))


async def describe_delete(_call: Call) -> Response[Any]:
    """Describe the body that deletes hosts."""
    fields = {"hosts": {"type": "list", "required": True, "label": "Hosts"}}
    return answer(options.plain("Bulk Host Delete", (), {"GET": {}, "POST": fields}))


async def create_hosts(call: Call) -> Response[Any]:
    """Create hosts in one inventory, all or none: 201 with their ids."""
    body = await call.body()
    hosts, inventory = _hosts(call, body), reference(body.get("inventory"))
    if inventory is None:
        text = "This field is required." if "inventory" not in body else "Not an id."
        raise BadRequest({"inventory": [text]})
    async with call.read() as view:
        sql = 'select "kind" from "inventory" where "id" = $1'
        kind = await view.value(sql, inventory) if 0 < inventory <= ID_MAX else None
        if kind is None:
            raise BadRequest({"inventory": [missing_pk(inventory)]})
        if not await guards.may(view, call.who, "edit", "inventory", inventory):
            raise PermissionDenied
    if kind:
        raise BadRequest({"__all__": [MANUAL_ONLY]})
    numbers = await call.services.numbers.take("host", len(hosts))
    items = tuple(
        (number, {**_known(host), "inventory": inventory})
        for number, host in zip(numbers, hosts, strict=True)
    )
    appended = await submit(call, prepare_for(BulkCreate(kind="host", items=items), call.services))
    await caught_up(call, appended)
    made = [event for event in appended.events if isinstance(event, ResourceCreated)]
    shown = [_shown(event) for event in made]
    url = f"{url_of('inventory', inventory)}hosts/"
    return answer({"url": url, "hosts": shown}, 201, position_header(appended))


async def delete_hosts(call: Call) -> Response[Any]:
    """Delete hosts, all or none: 201 with a sentence for each."""
    wanted = (await call.body()).get("hosts")
    if not isinstance(wanted, list) or not wanted:
        raise BadRequest({"hosts": ["This field is required."]})
    _check_number(call, wanted, "BULK_HOST_MAX_DELETE")
    numbers = [number for each in wanted if (number := reference(each)) is not None]
    async with call.read() as view:
        rows = await view.named("hosts_in_inventory", [n for n in numbers if 0 < n <= ID_MAX])
        allowed = {
            inventory: await guards.may(view, call.who, "edit", "inventory", inventory)
            for inventory in {row["inventory"] for row in rows}
        }
    found = {row["id"]: row["name"] for row in rows if allowed[row["inventory"]]}
    lacking = [each for each in wanted if reference(each) not in found]
    if lacking:
        text = "Hosts do not exist or you lack permission to delete it"
        raise BadRequest({"hosts": {str(each): text for each in lacking}})
    command = BulkDelete(kind="host", ids=tuple(found))
    appended = await submit(call, prepare_for(command, call.services))
    await caught_up(call, appended)
    said = {str(number): f"The host {name} was deleted" for number, name in found.items()}
    return answer({"hosts": said}, 201, position_header(appended))


def _hosts(call: Call, body: dict[str, Any]) -> list[dict[str, Any]]:
    hosts = body.get("hosts")
    if not isinstance(hosts, list) or not hosts:
        text = "This field is required." if not hosts else "Expected a list of items."
        raise BadRequest({"hosts": [text]})
    _check_number(call, hosts, "BULK_HOST_MAX_CREATE")
    if not all(isinstance(host, dict) for host in hosts):
        raise BadRequest({"hosts": ["Invalid data. Expected a dictionary."]})
    return hosts


def _check_number(call: Call, hosts: list[Any], setting: str) -> None:
    limit = call.services.settings_store.integer(setting)
    if len(hosts) > limit:
        message = f"Number of hosts exceeds system setting {setting}: {limit}"
        raise BadRequest({"hosts": [message]})


def _known(host: dict[str, Any]) -> dict[str, Any]:
    return {name: host[name] for name in HOST_FIELDS if name in host}


def _shown(event: ResourceCreated) -> dict[str, Any]:
    shown = {name: event.values.get(name) for name in HOST_FIELDS}
    return {
        **shown,
        "id": event.id,
        "url": url_of("host", event.id),
        "inventory": event.values["inventory"],
    }
