"""From the end of an attempt to its release: content, report, workspace."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
from pathlib import Path

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

FORGED = "The attempt names content that it did not leave"

_log = structlog.get_logger()
_encoder = msgspec.json.Encoder()
_log = structlog.get_logger()


async def tell(site: Site, held: HeldAttempt, outlet: Outlet, told: AttemptFinished) -> None:
    """Report the end once. The attempt's last frame must be acknowledged before. Raises Erased."""
    told = await asyncio.to_thread(proved, held, told)
    for digest, name in left_by(held.record.kind, told):
        if digest:
            await insist("upload", functools.partial(_upload, site, held, digest, name))
    await insist("report", lambda: _report(site, held, outlet, told))
    signals.reach(signals.Point.REPORT_BEFORE_REMOVAL)


def left_by(kind: str, told: AttemptFinished) -> tuple[tuple[str, str], ...]:
    """Return (digest, file) of what an attempt of a kind may leave; the digest may be empty."""
    match kind:
        case "project_update":
            return (told.content, CONTENT_FILE), (told.galaxy, GALAXY_FILE)
        case "inventory_update":
            return ((told.content, IMPORT_FILE),)
        case _:
            return ((told.facts, FACTS_OUT_FILE),)


def proved(held: HeldAttempt, told: AttemptFinished) -> AttemptFinished:
    """Return a report that names no content but what the attempt has left.

    A job writes its own journal: the end that stands there need not be its supervisor's.
    """
    left = left_by(held.record.kind, told)
    if any(digest and _digest_of(held.directory / name) != digest for digest, name in left):
        _log.error("attempt.forged", attempt=held.record.ident)
        status, why = ("error", FORGED) if told.status == "successful" else (told.status, FORGED)
        return msgspec.structs.replace(
            told, status=status, explanation=why, content="", galaxy="", facts=""
        )
    if held.record.kind in ("project_update", "inventory_update"):
        return msgspec.structs.replace(told, facts="")
    return msgspec.structs.replace(told, content="", galaxy="")


def _digest_of(path: Path) -> str:
    """Return the sha256 of a plain file; empty when there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
