"""What a deployment needs before its roles start: streams, counters, and the first objects."""

from __future__ import annotations

from collections.abc import Callable

from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.numbers import Numbers
from controlplane.shell.seed import seed
from ops import connect, provision
from ops.settings import Settings
from schemas.streams import CONFIG, IDS


async def bootstrap(chosen: Settings, admin_password: Callable[[], str]) -> None:
    """Provision the log and, where CONFIG is empty, append the first objects.

    ``admin_password`` is asked only then. Raises NATS errors and ProvisionError.
    """
    connection = await connect.connect_nats(chosen.nats_url, chosen.nats_creds_file, "bootstrap")
    try:
        await provision.provision(connection)
        store, numbers = JetStreamStore(connection), Numbers(connection)
        if await store.last_sequence(CONFIG.name) == 0:
            await seed(store, numbers, chosen.admin_user, admin_password())
        elif await store.last_sequence(IDS.name) == 0:
            await numbers.raise_from_log(store)
    finally:
        await connect.close_quietly(connection)
