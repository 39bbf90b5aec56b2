"""Which facts of an inventory's hosts are known, and where: what a job with a cache is given."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import nats.errors
from nats.js.errors import Error as JetStreamError

from controlplane.domain.errors import Unavailable
from controlplane.shell.read_model import View
from ops.blobs import Blobs
from schemas.envelope import Context
from schemas.settings import SETTINGS

TIMEOUT = "ANSIBLE_FACT_CACHE_TIMEOUT"


async def known_facts(blobs: Blobs, view: View, inventory: int | None, context: Context) -> str:
    """Return the sha256 of the list; empty where nothing is known. Raises Unavailable.

    Facts older than the setting says are not in it; 0 lets any be.
    """
    if inventory is None:
        return ""
    text = await view.value('select "value" from "setting" where "name" = $1', TIMEOUT)
    timeout_s = SETTINGS[TIMEOUT].default if text is None else msgspec.json.decode(text)
    since = context.at - timedelta(seconds=timeout_s) if timeout_s else None
    rows = await view.named("facts_of_inventory", inventory, since)
    if not rows:
        return ""
    listed = {row["content"]: row["hosts"] for row in rows}
    try:
        return await blobs.put(msgspec.json.encode(listed, order="deterministic"))
    except (nats.errors.Error, JetStreamError, TimeoutError) as error:
        raise Unavailable("The content store is not available.") from error
