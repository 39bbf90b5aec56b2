"""After a restart: takes the attempts found on this machine back, with their journals."""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from runners import cancel, record, take
from runners.held import HeldAttempt
from runners.site import Site
from runners.spec import SUPERVISOR_FILE
from runners.steps import workspace
from runners.take import Begin
from schemas.work import JobSecrets

_log = structlog.get_logger()


def found(site: Site) -> list[HeldAttempt]:
    """Return the attempts on disk, counted as held; a half-written one is removed."""
    site.jobs.mkdir(mode=0o700, parents=True, exist_ok=True)
    attempts = []
    for directory in sorted(site.jobs.iterdir()):
        kept = _read(directory)
        if kept is not None:
            held = HeldAttempt(kept, directory)
            site.held.reserve(kept.key, kept.order.impact)
            site.held.attempts[kept.key] = held
            attempts.append(held)
    return attempts


async def resume(site: Site, begin: Begin, held: HeldAttempt) -> None:
    """Go on with an attempt; one that never started needs its secrets, so its claim, again."""
    _log.info("attempt.found", attempt=held.record.ident)
    if (held.directory / SUPERVISOR_FILE).exists():
        begin(held, JobSecrets())
        return
    grant = await take.ask(site, held.record.key)
    if not grant.granted:
        held.handle = site.processes.supervisor(held.directory)  # of the agent before us
        await cancel.put_down(site.processes, held)
        await take.drop(site, held.record, grant)
        return
    held.record = take.granted(held.record, grant)
    begin(held, await take.prepared(site, held, grant))


def _read(directory: Path) -> record.Record | None:
    try:
        kept = record.read(directory)
    except (msgspec.DecodeError, OSError) as error:
        _log.error("attempt.unreadable", directory=directory.name, why=str(error))
        return None
    if kept is None:
        workspace.remove(directory)
    return kept
