"""A whole agent whose jobs run in containers: what it registers, and what its death leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runners.isolation import container
from runners.isolation.plan import Engine
from runners.process_tree import place_of
from runners.zygote_client import SupervisorHandle
from schemas.work import Apart, Image
from tests.runners import engine as containers
from tests.runners.agent_rig import AgentProcess, ControlPlane, patiently
from tests.runners.rig import play

pytestmark = pytest.mark.tier_podman


@pytest.fixture
def engine(directory: Path) -> Engine:
    """An engine with the tests' image."""
    return containers.make_engine(directory)


@pytest.fixture
def agent(directory: Path, plane: ControlPlane, engine: Engine) -> Iterator[AgentProcess]:
    """An agent that may use containers and nothing else."""
    settings = {"PLAYLOG_ISOLATION": "container", "PLAYLOG_CONTAINER_ENGINE": engine.program}
    conf = {"CONTAINERS_CONF": engine.env["CONTAINERS_CONF"]}
    agent = AgentProcess(directory / "runner", plane, **settings, **conf)
    yield agent
    agent.close()


async def test_an_agent_killed_and_a_supervisor_killed_leave_no_container(
    plane: ControlPlane, agent: AgentProcess, engine: Engine, directory: Path
) -> None:
    """The next agent follows the play in its container to the end, told once; then it is gone."""
    agent.start()
    shown = f"{directory}:{directory}:rw"
    apart = Apart(
        environment=Image(name="ee", image=containers.IMAGE, pull="never"),
        mounts=(shown,),
        options=("--network=host", *containers.BORROWED),
    )
    go = directory / "go"
    waits = f"{{shell: 'until [ -e {go} ]; do sleep 0.05; done', name: waits}}"
    says = "{command: printenv PLAYLOG_JOB_ISOLATION, name: says}"
    await plane.order(1, play(waits, says), apart=apart)
    await patiently(lambda: any(each.task == "waits" for each in agent.journal(1)))
    assert plane.registrations[-1].isolation == ("container",)
    agent.kill()
    _supervisor(agent).kill()
    agent.start()
    go.touch()
    told = await plane.finished(1)
    assert told.status == "successful", told
    events = await plane.events(1)
    assert [each.counter for each in events] == list(range(1, told.last_counter + 1))
    assert any(each.task == "says" and b'"container"' in bytes(each.event_data) for each in events)
    await patiently(lambda: agent.has_left(1))
    label = f"label={container.LABEL}={place_of(agent.directory(1))}"
    assert containers.podman(engine, "ps", "-a", "-q", "--filter", label) == ""


def _supervisor(agent: AgentProcess) -> SupervisorHandle:
    handle = SupervisorHandle.of(agent.directory(1))
    assert handle is not None
    return handle
