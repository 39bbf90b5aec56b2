"""One granted attempt: start, journal, report, release.

Every step may be done again after a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import msgspec
import structlog
from nats.aio.client import Client

from ops import clock, connect, nats_identity
from ops.blobs import Blobs
from runners import adopt, cancel, finish, report, spans, start, watch_end
from runners.emit import Emitter
from runners.held import HeldAttempt
from runners.journal import Final, JournalEvent, JournalReader
from runners.outlet import Outlet
from runners.site import Site
from runners.spec import INVENTORY_FILE, JOURNAL_FILE, Secrets
from runners.start import Unstarted
from runners.steps import inventory
from schemas.output import AnsibleEvent, AttemptFinished, Phase

_log = structlog.get_logger()


class Execution:
    """Carries one attempt to its release."""

    def __init__(self, site: Site, held: HeldAttempt) -> None:
        """Nothing happens before ``run``."""
        self._site = site
        self._held = held
        self._phases: tuple[Phase, ...] = ()
        self._use(site.nats)

    def _use(self, connection: Client) -> None:
        """Publish the attempt's record over this connection."""
        self._outlet = Outlet(connection.jetstream(), self._held.record.attempt)
        put = Blobs(connection).put
        self._emitter = Emitter(self._held, self._outlet, self._site.name, put)

    async def run(self, secrets: Secrets | Unstarted) -> None:
        """Go from wherever the attempt stands to its end.

        ``secrets`` serve one that never started. The record is published as the attempt's own NATS
        user, which may write this attempt's subjects and no others.
        """
        sealed = self._held.record.nats_creds
        if not sealed:
            await self._run(secrets)
            return
        ident = self._held.record.ident
        connection = await connect.connect_nats_as(
            self._site.nats_url,
            self._site.key.unseal(sealed),
            f"attempt {ident}",
            nats_identity.inbox_prefix(ident),
        )
        self._use(connection)
        try:
            await self._run(secrets)
        finally:
            await connect.close_quietly(connection)

    async def _run(self, secrets: Secrets | Unstarted) -> None:
        try:
            final = await self._perform(secrets)
        except Unstarted as error:
            final = _ended(error.status, str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong must not wedge the job
            _log.exception("attempt.broken", attempt=self._held.record.ident)
            await cancel.put_down(self._held)
            text = f"The runner agent failed: {type(error).__name__}: {error}"
            final = _ended("error", text)
        await self._finish(final)

    async def _perform(self, secrets: Secrets | Unstarted) -> Final:
        if isinstance(secrets, Unstarted):
            raise secrets
        if not start.found(self._held):
            self._phases = await start.start(self._site, self._held, secrets)
        if self._held.cancel_wanted.is_set() and self._held.handle is not None:
            self._held.handle.cancel()
        self._emitter.hosts = self._hosts()
        number = self._site.watch.add(self._held.directory, self._emitter.wake)
        try:
            await self._follow()
        finally:
            self._site.watch.remove(number)
        return await self._conclude()

    async def _follow(self) -> None:
        """Publish until the journal ends, with what looks after the attempt meanwhile."""
        beside = [
            asyncio.create_task(watch_end.watch(self._held, self._emitter), name="watch-end"),
            asyncio.create_task(cancel.enforce(self._held), name="enforce-cancel"),
        ]
        try:
            await self._emitter.run()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _hosts(self) -> Mapping[str, int]:
        try:
            return inventory.host_ids((self._held.directory / INVENTORY_FILE).read_bytes())
        except FileNotFoundError:
            return {}

    async def _conclude(self) -> Final:
        final = self._emitter.summary.final
        if final is not None:
            return final
        await cancel.put_down(self._held)
        reader = JournalReader(self._held.directory / JOURNAL_FILE)
        now = clock.iso(clock.now())
        found = await asyncio.to_thread(lambda: adopt.conclude(reader.all(), now))
        if self._held.cancel_wanted.is_set() and found.status == "error":
            return msgspec.structs.replace(found, status="canceled", explanation="")
        return found

    def _trace(self, told: AttemptFinished) -> None:
        """Tell the attempt's spans; a collector that is away costs the spans, not the job."""
        reader = JournalReader(self._held.directory / JOURNAL_FILE)
        self._site.tracer.send(spans.spans(self._held.record, told, _events(reader)))

    async def _finish(self, final: Final) -> None:
        end = report.End(
            final=final,
            last_counter=self._emitter.position.counter,
            phases=self._phases,
            now=clock.now(),
        )
        summary, hosts = self._emitter.summary, self._emitter.hosts
        told = report.finished(self._site.name, self._held.record, summary, hosts, end)
        if self._site.tracer.enabled:
            await asyncio.to_thread(self._trace, told)
        await finish.finish(self._site, self._held, self._outlet, told)
        _log.info(
            "attempt.finished",
            attempt=self._held.record.ident,
            status=told.status,
            last_counter=told.last_counter,
        )


def _events(reader: JournalReader) -> Iterator[AnsibleEvent]:
    for entry in reader.all():
        if isinstance(entry, JournalEvent):
            yield entry.event


def _ended(status: str, explanation: str) -> Final:
    return Final(status=status, created=clock.iso(clock.now()), explanation=explanation)
