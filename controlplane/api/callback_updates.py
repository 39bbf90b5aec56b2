"""Updates of the inventory before a callback's host is looked for again (``api.md`` 4.8).

A host that is not known may have come since the sources were read. Nothing is held while they
update but the request that waits; one that is cut off has lost nothing and may be sent again.
"""

from __future__ import annotations

import asyncio

from controlplane.api.call import Call
from controlplane.api.writes import context_of
from controlplane.shell.inventory_launching import updates_before
from controlplane.shell.launch_tools import refuse_when_stopped
from controlplane.shell.read_model import View
from ops import clock
from schemas.envelope import Actor
from schemas.status import ACTIVE, Status
from schemas.streams import CONFIG

CALLBACK = Actor(kind="process", name="callback")
WITHIN_S = 60.0
"""A request waits so long: no more than proxies let it; whoever asks again finds what came."""
LOOK_S = 0.5


async def started(call: Call, view: View, inventory: int | None) -> tuple[int, ...]:
    """Return the updates of sources with update_on_launch that are due or under way."""
    await refuse_when_stopped(view)
    context = context_of(CALLBACK)
    return await updates_before(call.services.launch_tools, view, inventory, context)


async def successful(call: Call, updates: tuple[int, ...]) -> bool:
    """Wait for updates and for the hosts that they bring; tell whether all went well in time."""
    end = clock.monotonic() + WITHIN_S
    statuses = await _statuses(call, updates)
    while any(each in ACTIVE for each in statuses) and clock.monotonic() < end:
        await asyncio.sleep(LOOK_S)
        statuses = await _statuses(call, updates)
    # An update ends behind its hosts, but these may be shown later than its end.
    position = await call.services.store.last_sequence(CONFIG.name)
    await call.services.catch_up.wait("config", position, call.services.settings.write_wait_s)
    return all(each is Status.SUCCESSFUL for each in statuses)


async def _statuses(call: Call, updates: tuple[int, ...]) -> list[Status]:
    """Return how updates stand; one that is not shown yet is pending."""
    async with call.read() as view:
        rows = await view.named("statuses_of_jobs", list(updates))
    known = {row["id"]: Status(row["status"]) for row in rows}
    return [known.get(each, Status.PENDING) for each in updates]
