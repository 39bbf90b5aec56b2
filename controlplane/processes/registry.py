"""Answers runners that announce themselves: their instance, capacity and consumers."""

from __future__ import annotations

import asyncio

import msgspec
import structlog
from nats.aio.msg import Msg

from controlplane.domain.instance import InstanceState, Register
from controlplane.processes.loop import Tools
from ops import clock, ids, work_lines
from schemas import subjects
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
        known = await self._stored(tools, request, known)
        await work_lines.ensure(tools.connection, request.runner, request.groups)
        return Registered(
            instance=known.id,
            capacity=known.capacity,
            enabled=known.enabled,
            groups=known.groups,
        )

    async def _stored(
        self, tools: Tools, request: RegisterRunner, known: InstanceState | None
    ) -> InstanceState:
        number = known.id if known else (await tools.numbers.take(SEQUENCE))[0]
        command = Register(id=number, uuid=ids.new_id(), runner=request, at=clock.now())
        done = await tools.instance(self.name, number, command)
        await tools.keeper.reached(0, done.position)
        return done.state
