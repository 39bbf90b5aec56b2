"""From a granted attempt on disk to its running supervisor."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import structlog

from ops import clock
from runners import credentials, facts
from runners.content import ContentMissing
from runners.held import HeldAttempt
from runners.insist import insist
from runners.inventory_source import INPUT_FILE
from runners.site import Site
from runners.spec import CONTENT_FILE, FACTS_DIR, FACTS_FILE, GALAXY_FILE, INVENTORY_FILE, Secrets
from runners.zygote_client import SupervisorLost
from schemas.output import Phase
from schemas.work import AdHocRun, InventorySync, JobSecrets, Payload, PlaybookRun

T = TypeVar("T")
_log = structlog.get_logger()

CANCELED = "Canceled before it was started"


class Unstarted(Exception):
    """The attempt never starts: the status that it ends with, and why."""

    def __init__(self, status: str, explanation: str) -> None:
        """``status`` as in a report: ``error`` or ``canceled``."""
        super().__init__(explanation)
        self.status = status


async def start(site: Site, held: HeldAttempt, told: JobSecrets) -> tuple[Phase, ...]:
    """Fetch what the job needs, start its supervisor; returns the time spans. Raises Unstarted."""
    began = clock.now()
    secrets = await _unless_canceled(held, _confided(held, told))
    answered = clock.now()
    await _unless_canceled(held, _fetch(site, held))
    fetched = clock.now()
    await _unless_canceled(held, _turn(site, held))
    admitted = clock.now()
    try:
        held.handle = await site.processes.spawn(held.directory, secrets)
    except SupervisorLost as error:
        raise Unstarted("error", str(error)) from error
    return (
        *((_looked_up(began, answered),) if credentials.needs_lookup(told) else ()),
        Phase(name="content", started=answered, finished=fetched),
        Phase(name="turn", started=fetched, finished=admitted),
        Phase(name="spawn", started=admitted, finished=clock.now()),
    )


def found(site: Site, held: HeldAttempt) -> bool:
    """Tell whether a supervisor has ever taken charge, and take up its handle."""
    held.handle = site.processes.supervisor(held.directory)
    return held.handle is not None


async def _confided(held: HeldAttempt, told: JobSecrets) -> Secrets:
    """Look up what is kept elsewhere; returns the supervisor's form of it all."""
    kind = str(held.record.order.payload.__struct_config__.tag)
    try:
        return credentials.secrets_of(await credentials.looked_up(told), kind)
    except credentials.Unusable as error:
        raise Unstarted(error.status, str(error)) from None
    except msgspec.DecodeError as error:
        raise Unstarted("error", f"The runner cannot prepare the job: {error}") from None


def _looked_up(began: datetime, answered: datetime) -> Phase:
    return Phase(name="lookups", started=began, finished=answered)


async def _fetch_facts(site: Site, held: HeldAttempt, manifest: str) -> None:
    """Bring the facts that are known; a job runs without what is not there any more."""
    listed, directory = held.directory / FACTS_FILE, held.directory / FACTS_DIR
    directory.mkdir(mode=0o700, exist_ok=True)
    try:
        await insist("facts", functools.partial(site.content.place, manifest, listed))
        for digest in facts.contents(listed.read_bytes()):
            place = functools.partial(site.content.place, digest, directory / digest)
            await insist("facts", place)
    except (ContentMissing, msgspec.DecodeError) as error:
        _log.warning("facts.missing", attempt=held.record.ident, why=str(error))


async def _fetch(site: Site, held: HeldAttempt) -> None:
    payload = held.record.order.payload
    if isinstance(payload, PlaybookRun | InventorySync) and payload.facts:
        await _fetch_facts(site, held, payload.facts)
    for digest, name in _needed(held.record.order.payload):
        target = held.directory / name
        shared = isinstance(held.record.order.payload, PlaybookRun) and name != INVENTORY_FILE
        place = site.content.place_tree if shared else site.content.place
        try:
            await insist("content", functools.partial(place, digest, target))
        except ContentMissing as error:
            raise Unstarted("error", f"{_named(name)}: {error}") from error


def _needed(payload: Payload) -> tuple[tuple[str, str], ...]:
    """Return (digest, file) of what an attempt reads."""
    match payload:
        case PlaybookRun():
            return (
                (payload.project_content, CONTENT_FILE),
                (payload.inventory_content, INVENTORY_FILE),
                *([(payload.galaxy_content, GALAXY_FILE)] if payload.galaxy_content else []),
            )
        case AdHocRun():
            return ((payload.inventory_content, INVENTORY_FILE),)
        case InventorySync(project_content=digest, inputs=inputs):
            named = [(each, INPUT_FILE % index) for index, each in enumerate(inputs)]
            project = ((digest, CONTENT_FILE), (payload.galaxy_content, GALAXY_FILE))
            return (*(each for each in project if each[0]), *named)
        case _:
            return ()


async def _turn(site: Site, held: HeldAttempt) -> None:
    if isinstance(held.record.order.payload, PlaybookRun | AdHocRun):
        held.turn = await site.gate.turn()


def _named(file: str) -> str:
    return _NAMES.get(file, "An input inventory")


_NAMES = {
    CONTENT_FILE: "The project's content",
    GALAXY_FILE: "What the project requires",
    INVENTORY_FILE: "The inventory",
}


async def _unless_canceled(held: HeldAttempt, fetching: Coroutine[Any, Any, T]) -> T:
    """Finish the work, or give it up as soon as a cancel arrives. Raises Unstarted."""
    working = asyncio.create_task(fetching)
    canceled = asyncio.create_task(held.cancel_wanted.wait())
    try:
        await asyncio.wait([working, canceled], return_when=asyncio.FIRST_COMPLETED)
        if held.cancel_wanted.is_set():
            raise Unstarted("canceled", CANCELED)
        return working.result()
    finally:
        working.cancel()
        canceled.cancel()
        await asyncio.gather(working, canceled, return_exceptions=True)
