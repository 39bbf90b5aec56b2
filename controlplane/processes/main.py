"""The dispatcher program: every process loop, each under its own lease where only one may run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import structlog

from controlplane.processes.board_keeper import BoardKeeper, Truncated
from controlplane.processes.cancels import Cancels
from controlplane.processes.claims import Claims
from controlplane.processes.dispatcher import Dispatcher
from controlplane.processes.erasures import Erasures
from controlplane.processes.housekeeping import Housekeeping
from controlplane.processes.inventory_imports import InventoryImports
from controlplane.processes.loop import OUTAGES, Loop, Tools, keep_running
from controlplane.processes.lost_runners import LostRunners
from controlplane.processes.project_updates import ProjectUpdates
from controlplane.processes.registry import Registry
from controlplane.processes.runner_reports import RunnerReports
from controlplane.processes.slices import Slices
from controlplane.processes.webhook_statuses import WebhookStatuses
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.numbers import Numbers
from controlplane.shell.vault import MasterKey, Vault
from ops import connect, nats_identity
from ops.settings import Settings
from ops.stopping import stopped
from ops.telemetry import Tracer

log = structlog.get_logger()

TRUNCATED_RETRY_S = 60.0
"""A person mends it; this is how often the log says so meanwhile."""


def loops() -> tuple[Loop, ...]:
    """Return every loop of the dispatcher role."""
    return (
        Dispatcher(),
        Claims(),
        Registry(),
        RunnerReports(),
        LostRunners(),
        Cancels(),
        ProjectUpdates(),
        InventoryImports(),
        Erasures(),
        Slices(),
        WebhookStatuses(),
        Housekeeping(),
    )


async def run_dispatcher(settings: Settings, only: str | None = None) -> None:
    """Run the loops until SIGTERM; ``only`` names one. Raises ValueError for an unknown one."""
    chosen = [loop for loop in loops() if only in (None, loop.name)]
    if not chosen:
        names = ", ".join(loop.name for loop in loops())
        raise ValueError(f"no loop is named {only!r}; there are {names}")
    connection = await connect.connect_nats(
        settings.nats_url, settings.nats_creds_file, "dispatcher"
    )
    tracer = Tracer("dispatcher", settings.otlp_endpoint)
    store = JetStreamStore(connection, tracer)
    master = MasterKey.load_or_create(
        settings.master_key_file or settings.data / "secrets" / "master.key"
    )
    signing = settings.nats_signing_file
    tools = Tools(
        settings=settings,
        connection=connection,
        store=store,
        numbers=Numbers(connection),
        vault=Vault(connection, master),
        keeper=BoardKeeper(connection, store),
        tracer=tracer,
        identity=None if signing is None else nats_identity.load(signing),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = begin(tools, chosen)
    log.info("running", loops=[loop.name for loop in chosen])
    await stop.wait()
    await stopped(tasks)
    tools.tracer.flush()
    await connect.close_quietly(connection)


def begin(tools: Tools, chosen: Sequence[Loop]) -> list[asyncio.Task[None]]:
    """Start loops and the board that they share."""
    tasks = [asyncio.create_task(_keep_board(tools), name="board")]
    tasks += [asyncio.create_task(keep_running(loop, tools), name=loop.name) for loop in chosen]
    return tasks


async def _keep_board(tools: Tools) -> None:
    """Keep the board current; what ends it starts it again."""
    while True:
        try:
            await tools.keeper.run()
        except Truncated as error:
            log.critical("nothing is placed", why=str(error))
            await asyncio.sleep(TRUNCATED_RETRY_S)
        except OUTAGES as error:
            log.warning("the board starts again", why=repr(error))
        except Exception:
            log.exception("the board failed")
        await asyncio.sleep(1)
