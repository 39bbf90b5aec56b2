"""The agent takes what fits and is granted, and says how it went."""

from __future__ import annotations

import asyncio

import pytest

from schemas.work import Grant
from tests.runners.agent_rig import AgentProcess, ControlPlane, patiently
from tests.runners.rig import play
from tests.waiting import eventually

GREETS = play("{name: greets, debug: {msg: hello}}")
pytestmark = pytest.mark.timeout(240)
SLEEPS = play("{name: waits, command: sleep 600}")


async def test_an_order_becomes_a_record(plane: ControlPlane, agent: AgentProcess) -> None:
    """Start, every event, end and release are told once; the directory goes, the order too."""
    agent.start()
    await plane.order(1, GREETS, hosts=("one", "two"))
    events = await plane.ended_well(1)
    told = await plane.finished(1)
    assert [each.event for each in events][:2] == ["playbook_on_start", "playbook_on_play_start"]
    assert {each.host_name: each.host for each in events if each.event == "runner_on_ok"} == {
        "one": 100,
        "two": 101,
    }
    assert (told.rc, told.play_count, told.task_count) == (0, 1, 1)
    assert {name: each.ok for name, each in told.stats.items()} == {"one": 1, "two": 1}
    assert {each.name for each in told.phases} == {
        *("queue", "claim", "content", "turn", "spawn", "run", "publish")
    }
    await patiently(lambda: plane.released)
    await patiently(lambda: agent.has_left(1))
    assert await plane.has_orders(0)


async def test_work_is_pulled_only_when_it_fits(plane: ControlPlane, agent: AgentProcess) -> None:
    """What does not fit beside what runs stays in the stream, unclaimed, until there is room."""
    plane.capacity = 4
    agent.start()
    await patiently(lambda: plane.registrations)
    await plane.order(1, SLEEPS, impact=3)
    await patiently(lambda: agent.processes(1))
    await plane.order(2, GREETS, impact=2)
    await plane.order(3, GREETS, impact=1)
    await plane.ended_well(3)
    assert [each.job for each in plane.claims] == [1, 3]
    await plane.cancel(1)
    assert (await plane.finished(1)).status == "canceled"
    await plane.ended_well(2)
    await patiently(lambda: _used(plane, 0))


async def _used(plane: ControlPlane, units: int) -> bool:
    return (await plane.presence()).used == units


async def test_a_refused_claim_drops_the_order(plane: ControlPlane, agent: AgentProcess) -> None:
    """Nothing is started, nothing reported and nothing kept of an attempt that is not granted."""
    plane.grants[1] = Grant(granted=False, reason="canceled")
    agent.start()
    await plane.order(1, GREETS)
    await patiently(lambda: plane.claims)
    await patiently(lambda: plane.has_orders(0))
    await plane.order(2, GREETS)
    await plane.ended_well(2)
    assert [each.job for each in plane.claims] == [1, 2]
    assert await plane.reports(1) == []
    assert not agent.directory(1).exists()


async def test_a_lost_answer_is_asked_for_again(plane: ControlPlane, agent: AgentProcess) -> None:
    """The first answer may have been a grant: the claim is repeated, the job started once."""
    plane.deaf = 1
    agent.start()
    await plane.order(1, GREETS)
    await plane.ended_well(1)
    assert len(plane.claims) == 2


async def test_an_agent_killed_while_it_asks_asks_again(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """The claim may have been granted: the next agent knows of it without the order."""
    plane.deaf = 1
    agent.start()
    await plane.order(1, GREETS)
    await patiently(lambda: plane.claims)
    agent.kill()
    await plane.drop_orders()
    agent.start()
    await plane.ended_well(1)


async def test_an_undecided_claim_is_asked_until_it_is(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """A control plane that cannot decide now is asked again; the order is not given away."""
    plane.grants[1] = Grant(granted=False, retry=True, reason="Postgres is away")
    agent.start()
    await plane.order(1, GREETS)
    await patiently(lambda: len(plane.claims) > 2)
    del plane.grants[1]
    await plane.ended_well(1)
    await patiently(lambda: plane.has_orders(0))


async def test_missing_content_is_an_error_that_names_it(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """A job whose project is not in the log ends as error, with the cause, without a start."""
    agent.start()
    await plane.order(1, GREETS, run={"project_content": "0" * 64})
    told = await plane.finished(1)
    assert (told.status, told.started) == ("error", None)
    assert "project" in told.explanation
    assert "0" * 64 in told.explanation
    await patiently(lambda: agent.has_left(1))


async def test_a_stopped_agent_leaves_the_playbook_to_the_next(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """SIGTERM ends the agent cleanly and no job; the next one takes its place."""
    agent.start()
    await plane.order(1, play("{name: one, debug: {msg: one}}", "{name: naps, command: sleep 3}"))
    await patiently(lambda: plane.events(1))
    assert agent.stop() == 0
    assert agent.processes(1) != []
    assert await plane.has_orders(0)
    agent.start()
    events = await plane.ended_well(1)
    assert events[-1].event == "playbook_on_stats"


async def test_time_limits_leave_no_process(plane: ControlPlane, agent: AgentProcess) -> None:
    """A job over its time, or silent, fails with AWX's words; nothing of it lives on."""
    agent.start()
    await plane.order(1, SLEEPS, timeout_s=2)
    await plane.order(2, SLEEPS, idle_timeout_s=2)
    over, silent = await plane.finished(1), await plane.finished(2)
    assert (over.status, over.explanation) == ("failed", "Job terminated due to timeout")
    assert silent.status == "failed"
    assert "no output for 2 seconds" in silent.explanation
    assert agent.processes(1) + agent.processes(2) == []
    await patiently(lambda: agent.has_left(1) and agent.has_left(2))


async def test_a_cancel_is_carried_out_while_nats_is_away(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """A cancel that was taken is carried out and told, however NATS fares meanwhile."""
    agent.start()
    await plane.order(1, SLEEPS)
    await patiently(lambda: agent.processes(1))
    assert await plane.cancel(1) == b"signalled"
    plane.server.kill()
    eventually(lambda: not agent.processes(1), 40)
    await plane.recover()
    told = await plane.finished(1)
    assert told.status == "canceled"
    await patiently(lambda: agent.has_left(1))


async def test_an_erased_attempt_is_dropped(plane: ControlPlane, agent: AgentProcess) -> None:
    """The record of a job that was deleted meanwhile is not told again, its playbook ended."""
    agent.start()
    await plane.order(1, SLEEPS)
    await patiently(lambda: plane.events(1))
    agent.kill()
    await plane.erase(1)
    agent.start()
    await patiently(lambda: plane.released)
    await patiently(lambda: agent.has_left(1))
    assert [frame.erased for frame in await plane.frames(1)] == [True]
    await plane.order(2, GREETS)
    await plane.ended_well(2)


async def test_the_agent_gives_up_a_connection_that_ended_for_good(agent: AgentProcess) -> None:
    """When NATS closes with an error, the agent ends with one too rather than live on deaf."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"s","version":"2.14.0","nonce":"n","headers":true}\r\n')
        while not (await reader.readline()).startswith(b"PING"):
            pass
        writer.write(b"PONG\r\n-ERR 'Authentication Timeout'\r\n")

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    agent.start(PLAYLOG_NATS_URL=f"nats://127.0.0.1:{port}")
    assert await asyncio.to_thread(agent.wait) != 0
    server.close()
