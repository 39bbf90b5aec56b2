"""Instances: machines with a runner agent, and the groups they belong to (``api.md`` 3.35)."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import listing, options, pagination, shown_options
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import BadRequest, Missing
from controlplane.api.guards import LOGIN, SUPERUSER, needs
from controlplane.api.links import url_of
from controlplane.api.listing import Within
from controlplane.api.resource_routes import page_of
from controlplane.api.resource_writes import identity
from controlplane.api.routing import routes
from controlplane.api.tables import Column, Relation, Table, column, register
from controlplane.api.where import Sql
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain.instance import Adjust
from controlplane.domain.numerals import whole
from controlplane.shell.access_commands import adjust_instance
from controlplane.shell.read_model import Row, View
from ops import clock
from schemas.resource import RESOURCES

register(
    Table(
        kind="instance",
        source='"instance"',
        verbose="Instance",
        columns={
            "id": column("id", "int"),
            "hostname": column("hostname", "str"),
            "uuid": column("uuid", "str"),
            "node_type": column("node_type", "str"),
            "version": column("version", "str"),
            "enabled": column("enabled", "bool"),
            "managed_by_policy": column("managed_by_policy", "bool"),
            "capacity": column("capacity", "int"),
            "cpu": column("cpu", "float"),
            "memory": column("memory", "int"),
            "cpu_capacity": column("cpu_capacity", "int"),
            "mem_capacity": column("mem_capacity", "int"),
            "capacity_adjustment": column("capacity_adjustment", "float"),
            "errors": column("errors", "str"),
            "last_seen": Column(name="last_seen", base="time", sql='{t}."changed_at"'),
            "node_state": Column(
                name="node_state",
                base="str",
                sql="case when {t}.\"available\" then 'ready' else 'unavailable' end",
            ),
            "created": column("created", "time"),
            "modified": column("modified", "time"),
        },
        relations={
            "rampart_groups": Relation(
                name="rampart_groups",
                table="instance_group",
                on='{far}."id" in (select m."id" from "instance_group_instances" m'
                ' where m."target" = {near}."id")',
                many=True,
            )
        },
        order=("id",),
        search=("hostname",),
    )
)

_IN_GROUP = '{t}."id" in (select m."target" from "instance_group_instances" m where m."id" = {0})'
_OF_INSTANCE = (
    '{t}."id" in (select m."id" from "instance_group_instances" m where m."target" = {0})'
)


BY_REGISTRATION = (
    "An instance is in the groups that its runner registers for; start the runner with other"
    " PLAYLOG_RUNNER_GROUPS to change them."
)
NO_BUNDLE = "Playlog does not make install bundles: install playlog[runner] and start its runner."
HEALTH = (
    *("uuid", "hostname", "ip_address", "version", "last_health_check", "errors", "cpu"),
    *("memory", "cpu_capacity", "mem_capacity", "capacity"),
)
"""What a health check shows of an instance."""


def instance_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of instances and of group membership."""
    read, group = needs("read", "instance"), needs("read", "instance_group")
    return [
        *routes(
            "/api/v2/instances",
            {"GET": (LOGIN, show_all), "POST": (SUPERUSER, create)},
            (LOGIN, describe),
        ),
        *routes(
            "/api/v2/instances/{key:str}",
            {
                "GET": (read, show_one),
                "PUT": (SUPERUSER, _change),
                "PATCH": (SUPERUSER, _change),
            },
            (LOGIN, describe_one),
        ),
        *routes(
            "/api/v2/instances/{key:str}/instance_groups",
            {"GET": (read, show_groups), "POST": (SUPERUSER, join)},
            (read, describe_groups),
        ),
        *routes(
            "/api/v2/instances/{key:str}/health_check",
            {"GET": (read, show_health), "POST": (SUPERUSER, check_health)},
            "Instance Health Check",
        ),
        *routes(
            "/api/playlog/instances/{key:str}/isolation",
            {"GET": (read, show_isolation)},
            "Isolation",
        ),
        *routes(
            "/api/v2/instances/{key:str}/install_bundle",
            {"GET": (SUPERUSER, refuse_bundle)},
            "Install Bundle",
        ),
        *routes(
            "/api/v2/instance_groups/{key:str}/instances",
            {"GET": (group, show_members), "POST": (needs("edit", "instance_group"), attach)},
            (group, describe),
        ),
    ]


async def describe(call: Call) -> Response[Any]:
    """Describe the list of instances; awxkit takes the flags of ``modify`` from POST."""
    more = {"POST": _ADJUSTABLE} if call.who.superuser else {}
    return answer(shown_options.of_list("instance", more))


async def create(_call: Call) -> Response[Any]:
    """Refuse: instances register themselves, nobody makes them."""
    text = "Can only create instances on Kubernetes or OpenShift."
    raise BadRequest({"__all__": [text]})


