"""What a job ran on, exactly: the inventory as it was given to the runner, by its digest."""

from __future__ import annotations

from typing import Any

import msgspec
import nats.errors
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from nats.js.errors import Error as JetStreamError

from controlplane.api import guards
from controlplane.api.call import Call, answer
from controlplane.api.errors import Busy, Missing
from controlplane.api.guards import needs
from controlplane.api.routing import routes

KINDS = (
    ("job", "jobs"),
    ("ad_hoc_command", "ad_hoc_commands"),
    ("inventory_update", "inventory_updates"),
)
AWAY = "The content store is not available."
_listing = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Meta(msgspec.Struct, frozen=True):
    hostvars: dict[str, msgspec.Raw] = {}


def job_inventory_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of the inventories that jobs ran on, and that updates left."""
    handlers: list[HTTPRouteHandler] = []
    for kind, plural in KINDS:
        path = f"/api/playlog/{plural}/{{key:str}}/inventory"
        handlers += routes(path, {"GET": (needs("read", kind), show)}, "Job Inventory")
    return handlers


async def show(call: Call) -> Response[Any]:
    """Answer the digest and what it holds; the hosts themselves to who may read the inventory."""
    async with call.read() as view:
        row = await view.row(
            'select "inventory_id", "inventory_content" from "unified_job" where "id" = $1',
            call.target.id,
        )
        if row is None or not row["inventory_content"]:
            raise Missing
        inventory = row["inventory_id"] or 0
        may = await guards.may(view, call.who, "read", "inventory", inventory)
    try:
        content = await call.services.launch_tools.blobs.get(row["inventory_content"])
    except KeyError as error:
        raise Missing from error
    except (nats.errors.Error, JetStreamError, TimeoutError) as error:
        raise Busy(AWAY) from error
    listing = _listing.decode(content)
    meta = msgspec.json.decode(listing.get("_meta", b"{}"), type=_Meta)
    return answer(
        {
            "inventory": inventory,
            "digest": row["inventory_content"],
            "hosts": len(meta.hostvars),
            "groups": sum(name not in ("all", "_meta") for name in listing),
            "content": msgspec.Raw(content) if may else None,
        }
    )
