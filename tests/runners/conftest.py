"""Rigs that share one zygote."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from runners import process_tree
from runners.steps import workspace
from runners.zygote_client import Zygote
from tests.runners.agent_rig import AgentProcess, ControlPlane
from tests.runners.rig import Rig

_numbers = itertools.count(900_000)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """A zygote for the session."""
    zygote = Zygote()
    zygote.start()
    yield zygote
    zygote.stop()


@pytest.fixture
def new_rig(tmp_path: Path, zygote: Zygote) -> Iterator[Callable[[], Rig]]:
    """Makes rigs; whatever they leave behind is ended and removed."""
    rigs: list[Rig] = []

    def make() -> Rig:
        rigs.append(Rig(tmp_path, zygote, next(_numbers)))
        return rigs[-1]

    yield make
    for rig in rigs:
        if rig.handle is not None and rig.handle.is_alive():
            rig.handle.cancel()
            rig.handle.cancel()
        process_tree.sweep_marked(rig.dir)
        workspace.remove(rig.dir)


@pytest.fixture
def rig(new_rig: Callable[[], Rig]) -> Rig:
    """One rig."""
    return new_rig()


@pytest.fixture
async def plane(directory: Path) -> AsyncIterator[ControlPlane]:
    """A small control plane over a server with a deployment's users."""
    plane = ControlPlane(directory)
    await plane.start()
    yield plane
    await plane.stop()


@pytest.fixture
def agent(directory: Path, plane: ControlPlane) -> Iterator[AgentProcess]:
    """An agent's process, not started; whatever it leaves behind is ended and removed."""
    agent = AgentProcess(directory / "runner", plane)
    yield agent
    agent.close()