async def describe_one(call: Call) -> Response[Any]:
    """Describe one instance."""
    more = {"PUT": _ADJUSTABLE} if call.who.superuser else {}
    return answer(shown_options.of_detail("instance", more))


async def show_all(call: Call) -> Response[Any]:
    """List the instances the caller may see."""
    return await _page(call, None)


async def show_one(call: Call) -> Response[Any]:
    """Show one instance."""
    async with call.read() as view:
        return answer(await _one(call, view, call.target.id))


async def show_members(call: Call) -> Response[Any]:
    """List the instances of a group."""
    return await _page(call, Within(where=Sql(text=_IN_GROUP, values=(call.target.id,))))


async def show_groups(call: Call) -> Response[Any]:
    """List the groups of an instance."""
    where = Sql(text=_OF_INSTANCE, values=(call.target.id,))
    return await page_of(call, "instance_group", Within(where=where))


async def describe_groups(_call: Call) -> Response[Any]:
    """Describe the list of an instance's groups, which takes an id."""
    return answer(options.of_attach(RESOURCES["instance_group"]))


async def attach(call: Call) -> Response[Any]:
    """Answer 204 where an instance is in the group, or out of it, as asked."""
    body = await call.body()
    number = identity(body)
    async with call.read() as view:
        if not await view.value('select 1 from "instance" where "id" = $1', number):
            raise BadRequest({"detail": "Instance matching query does not exist."})
        return await _member(view, call.target.id, number, wanted="disassociate" not in body)


async def join(call: Call) -> Response[Any]:
    """Answer 204 where the instance is in a group, or out of it, as asked."""
    body = await call.body()
    group = identity(body)
    async with call.read() as view:
        number = await _number(view, str(call.request.path_params["key"]))
        if not await view.value('select 1 from "instance" where "id" = $1', number):
            raise Missing("Instance")
        if not await view.value('select 1 from "instance_group" where "id" = $1', group):
            raise BadRequest({"detail": "InstanceGroup matching query does not exist."})
        return await _member(view, group, number, wanted="disassociate" not in body)


async def show_health(call: Call) -> Response[Any]:
    """Show what the last report of the instance's runner said."""
    async with call.read() as view:
        shown = await _checked(call, view, call.target.id)
    return answer({name: shown[name] for name in HEALTH})


async def show_isolation(call: Call) -> Response[Any]:
    """Show what of isolation works on an instance's machine, and why the rest does not."""
    sql = 'select t."isolation", t."isolation_lacks" from "instance" t where t."id" = $1'
    async with call.read() as view:
        row = await view.row(sql, call.target.id)
    if row is None:
        raise Missing("Instance")
    return answer({"works": list(row["isolation"]), "lacks": list(row["isolation_lacks"])})


async def check_health(call: Call) -> Response[Any]:
    """Answer when the instance last reported: it does so by itself, every few seconds."""
    async with call.read() as view:
        number = await _number(view, str(call.request.path_params["key"]))
        shown = await _checked(call, view, number)
    text = "The runner of {} reports its health by itself: it is {}, as of {}."
    words = (shown["hostname"], shown["node_state"], shown["last_seen"])
    return answer({"msg": text.format(*words)})


async def _checked(call: Call, view: View, number: int) -> dict[str, Any]:
    """Return an instance whose health is checked: as in AWX, one that runs jobs."""
    shown = await _one(call, view, number)
    if shown["node_type"] != "execution":
        raise Missing("Instance")
    return shown


async def refuse_bundle(call: Call) -> Response[Any]:
    """Refuse: a runner needs no bundle of receptor's."""
    async with call.read() as view:
        await _one(call, view, await _number(view, str(call.request.path_params["key"])))
    raise BadRequest({"msg": NO_BUNDLE})


async def _member(view: View, group: int, number: int, *, wanted: bool) -> Response[Any]:
    """Raise 400 unless membership is as wanted: the runner's registration alone decides it.

    What a runner registers for stands in its own rights on NATS; work sent to another group of it
    would be taken by nobody.
    """
    sql = 'select 1 from "instance_group_instances" m where m."id" = $1 and m."target" = $2'
    if bool(await view.value(sql, group, number)) != wanted:
        raise BadRequest({"msg": BY_REGISTRATION})
    return empty()


async def _change(call: Call) -> Response[Any]:
    """Change what an instance may take: enabled, capacity adjustment, policy."""
    key, body = str(call.request.path_params["key"]), await call.body()
    async with call.read() as view:
        number = await _number(view, key)
        row = await view.row('select t.* from "instance" t where t."id" = $1', number)
    if row is None:
        raise Missing("Instance")
    if body.get("hostname", row["hostname"]) != row["hostname"]:
        raise BadRequest({"hostname": ["Cannot change hostname."]})
    command = Adjust(
        enabled=_flag(body, "enabled", row),
        adjustment=_adjustment(body, row),
        managed_by_policy=_flag(body, "managed_by_policy", row),
    )
    appended = await submit(call, adjust_instance(row["id"], command, call.services.store))
    await caught_up(call, appended)
    async with call.read() as view:
        return answer(await _one(call, view, row["id"]), 200, position_header(appended))


