"""Answers runners that announce themselves: their instance, capacity and consumers."""

from __future__ import annotations

import asyncio

import msgspec
import structlog
from nats.aio.msg import Msg

from controlplane.domain.board import InstanceFacts
from controlplane.processes.loop import Tools
from controlplane.shell.event_store import Conflict, SubjectPosition
from ops import clock, ids, work_lines
from schemas import subjects
from schemas.events.instance import InstanceRegistered
from schemas.streams import CONFIG
from schemas.work import Registered, RegisterRunner

log = structlog.get_logger()

SEQUENCE = "instance"


class Registry:
    """The request/reply service; one process answers, since it allots instance ids."""

    name = "registry"
    singleton = True

    async def run(self, tools: Tools) -> None:
        """Answer one request after another until cancelled."""
        await tools.keeper.ready()
        asked: asyncio.Queue[Msg] = asyncio.Queue()
        subscription = await tools.connection.subscribe(subjects.register("*", ()), cb=asked.put)
        try:
            while True:
                await self._answer(tools, await asked.get())
        finally:
            await subscription.unsubscribe()

    async def _answer(self, tools: Tools, message: Msg) -> None:
        try:
            request = msgspec.json.decode(message.data, type=RegisterRunner)
        except msgspec.DecodeError as error:
            answer = Registered(refused=f"not a registration: {error}")
        else:
            if subjects.register(request.runner, request.groups) == message.subject:
                answer = await self.register(tools, request)
            else:
                answer = Registered(refused="registered in another name or for other groups")
        if message.reply:
            await message.respond(msgspec.json.encode(answer))

    async def register(self, tools: Tools, request: RegisterRunner) -> Registered:
        """Append the runner's facts when they are new, make its consumers, and answer."""
        config = await tools.store.last_sequence(CONFIG.name)
        await tools.keeper.reached(0, config)
        known = tools.keeper.board.instance_named(request.runner)
        if known is None or _differs(known, request):
            await self._append(tools, request, known)
            known = tools.keeper.board.instance_named(request.runner)
        await work_lines.ensure(tools.connection, request.runner, request.groups)
        if known is None:
            return Registered(refused="try again")
        return Registered(
            instance=known.id,
            capacity=known.capacity,
            enabled=known.enabled,
            groups=known.groups,
        )

    async def _append(
        self, tools: Tools, request: RegisterRunner, known: InstanceFacts | None
    ) -> None:
        number = known.id if known else (await tools.numbers.take(SEQUENCE))[0]
        event = InstanceRegistered(
            id=number,
            hostname=request.runner,
            uuid=ids.new_id(),
            node_type=request.node_type,
            groups=request.groups,
            cpu=request.cpu,
            memory=request.memory,
            version=request.version,
            at=clock.now(),
        )
        subject = subjects.config("instance", number)
        history = await tools.store.load(subject)
        expected = SubjectPosition(history[-1].sequence if history else 0)
        context = tools.context(self.name)
        try:
            position = await tools.store.append(
                subject, context, (event,), keys=(f"instance:{number}",), expect=expected
            )
        except Conflict:
            log.info("registered meanwhile", runner=request.runner)
            return
        await tools.keeper.reached(0, position)


def _differs(known: InstanceFacts, request: RegisterRunner) -> bool:
    return not known.available or (known.groups, known.cpu, known.memory) != (
        request.groups,
        request.cpu,
        request.memory,
    )
