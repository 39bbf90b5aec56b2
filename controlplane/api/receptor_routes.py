"""Receptor's mesh as AWX shows it: instances, and no addresses, since NATS carries everything."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer
from controlplane.api.flat_rows import FlatKind, describer, lister, shower
from controlplane.api.guards import AUDIT, LOGIN, needs
from controlplane.api.instance_routes import node_state
from controlplane.api.routing import routes

ADDRESS = FlatKind(
    kind="receptor_address",
    plural="receptor_addresses",
    verbose="ReceptorAddress",
    source=(
        "(select 0::bigint as id, '' as address, 0 as port, '' as protocol, '' as websocket_path,"
        " false as is_internal, false as canonical, 0::bigint as instance,"
        " false as peers_from_control_nodes, '' as full_address where false)"
    ),
    fields={
        "address": "string",
        "port": "integer",
        "protocol": "choice",
        "websocket_path": "string",
        "is_internal": "boolean",
        "canonical": "boolean",
        "instance": "id",
        "peers_from_control_nodes": "boolean",
        "full_address": "string",
    },
    search=("address",),
)
ADDRESS.declare()


def receptor_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of the mesh and of receptor's addresses."""
    path, instance = "/api/v2/receptor_addresses", needs("read", "instance")
    handlers = [
        *routes("/api/v2/mesh_visualizer", {"GET": (AUDIT, show_mesh)}, "Mesh Visualizer"),
        *routes(path, {"GET": (LOGIN, lister(ADDRESS))}, (LOGIN, describer(ADDRESS))),
        *routes(
            f"{path}/{{key:str}}",
            {"GET": (LOGIN, shower(ADDRESS))},
            (LOGIN, describer(ADDRESS, detail=True)),
        ),
    ]
    for name in ("peers", "receptor_addresses"):
        handlers += routes(
            f"/api/v2/instances/{{key:str}}/{name}",
            {"GET": (instance, lister(ADDRESS, '{t}."instance" = {0}'))},
            (instance, describer(ADDRESS)),
        )
    return handlers


async def show_mesh(call: Call) -> Response[Any]:
    """Show the instances as nodes; there are no links between them."""
    async with call.read() as view:
        rows = await view.fetch('select t.* from "instance" t order by t."id"')
    nodes = [
        {
            "id": row["id"],
            "hostname": row["hostname"],
            "node_type": row["node_type"],
            "node_state": node_state(row),
            "enabled": row["enabled"],
        }
        for row in rows
    ]
    return answer({"nodes": nodes, "links": []})
