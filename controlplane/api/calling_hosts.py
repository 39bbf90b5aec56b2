"""Which hosts of an inventory a request may come from: by address, and by what names say of it.

As AWX looks: the address in a host's name or ``ansible_host``, the names of the address, and at
last the addresses of the hosts' names. The last takes time, so it is bounded.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from controlplane.api.call import Call
from controlplane.api.client_address import client_address
from controlplane.domain import extra_vars
from controlplane.shell.read_model import View

RESOLVED_MAX = 1000
"""Names of hosts that are resolved, at most, to find the one at an address."""
WITHIN_S = 5.0
_RESOLVERS = ThreadPoolExecutor(8, thread_name_prefix="resolve")
"""Threads of their own: names that nobody answers for hold up no login, which takes one too."""


async def matching(call: Call, view: View, inventory: int | None) -> list[str]:
    """Return the hosts of an inventory that are at the address that asks."""
    address = client_address(call.request)
    if inventory is None or not address:
        return []
    found = await _named(view, inventory, {address})
    if len(found) != 1:
        found |= await _named(view, inventory, await _names_of(address))
    if len(found) != 1 and _is_address(address):
        rows = await view.named("hosts_to_resolve", inventory, RESOLVED_MAX)
        found |= await _resolving({row["name"]: _place(row) for row in rows}, address)
    return sorted(found)


async def _named(view: View, inventory: int, places: Iterable[str]) -> set[str]:
    """Return the hosts that say to be at one of these places."""
    found: set[str] = set()
    for place in places:
        for row in await view.named("hosts_perhaps_at", inventory, place):
            variables = _variables(row["variables"])
            said = (variables.get("ansible_host"), variables.get("ansible_ssh_host"), row["name"])
            if place in said:
                found.add(row["name"])
    return found


async def _names_of(address: str) -> set[str]:
    """Return what the address is called, as far as that is told in time."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(WITHIN_S):
            name, others, _ = await loop.run_in_executor(_RESOLVERS, socket.gethostbyaddr, address)
    except (OSError, UnicodeError, TimeoutError):
        return set()
    return {each for each in (name, *others) if not each.endswith(".arpa")}


async def _resolving(places: Mapping[str, str], address: str) -> set[str]:
    """Return the hosts whose place is a name of the address, as far as that is told in time."""
    found: set[str] = set()

    async def look(host: str, place: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(_RESOLVERS, socket.getaddrinfo, place, None)
        except (OSError, UnicodeError):
            return
        if address in {str(each[4][0]) for each in answers}:
            found.add(host)

    wanted = {host: place for host, place in places.items() if place and not _is_address(place)}
    tasks = [asyncio.create_task(look(host, place)) for host, place in wanted.items()]
    if tasks:
        await asyncio.wait(tasks, timeout=WITHIN_S)
    for task in tasks:
        task.cancel()
    return found


def _place(row: Mapping[str, Any]) -> str:
    variables = _variables(row["variables"])
    place = variables.get("ansible_ssh_host", variables.get("ansible_host", row["name"]))
    return place if isinstance(place, str) else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _variables(text: str) -> dict[str, Any]:
    try:
        return extra_vars.parse(text)
    except extra_vars.NotVariables:
        return {}