async def _number(view: View, key: str) -> int:
    if key.isdecimal():
        return whole(key) or 0
    sql = 'select t."id" from "instance" t where t."hostname" = $1'
    return int(await view.value(sql, key.replace("\x00", "")) or 0)


def _flag(body: dict[str, Any], name: str, row: Row) -> bool:
    value = body.get(name, row[name])
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    found = words.get(str(value).lower())
    if found is None:
        raise BadRequest({name: ["Must be a valid boolean."]})
    return found


def _adjustment(body: dict[str, Any], row: Row) -> float:
    value: Any = body.get("capacity_adjustment", row["capacity_adjustment"])
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequest({"capacity_adjustment": ["A valid number is required."]}) from error
    if not 0 <= number <= 1:
        text = f"Ensure this value is {'less' if number > 1 else 'greater'} than or equal to"
        raise BadRequest({"capacity_adjustment": [f"{text} {1 if number > 1 else 0}."]})
    return number


async def _page(call: Call, within: Within | None) -> Response[Any]:
    async with call.read() as view:
        found = await listing.find(call, view, "instance", within)
        shown = await _shown(call, view, found.rows)
    return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, shown))


async def _one(call: Call, view: View, number: int) -> dict[str, Any]:
    rows = await view.fetch('select t.* from "instance" t where t."id" = $1', number)
    if not rows:
        raise Missing("Instance")
    return (await _shown(call, view, rows))[0]


async def _shown(call: Call, view: View, rows: list[Row]) -> list[dict[str, Any]]:
    names = [row["hostname"] for row in rows]
    loads = {row["node"]: row for row in await view.named("instance_loads", names)}
    edit, audits = call.who.superuser, call.who.superuser or call.who.auditor
    return [_render(row, loads.get(row["hostname"], {}), edit=edit, audits=audits) for row in rows]


def node_state(row: Row) -> str:
    """Return the state of an instance in AWX's words."""
    return "ready" if row["available"] else "unavailable"


def _render(row: Row, load: Row, *, edit: bool, audits: bool) -> dict[str, Any]:
    url, capacity = url_of("instance", row["id"]), row["capacity"]
    consumed = float(load.get("consumed") or 0)
    seen = clock.iso(row["changed_at"])
    return {
        "id": row["id"],
        "hostname": row["hostname"],
        "type": "instance",
        "url": url,
        "related": {
            "receptor_addresses": f"{url}receptor_addresses/",
            "jobs": f"{url}jobs/",
            "peers": f"{url}peers/",
            "instance_groups": f"{url}instance_groups/",
            **({"health_check": f"{url}health_check/"} if audits else {}),
        },
        "summary_fields": {"user_capabilities": {"edit": edit}, "links": []},
        "uuid": row["uuid"],
        "created": row["created"],
        "modified": row["modified"],
        "last_seen": seen,
        "health_check_started": None,
        "health_check_pending": False,
        "last_health_check": seen,
        "errors": row["errors"],
        "capacity_adjustment": f"{row['capacity_adjustment']:.2f}",
        "version": row["version"],
        "capacity": capacity,
        "consumed_capacity": consumed,
        "percent_capacity_remaining": round(100 * (1 - consumed / capacity), 2)
        if capacity
        else 0.0,
        "jobs_running": load.get("running") or 0,
        "jobs_total": load.get("total") or 0,
        "cpu": f"{row['cpu']:.1f}",
        "memory": row["memory"],
        "cpu_capacity": row["cpu_capacity"],
        "mem_capacity": row["mem_capacity"],
        "enabled": row["enabled"],
        "managed_by_policy": row["managed_by_policy"],
        "node_type": row["node_type"],
        "node_state": node_state(row),
        "ip_address": "",
        "peers": [],
        "reverse_peers": [],
        "listener_port": None,
        "peers_from_control_nodes": False,
        "protocol": "",
        "managed": False,
    }


_FIELD = {"required": False, "filterable": True, "hidden": False}
_ADJUSTABLE: dict[str, Any] = {
    "hostname": {**_FIELD, "type": "string", "label": "Hostname", "max_length": 250},
    "capacity_adjustment": {
        **_FIELD,
        "type": "decimal",
        "label": "Capacity adjustment",
        "min_value": 0,
        "default": 1.0,
    },
    "enabled": {**_FIELD, "type": "boolean", "label": "Enabled", "default": True},
    "managed_by_policy": {
        **_FIELD,
        "type": "boolean",
        "label": "Managed by policy",
        "default": True,
    },
}
"""What a body may change; awxkit makes the flags of ``modify`` of it."""
