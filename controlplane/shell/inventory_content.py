"""The inventory a job runs on, as content: built once per version, kept by its digest."""

from __future__ import annotations

from collections import OrderedDict

import msgspec
from msgspec import Struct

from controlplane.domain.inventory_script import GroupRow, HostRow, script
from controlplane.shell.read_model import View
from ops.blobs import Blobs

CACHED = 64


class InventoryContent(Struct, frozen=True, kw_only=True):
    """Stored content and how many hosts may run."""

    digest: str
    hosts: int


_cache: OrderedDict[tuple[int, int], InventoryContent] = OrderedDict()


async def inventory_content(blobs: Blobs, view: View, inventory: int) -> InventoryContent:
    """Return the content of an inventory at the view's position, stored in BLOBS.

    The same inventory at the same CONFIG position is built once in a process.
    """
    position = await view.value("select position from checkpoint where projection = 'config'")
    key = inventory, position
    known = _cache.get(key)
    if known is None:
        body, hosts = await _build(view, inventory)
        known = InventoryContent(digest=await blobs.put(body), hosts=hosts)
        _cache[key] = known
        if len(_cache) > CACHED:
            _cache.popitem(last=False)
    return known


async def _build(view: View, inventory: int) -> tuple[bytes, int]:
    head = await view.named_row("inventory_for_script", inventory)
    hosts = [
        HostRow(id=row["id"], name=row["name"], enabled=row["enabled"], variables=row["variables"])
        for row in await view.named("inventory_hosts", inventory)
    ]
    groups = [
        GroupRow(
            id=row["id"],
            name=row["name"],
            variables=row["variables"],
            hosts=tuple(row["hosts"]),
            children=tuple(row["children"]),
        )
        for row in await view.named("inventory_groups", inventory)
    ]
    variables = "" if head is None else head["variables"]
    data = script(variables, hosts, groups, tower_vars=True)
    enabled = sum(host.enabled for host in hosts)
    return msgspec.json.encode(data, enc_hook=str, order="sorted"), enabled
