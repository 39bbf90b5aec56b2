"""A runner whose link to NATS goes dead: packets vanish, nobody is told."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runners import process_tree
from tests.runners.agent_rig import AgentProcess, ControlPlane, patiently
from tests.runners.rig import play
from tests.waiting import eventually, passing

pytestmark = [
    pytest.mark.tier_netns,
    pytest.mark.timeout(300),
]

NETWORK = "10.231.77"
HOST, FAR = f"{NETWORK}.1", f"{NETWORK}.2"
SPACE = "playlog-cut"
NEAR_END, FAR_END = "plcut0", "plcut1"
ITEMS = 600
CUT_S = 40
"""Longer than the client's pings take to give the connection up."""
PAUSED = (
    f"{{name: many, debug: {{msg: said}}, loop: '{{{{ range({ITEMS}) | list }}}}',"
    " loop_control: {pause: 0.05}}"
)


def _ip(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


@pytest.fixture
def link() -> Iterator[None]:
    """A network namespace that reaches this one by one link."""
    _ip("netns", "del", SPACE, check=False)
    done = _ip("netns", "add", SPACE, check=False)
    if done.returncode:
        pytest.skip(f"NOT RUN: netns ({done.stderr.strip()})")
    try:
        _ip("link", "add", NEAR_END, "type", "veth", "peer", "name", FAR_END, "netns", SPACE)
        _ip("addr", "add", f"{HOST}/24", "dev", NEAR_END)
        _ip("link", "set", NEAR_END, "up")
        for words in (
            ("addr", "add", f"{FAR}/24", "dev", FAR_END),
            ("link", "set", FAR_END, "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", SPACE, *words)
        yield
    finally:
        _ip("link", "del", NEAR_END, check=False)
        _ip("netns", "del", SPACE, check=False)


@pytest.fixture
async def relay(link: None, plane: ControlPlane) -> AsyncIterator[str]:
    """The server's address on the link: it listens on loopback alone, so this passes bytes on."""
    del link
    port = int(plane.server.url.rpartition(":")[2])
    passing_on: set[asyncio.Task[None]] = set()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near = await asyncio.open_connection("127.0.0.1", port)
        for pair in ((reader, near[1]), (near[0], writer)):
            passing_on.add(asyncio.create_task(copy(*pair)))

    server = await asyncio.start_server(serve, HOST, 0)
    yield f"nats://{HOST}:{server.sockets[0].getsockname()[1]}"
    server.close()
    for task in passing_on:
        task.cancel()
    await asyncio.gather(*passing_on, return_exceptions=True)


async def test_a_runner_behind_a_dead_link_plays_on_and_tells_everything(
    relay: str, plane: ControlPlane, directory: Path
) -> None:
    """The play does not notice; with the link back every event comes, once and in order."""
    agent = AgentProcess(directory / "far", plane, PLAYLOG_NATS_URL=relay)
    agent.prefix = ("ip", "netns", "exec", SPACE)
    agent.start()
    try:
        await plane.order(1, play(PAUSED))
        await patiently(lambda: agent.directory(1).exists() and len(agent.journal(1)) > 20)
        _ip("link", "set", NEAR_END, "down")
        before = len(await plane.events(1))
        await passing(CUT_S)
        assert len(await plane.events(1)) - before < ITEMS / 2
        eventually(lambda: len(agent.journal(1)) > ITEMS, 90)
        assert process_tree.start_ticks(agent.pid) is not None
        _ip("link", "set", NEAR_END, "up")
        events = await plane.ended_well(1)
        assert [each.event for each in events].count("runner_item_on_ok") == ITEMS
        assert [each.counter for each in events] == list(range(1, len(events) + 1))
    finally:
        agent.close()
