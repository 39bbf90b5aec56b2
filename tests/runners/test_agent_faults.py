"""Whatever is killed while a job runs, its record is whole: every event once and in order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ops import clock
from ops.signals import Point
from runners import process_tree
from runners.zygote_client import SupervisorHandle
from schemas.output import AnsibleEvent
from tests.runners.agent_rig import AgentProcess, ControlPlane, patiently
from tests.runners.rig import play
from tests.waiting import eventually

ROUNDS = 3
GATE = (
    "{name: gate, wait_for: {path: '{{ playbook_dir }}/../go', sleep: 1, timeout: 100, msg: never}}"
)
ITEMS = "{name: items, debug: {msg: '{{ item }}'}, loop: '{{ range(60) | list }}'}"
GATED = play("{name: first, debug: {msg: one}}", GATE, ITEMS)
FULL_BYTES = 100_000
BACKLOG_ITEMS = 2000
PRINTS = {
    "callback_plugins/prints.py": '''
"""Prints where no event is open: to the terminal that the supervisor reads."""
import sys
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_NAME = "prints"
    CALLBACK_NEEDS_ENABLED = False

    def v2_runner_item_on_ok(self, result):
        sys.stdout.write("stray\\n")
        sys.stdout.flush()
'''
}

WITNESS = '''
"""Writes every task result on its own, in the order it happens."""
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_NAME = "witness"
    CALLBACK_NEEDS_ENABLED = False

    def _write(self, word, result):
        with open("%s", "a") as file:
            label = result._result.get("_ansible_item_label", "")
            file.write(f"{word} {result._task.get_name()} {label}\\n")

    def v2_runner_on_ok(self, result):
        self._write("runner_on_ok", result)

    def v2_runner_item_on_ok(self, result):
        self._write("runner_item_on_ok", result)
'''

pytestmark = pytest.mark.timeout(240)


def witnessed(files: dict[str, str], path: Path) -> dict[str, str]:
    """Return a project with a callback of its own that writes to ``path``."""
    return {**files, "callback_plugins/witness.py": WITNESS % path}


def as_witnessed(events: list[AnsibleEvent]) -> list[str]:
    """Return events as the witness writes them."""
    lines = []
    for each in events:
        if each.event in {"runner_on_ok", "runner_item_on_ok"}:
            res = msgspec.json.decode(each.event_data)["res"]
            lines.append(f"{each.event} {each.task} {res.get('_ansible_item_label', '')}".strip())
    return lines


async def test_an_agent_killed_at_random_loses_nothing(
    plane: ControlPlane, agent: AgentProcess, directory: Path
) -> None:
    """At any instant: before the start, while it runs, while it is told, twice in a row."""
    chance = random.Random(20)
    agent.start()
    for job in range(1, ROUNDS + 1):
        witness = directory / f"witness-{job}"
        await plane.order(job, witnessed(play(ITEMS, "{name: runs, command: 'true'}"), witness))
        for _ in range(chance.choice((1, 1, 2))):
            due = clock.monotonic() + chance.choice((0.0, 0.0, chance.uniform(0, 2)))
            await patiently(lambda: clock.monotonic() >= due)  # noqa: B023 - waited for here
            agent.kill()
            agent.start()
        events = await plane.ended_well(job)
        assert as_witnessed(events) == [line.strip() for line in witness.read_text().splitlines()]


@pytest.mark.parametrize(
    "point",
    [
        Point.SPEC_BEFORE_ACK,
        Point.CLAIM_BEFORE_START,
        Point.JOURNAL_BEFORE_PUBLISH,
        Point.FRAMES_BEFORE_REPORT,
        Point.REPORT_BEFORE_REMOVAL,
    ],
)
async def test_an_agent_killed_at_a_named_point_loses_nothing(
    plane: ControlPlane, agent: AgentProcess, directory: Path, point: Point
) -> None:
    """The next agent finds the attempt wherever it stands; the job runs once, is told once."""
    witness = directory / "witness"
    agent.start(PLAYLOG_KILL_POINT=point)
    await plane.order(1, witnessed(play(ITEMS), witness))
    assert await asyncio.to_thread(agent.wait) == -signal.SIGKILL
    agent.start()
    events = await plane.ended_well(1)
    await patiently(lambda: agent.has_left(1))
    assert as_witnessed(events) == [line.strip() for line in witness.read_text().splitlines()]
    assert len(as_witnessed(events)) == 61
    await patiently(lambda: plane.has_orders(0))  # one not acknowledged comes again and is dropped


def kill_supervisor(agent: AgentProcess) -> None:
    """Kill the supervisor of job 1."""
    handle = SupervisorHandle.of(agent.directory(1))
    assert handle is not None
    handle.kill()


def kill_zygote(agent: AgentProcess) -> None:
    """Kill the parent that supervisors are forked from."""
    (zygote,) = process_tree.children(agent.pid)
    os.kill(zygote, signal.SIGKILL)


def kill_all(agent: AgentProcess) -> None:
    """Kill everything but the playbook."""
    kill_supervisor(agent)
    kill_zygote(agent)
    agent.kill()
    agent.start()


@pytest.mark.parametrize("kill", [kill_supervisor, kill_zygote, kill_all])
async def test_a_playbook_outlives_what_started_it(
    plane: ControlPlane, agent: AgentProcess, kill: Callable[[AgentProcess], None]
) -> None:
    """It runs to its end, its record is whole, and the next job starts as if nothing were."""
    agent.start()
    await plane.order(1, GATED | PRINTS, run={"verbosity": 3})
    await patiently(lambda: _at_gate(plane))
    kill(agent)
    (agent.directory(1) / "go").touch()
    events = await plane.ended_well(1)
    assert [each.event for each in events].count("runner_item_on_ok") == 60
    await patiently(lambda: agent.has_left(1))
    await plane.order(2, play(ITEMS))
    await plane.ended_well(2)


async def _at_gate(plane: ControlPlane) -> bool:
    return any(each.task == "gate" for each in await plane.events(1))


async def test_a_supervisor_lost_with_its_playbook_is_an_error(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """When neither lives on, the job ends, says so, and leaves nothing."""
    agent.start()
    await plane.order(1, GATED)
    await patiently(lambda: _at_gate(plane))
    kill_supervisor(agent)
    process_tree.sweep_marked(agent.directory(1))
    told = await plane.finished(1)
    assert (told.status, told.explanation) == ("error", "The supervisor of the job was lost")
    assert told.last_counter == len(await plane.events(1))
    await patiently(lambda: agent.has_left(1))


async def test_a_journal_grows_while_nats_is_away_and_drains_in_order(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """An outage costs no event and no job; the backlog goes in order."""
    many = f"{{name: many, debug: {{msg: said}}, loop: '{{{{ range({BACKLOG_ITEMS}) | list }}}}'}}"
    agent.start()
    await plane.order(1, play("{name: first, debug: {msg: one}}", GATE, many))
    await patiently(lambda: _at_gate(plane))
    plane.server.kill()
    (agent.directory(1) / "go").touch()
    eventually(lambda: len(agent.journal(1)) > BACKLOG_ITEMS, 90)
    await plane.recover()
    events = await plane.ended_well(1)
    assert [each.event for each in events].count("runner_item_on_ok") == BACKLOG_ITEMS
    frames = await plane.frames(1)
    assert [each.first for each in frames[1:]] == [each.last + 1 for each in frames[:-1]]
    assert len(frames) < BACKLOG_ITEMS / 20


async def test_a_full_journal_makes_the_play_stand_still_and_drops_nothing(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """Beyond its bound it does not grow while NATS is away; then every event comes."""
    many = f"{{name: many, debug: {{msg: said}}, loop: '{{{{ range({BACKLOG_ITEMS}) | list }}}}'}}"
    agent.start(PLAYLOG_JOURNAL_BYTES_MAX=str(FULL_BYTES))
    await plane.order(1, play("{name: first, debug: {msg: one}}", GATE, many))
    await patiently(lambda: _at_gate(plane))
    plane.server.kill()
    (agent.directory(1) / "go").touch()
    mark = agent.directory(1) / "journal.full"
    eventually(mark.exists, 90)
    written = len(agent.journal(1))
    assert written < BACKLOG_ITEMS
    assert agent.processes(1)
    await plane.recover()
    events = await plane.ended_well(1)
    assert [each.event for each in events].count("runner_item_on_ok") == BACKLOG_ITEMS


async def test_nats_killed_again_and_again_tells_every_event_once(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """A frame in flight when a server dies is sent again, and stands in the stream once."""
    many = "{name: many, debug: {msg: said}, loop: '{{ range(1500) | list }}'}"
    agent.start()
    await plane.order(1, play(many))
    for round_ in range(4):
        await _more(plane, 200 * round_)
        plane.server.kill()
        await plane.recover()
    events = await plane.ended_well(1)
    assert [each.event for each in events].count("runner_item_on_ok") == 1500


async def _more(plane: ControlPlane, count: int) -> None:
    async def there() -> bool:
        frames = await plane.frames(1)
        return bool(frames) and frames[-1].last > count

    await patiently(there)


async def test_an_agent_killed_while_it_drains_sends_no_frame_twice(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """A backlog interrupted anywhere is resumed at the stream's last frame."""
    many = "{name: many, debug: {msg: said}, loop: '{{ range(1500) | list }}'}"
    agent.start()
    await plane.order(1, play(GATE, many))
    await patiently(lambda: _at_gate(plane))
    agent.kill()
    (agent.directory(1) / "go").touch()
    eventually(lambda: not agent.processes(1), 90)
    for count in (100, 600, 1100):
        agent.start()
        await _more(plane, count)
        agent.kill()
    agent.start()
    events = await plane.ended_well(1)
    assert [each.event for each in events].count("runner_item_on_ok") == 1500
