"""One granted attempt: start, journal, report, release.

Every step may be done again after a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import structlog
from nats.aio.client import Client

from ops import clock, connect, signals, telemetry
from ops.blobs import Blobs
from ops.stopping import stopped
from runners import bound, cancel, conclusion, facts, finish, report, spans, start, watch_end
from runners.emit import Emitter
from runners.held import HeldAttempt
from runners.journal import Final, JournalEvent, JournalReader
from runners.outlet import Erased, Outlet
from runners.site import Site
from runners.spec import INVENTORY_FILE, JOURNAL_FILE
from runners.start import Unstarted
from runners.steps import inventory
from schemas.output import AnsibleEvent, AttemptFinished, Phase
from schemas.work import JobSecrets

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
        self._outlet = Outlet(connection, self._held.record.attempt)
        put = Blobs(connection).put
        self._emitter = Emitter(self._held, self._outlet, self._site.name, put)

    async def run(self, told: JobSecrets | Unstarted) -> None:
        """Go from wherever the attempt stands to its end.

        What was ``told`` in confidence serves one that never started. The record is published as
        the attempt's own NATS user, which may write this attempt's subjects and no others. Raises
        ValueError when that user's credentials were not sealed to us.
        """
        order = self._held.record.order
        named = structlog.contextvars.bound_contextvars(job=order.job)
        with telemetry.within(order.traceparent), named:
            try:
                await self._run(told)
            finally:
                self._held.begun()

    async def _run(self, told: JobSecrets | Unstarted) -> None:
        unstarted = await self._start(told)
        sealed = self._held.record.nats_creds
        if not sealed:
            await self._tell(unstarted)
            return
        creds = self._site.key.unseal(sealed)
        while not await self._tell_as(creds, unstarted):
            _log.warning("connection.closed", attempt=self._held.record.ident)

    async def _start(self, told: JobSecrets | Unstarted) -> Final | None:
        """Start the attempt if it never was; returns its end when it cannot be."""
        if isinstance(told, Unstarted):
            return _ended(told.status, str(told))
        try:
            if not start.found(self._site, self._held):
                self._phases = await start.start(self._site, self._held, told)
        except Unstarted as error:
            return _ended(error.status, str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong must not wedge the job
            return await self._broken(error)
        if self._held.cancel_wanted.is_set() and self._held.handle is not None:
            self._held.handle.cancel()
        return None

    async def _tell_as(self, creds: bytes, unstarted: Final | None) -> bool:
        """Publish the record as the attempt's user; False when that connection ended for good."""
        ident = self._held.record.ident
        closed = asyncio.Event()
        connection = await self._site.connect_as(creds, ident, closed)
        self._use(connection)
        telling = asyncio.create_task(self._tell(unstarted), name=f"tell-{ident}")
        closing = asyncio.create_task(closed.wait(), name=f"closed-{ident}")
        try:
            await asyncio.wait([telling, closing], return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
            return telling.done()
        finally:
            telling.cancel()
            closing.cancel()
            await asyncio.gather(telling, closing, return_exceptions=True)
            await connect.close_quietly(connection)

    async def _tell(self, unstarted: Final | None) -> None:
        """Publish the record to its end and forget the attempt."""
        try:
            await self._finish(unstarted or await self._publish())
        except Erased:
            _log.info("attempt.erased", attempt=self._held.record.ident)
            await cancel.put_down(self._site.processes, self._held)
            await finish.forget(self._site, self._held)

    async def _publish(self) -> Final:
        try:
            self._emitter.hosts = self._hosts()
            number = self._site.watch.add(self._held.directory, self._emitter.wake)
            try:
                await self._follow()
            finally:
                self._site.watch.remove(number)
            return await self._conclude()
        except Erased:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong must not wedge the job
            return await self._broken(error)

    async def _broken(self, error: Exception) -> Final:
        _log.exception("attempt.broken", attempt=self._held.record.ident)
        await cancel.put_down(self._site.processes, self._held)
        return _ended("error", f"The runner agent failed: {type(error).__name__}: {error}")

    async def _follow(self) -> None:
        """Publish until the journal ends, with what looks after the attempt meanwhile."""
        processes = self._site.processes
        working = [
            asyncio.create_task(self._emitter.run(), name="emit"),
            asyncio.create_task(
                watch_end.watch(processes, self._held, self._emitter), name="watch-end"
            ),
            asyncio.create_task(cancel.enforce(processes, self._held), name="enforce-cancel"),
            asyncio.create_task(
                bound.keep(self._held, self._emitter, self._site.journal_bytes_max), name="bound"
            ),
        ]
        emitting, *beside = working
        try:
            while not emitting.done():
                waiting = [emitting, *(each for each in beside if not each.done())]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for each in working:
                    if each.done():
                        each.result()
        finally:
            await stopped(working)

    def _hosts(self) -> inventory.Hosts:
        try:
            return inventory.hosts_of((self._held.directory / INVENTORY_FILE).read_bytes())
        except FileNotFoundError:
            return inventory.Hosts()

    async def _conclude(self) -> Final:
        final = self._emitter.summary.final
        if final is not None:
            await cancel.see_ended(self._site.processes, self._held)
            return final
        await cancel.put_down(self._site.processes, self._held)
        reader = JournalReader(self._held.directory / JOURNAL_FILE)
        now = clock.iso(clock.now())
        kind = self._held.record.kind
        found = await asyncio.to_thread(lambda: conclusion.conclude(reader.all(), now, kind))
        if self._held.cancel_wanted.is_set() and found.status == "error":
            return msgspec.structs.replace(found, status="canceled", explanation="")
        return found

    def _trace(self, told: AttemptFinished) -> None:
        """Tell the attempt's spans; what is wrong with them costs the spans, not the job."""
        reader = JournalReader(self._held.directory / JOURNAL_FILE)
        try:
            self._site.tracer.send(list(spans.spans(self._held.record, told, _events(reader))))
        except Exception:  # noqa: BLE001 - a play says what it likes in its events
            _log.exception("attempt.untraced", attempt=self._held.record.ident)

    async def _finish(self, final: Final) -> None:
        end = report.End(
            final=final,
            last_counter=self._emitter.position.counter,
            phases=self._phases,
            now=clock.now(),
        )
        summary, hosts = self._emitter.summary, self._emitter.hosts
        told = report.finished(self._site.name, self._held.record, summary, hosts, end)
        digest = await asyncio.to_thread(facts.digest_of, self._held.directory)
        told = msgspec.structs.replace(told, facts=digest)
        signals.reach(signals.Point.FRAMES_BEFORE_REPORT)
        await finish.tell(self._site, self._held, self._outlet, told)
        if self._site.tracer.enabled:
            await asyncio.to_thread(self._trace, told)
        await finish.forget(self._site, self._held)
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
