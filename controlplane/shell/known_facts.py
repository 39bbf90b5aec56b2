"""Which facts of an inventory's hosts are known, and where: what a job with a cache is given."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
import nats.errors
from nats.js.errors import Error as JetStreamError

from controlplane.domain.errors import Unavailable
from controlplane.shell.inventory_content import SmartHosts, hosts_of
from controlplane.shell.read_model import Row, View
from ops.blobs import Blobs
from schemas.envelope import Context
from schemas.settings import SETTINGS

TIMEOUT = "ANSIBLE_FACT_CACHE_TIMEOUT"


async def known_facts(
    blobs: Blobs, view: View, inventories: Iterable[int], smart: SmartHosts, context: Context
) -> str:
    """Return the sha256 of the list; empty where nothing is known. Raises Unavailable.

    Facts older than the setting says are not in it; 0 lets any be. For a constructed inventory they
    are those of its inputs' hosts: which of these it has may be decided after the launch only.
    """
    text = await view.value('select "value" from "setting" where "name" = $1', TIMEOUT)
    timeout_s = SETTINGS[TIMEOUT].default if text is None else msgspec.json.decode(text)
    since = context.at - timedelta(seconds=timeout_s) if timeout_s else None
    listed: dict[str, set[int]] = {}
    for inventory in inventories:
        for row in await _of_inventory(view, inventory, smart, since):
            listed.setdefault(row["content"], set()).update(row["hosts"])
    if not listed:
        return ""
    try:
        return await blobs.put(msgspec.json.encode(listed, order="deterministic"))
    except (nats.errors.Error, JetStreamError, TimeoutError) as error:
        raise Unavailable("The content store is not available.") from error


async def _of_inventory(
    view: View, inventory: int, smart: SmartHosts, since: datetime | None
) -> list[Row]:
    head = await view.named_row("inventory_for_script", inventory)
    if head is None:
        return []
    if head["kind"] == "constructed":
        inputs = await view.named("input_inventories_of", inventory)
        found = [await _of_inventory(view, each["target"], smart, since) for each in inputs]
        return [row for rows in found for row in rows]
    hosts, args = hosts_of(head, smart)
    sql = (
        'select f."content", array_agg(f."host") as "hosts" from "host_facts" f'  # noqa: S608 - a statement of the program's
        f' where f."host" in ({hosts}) and f."facts"::text <> ${len(args) + 1}'
        f' and (${len(args) + 2}::timestamptz is null or f."modified" >= ${len(args) + 2})'
        ' group by f."content"'
    )
    return await view.fetch(sql, *args, "{}", since)
