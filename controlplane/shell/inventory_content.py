"""The inventory a job runs on, as content: built once per version, kept by its digest.

It is Ansible's dynamic-inventory JSON, read and written in one pass: names and groups first, then
the variables of some hosts at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import msgspec
from msgspec import Struct

from controlplane.domain.inventory_script import GroupRow, HostRow, hostvars, layout
from controlplane.shell.read_model import QUERIES, Row, View
from ops.blobs import Blobs

CACHED = 64
HOSTS_AT_ONCE = 500
SmartHosts = Callable[[Row], tuple[str, Sequence[Any]]]
"""The statement, with its arguments, that selects the ids of a smart inventory's hosts."""
Views = Callable[[], AbstractAsyncContextManager[View]]
_encoder = msgspec.json.Encoder(enc_hook=str)


class InventoryContent(Struct, frozen=True, kw_only=True):
    """Stored content and how many hosts may run."""

    digest: str
    hosts: int


class Members(Struct, frozen=True, kw_only=True):
    """Who is in an inventory, without the variables of hosts."""

    variables: str
    hosts: tuple[HostRow, ...]
    groups: tuple[GroupRow, ...]
    originals: Mapping[int, int] | None = None
    """Of a constructed inventory: which hosts its own stand for, by id."""


_cache: OrderedDict[tuple[Any, ...], InventoryContent] = OrderedDict()


async def inventory_content(
    blobs: Blobs, view: View, inventory: int, smart: SmartHosts
) -> InventoryContent:
    """Return the content of an inventory at the view's position, stored in BLOBS.

    Each version of an inventory is built once in a process.
    """
    key = await _version(view, inventory)
    known = _cache.get(key)
    if known is None:
        members = await read_members(view, inventory, smart)
        here = members or Members(variables="", hosts=(), groups=())
        parts = [
            part async for part in script_parts(here, lambda: nullcontext(view), tower_vars=True)
        ]
        enabled = sum(host.enabled for host in here.hosts)
        known = InventoryContent(digest=await blobs.put(b"".join(parts)), hosts=enabled)
        _cache[key] = known
        if len(_cache) > CACHED:
            _cache.popitem(last=False)
    return known


async def _version(view: View, inventory: int) -> tuple[Any, ...]:
    """Return what changes whenever something in an inventory does.

    That is how many rows of each kind it has, and where the log last spoke of one. A smart one
    looks at everything.
    """
    row = await view.named_row("inventory_version", inventory)
    if row is None or row["kind"] == "smart":
        position = await view.config_position()
        return inventory, position
    return inventory, *row.values()


def never_smart(inventory: Row) -> tuple[str, Sequence[Any]]:
    """Stand for the hosts of smart inventories where none can be meant. Raises TypeError."""
    raise TypeError(f"inventory {inventory['id']} is smart")


def hosts_of(inventory: Row, smart: SmartHosts) -> tuple[str, Sequence[Any]]:
    """Return the statement, with its arguments, that selects the ids of an inventory's hosts."""
    if inventory["kind"] == "smart":
        return smart(inventory)
    return QUERIES["ids_of_inventory_hosts"], [inventory["id"]]


async def read_members(view: View, inventory: int, smart: SmartHosts) -> Members | None:
    """Return who is in an inventory: two queries, whatever its size; None when it is not there."""
    head = await view.named_row("inventory_for_script", inventory)
    if head is None:
        return None
    sql, args = hosts_of(head, smart)
    named = f'select n."id", n."name", n."enabled" from "host" n where n."id" in ({sql})'  # noqa: S608 - a statement of the program's
    rows = await view.fetch(f'{named} order by n."name", n."id"', *args)
    groups = [] if head["kind"] == "smart" else await view.named("inventory_groups", inventory)
    originals = None
    if head["kind"] == "constructed":
        found = await view.named("originals_in_inventory", inventory)
        originals = {row["id"]: row["original"] for row in found}
    return Members(
        variables=head["variables"],
        hosts=tuple(map(HostRow._make, rows)),
        groups=tuple(
            GroupRow(
                id=row["id"],
                name=row["name"],
                variables=row["variables"],
                hosts=tuple(row["hosts"]),
                children=tuple(row["children"]),
            )
            for row in groups
        ),
        originals=originals,
    )


async def script_parts(
    members: Members, views: Views, *, tower_vars: bool, hosts: bool = True
) -> AsyncIterator[bytes]:
    """Yield the JSON of an inventory piece by piece; without ``hosts``, without their variables.

    Only enabled hosts are in it. ``tower_vars`` tells the hosts' ids, and in a constructed
    inventory those of their originals, by name (``_meta.originals``). ``views`` opens the tables
    for some hosts at a time, so that a slow reader holds no connection.
    """
    head = _encoder.encode(layout(members.variables, members.hosts, members.groups))
    if not hosts:
        yield head
        return
    yield head[:-1] + b',"_meta":{"hostvars":{'
    enabled = [host for host in members.hosts if host.enabled]
    for start in range(0, len(enabled), HOSTS_AT_ONCE):
        some = enabled[start : start + HOSTS_AT_ONCE]
        async with views() as view:
            found = await view.named("variables_of_hosts", [host.id for host in some])
        texts = {row["id"]: row["variables"] for row in found}
        whole = {
            host.name: hostvars(host, texts.get(host.id, ""), tower_vars=tower_vars)
            for host in some
        }
        yield (b"," if start else b"") + _encoder.encode(whole)[1:-1]
    yield b"}"
    if tower_vars and members.originals is not None:
        named = {
            host.name: members.originals[host.id]
            for host in enabled
            if host.id in members.originals
        }
        yield b',"originals":' + _encoder.encode(named)
    yield b"}}"
