"""From the end of an attempt to its release: content, report, workspace."""

from __future__ import annotations

import asyncio
import functools

import msgspec
import structlog

from ops import signals
from runners import claim
from runners.held import HeldAttempt
from runners.insist import insist
from runners.outlet import Conflict, Outlet
from runners.site import Site
from runners.spec import CONTENT_FILE, FACTS_OUT_FILE, GALAXY_FILE, IMPORT_FILE
from runners.steps import workspace
from schemas.output import AttemptFinished, StoredReport

REPORT_BYTES_MAX = 512 * 1024
"""A larger report goes to BLOBS and the message names its digest."""

_encoder = msgspec.json.Encoder()
_log = structlog.get_logger()


async def tell(site: Site, held: HeldAttempt, outlet: Outlet, told: AttemptFinished) -> None:
    """Report the end once. The attempt's last frame must be acknowledged before. Raises Erased."""
    own = IMPORT_FILE if held.record.kind == "inventory_update" else CONTENT_FILE
    for digest, name in (
        (told.content, own),
        (told.galaxy, GALAXY_FILE),
        (told.facts, FACTS_OUT_FILE),
    ):
        if digest:
            await insist("upload", functools.partial(_upload, site, held, digest, name))
    await insist("report", lambda: _report(site, held, outlet, told))
    signals.reach(signals.Point.REPORT_BEFORE_REMOVAL)


async def forget(site: Site, held: HeldAttempt) -> None:
    """Tell that nothing more comes of an attempt, and remove what it left on this machine."""
    await claim.release(site, held.record.key)
    await asyncio.to_thread(workspace.remove, held.directory)


async def _upload(site: Site, held: HeldAttempt, digest: str, name: str) -> None:
    content = held.directory / name
    await site.blobs.put_file(content)
    if name == IMPORT_FILE:
        return
    try:
        await site.content.keep(digest, content)
    except OSError as error:  # a full disk: it is fetched when a job needs it
        _log.warning("content.not_kept", attempt=held.record.ident, why=str(error))


async def _report(site: Site, held: HeldAttempt, outlet: Outlet, told: AttemptFinished) -> None:
    traceparent = held.record.order.traceparent
    stored = StoredReport(report=told, traceparent=traceparent)
    encoded = _encoder.encode(told)
    if len(encoded) > REPORT_BYTES_MAX:
        stored = StoredReport(blob=await site.blobs.put(encoded), traceparent=traceparent)
    while not _is_end(await outlet.last_report()):
        try:
            await outlet.report(stored, f"{held.record.ident}-finished")
        except Conflict:
            continue
        return


def _is_end(stored: StoredReport | None) -> bool:
    """Tell whether a report is the last of its attempt; only such a one is ever large."""
    return stored is not None and (
        stored.report is None or isinstance(stored.report, AttemptFinished)
    )
