"""Which environment a job runs in, which runners may be given it, and how one keeps it apart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controlplane.domain import claiming
from controlplane.domain.board import Board
from controlplane.domain.errors import Refused
from controlplane.domain.isolation import Environments
from controlplane.domain.job import Claim
from controlplane.domain.placement import HeldBack, Placed
from controlplane.domain.reporting import Heard
from controlplane.processes.work_order import order_of
from runners.isolation.plan import Abilities, Engine, Isolation, plan
from schemas.events.instance import InstanceRegistered
from schemas.events.job import Environment, JobPlaced
from schemas.events.setting import SETTINGS_ID, SettingsChanged
from schemas.work import Apart, ClaimRequest, Image, Limits
from tests.domain.test_board import Log
from tests.factories import NOW, launched, update_launched

ENVIRONMENT = Environment(id=4, name="ee", image="registry.test/ee:1", pull="missing")
PLACED = JobPlaced(attempt=1, group="default", work_class=4)
ENGINE = Engine(program="/usr/bin/podman")


def test_the_nearest_environment_holds() -> None:
    """Job before project, organization, inventory's organization, installation; or none at all."""
    names = ("job", "project", "organization", "inventory", "installation")
    for index, name in enumerate(names):
        below: dict[str, Any] = {each: 10 + place for place, each in enumerate(names)}
        chosen = {each: below[each] for each in names[index:]}
        assert Environments(**chosen).resolved() == below[name]
    assert Environments().resolved() is None


def _log(required: str, **isolation: tuple[str, ...]) -> Log:
    """A floor that requires isolation, with runners by what they can."""
    log = Log()
    log.config("setting", SETTINGS_ID, SettingsChanged(values={"ISOLATION_REQUIRED": required}))
    for number, (name, able) in enumerate(isolation.items(), 1):
        _register(log, name, number, able)
    return log


def _register(log: Log, name: str, number: int, able: tuple[str, ...]) -> Board:
    log.runner(name, number)
    found = log.board.instances[number]
    fields = {each: getattr(found, each) for each in ("id", "hostname", "uuid", "groups", "cpu")}
    fields |= {"memory": found.memory, "version": "1", "node_type": "execution"}
    event = InstanceRegistered(**fields, isolation=able, at=NOW)
    return log.config("instance", number, event)


def _decision(log: Log, **changes: Any) -> Placed | HeldBack:
    log.config("project", 2)
    log.job(1, launched(1, record=msgspec.structs.replace(launched().record, project=None)))
    job = msgspec.structs.replace(log.board.active[1].launched or launched(), **changes)
    log.board.active[1] = msgspec.structs.replace(log.board.active[1], launched=job)
    (decision,) = log.board.decisions(NOW)
    return decision


def test_a_job_waits_for_a_runner_that_can_isolate_it() -> None:
    """Held by the rule ``isolation`` with what is needed; placed once such a runner registers."""
    log = _log("environment", r1=("sandbox",))
    held = _decision(log, environment=ENVIRONMENT)
    assert isinstance(held, HeldBack)
    assert held.rule == "isolation"
    assert held.explanation == (
        "No enabled runner in default can isolate this job: one with a container engine is needed."
    )
    _register(log, "r2", 2, ("container", "sandbox"))
    (placed,) = log.board.decisions(NOW)
    assert isinstance(placed, Placed)
    assert placed.runner == "r2", "another member of the group would be offered it too"


@pytest.mark.parametrize(
    ("required", "able", "environment", "placed"),
    [
        ("", (), ENVIRONMENT, True),
        ("sandbox", (), None, False),
        ("sandbox", ("container",), None, False),
        ("sandbox", ("sandbox",), ENVIRONMENT, True),
        ("sandbox", ("container",), ENVIRONMENT, True),
        ("environment", ("sandbox",), None, True),
        ("environment", ("sandbox",), ENVIRONMENT, False),
        ("environment", ("container",), ENVIRONMENT, True),
    ],
)
def test_what_is_required_decides(
    required: str, able: tuple[str, ...], environment: Environment | None, *, placed: bool
) -> None:
    """Every combination; where all of a group can, the order goes to all of them."""
    decision = _decision(_log(required, r1=able), environment=environment)
    assert isinstance(decision, Placed) == placed
    if isinstance(decision, Placed):
        assert decision.runner is None


def test_a_project_update_needs_nothing() -> None:
    """It runs git, and none of the project's code."""
    log = _log("environment", r1=())
    log.job(1, update_launched(1))
    (decision,) = log.board.decisions(NOW)
    assert isinstance(decision, Placed)


def test_a_runner_that_cannot_is_refused_the_claim() -> None:
    """Placed before the requirement was set: its placement is taken back, its claim refused."""
    log = _log("", r1=())
    job = launched(1)
    log.job(1, job, PLACED)
    request = ClaimRequest(runner="r1", job=1, attempt=1, sealing_key="")
    asked = claiming.Asked(request=request, state=log.board.active[1], heard=Heard.NOTHING, at=NOW)
    assert isinstance(claiming.verdict(asked, log.board), Claim)
    assert log.board.unclaimable(log.board.active[1]) == ""
    log.config("setting", SETTINGS_ID, SettingsChanged(values={"ISOLATION_REQUIRED": "sandbox"}))
    with pytest.raises(Refused):
        claiming.verdict(asked, log.board)
    assert "bubblewrap" in log.board.unclaimable(log.board.active[1])


def test_an_order_carries_how_its_job_is_kept_apart() -> None:
    """The environment as launched, the settings of now; a project update is shown paths alone."""
    values = {
        "ISOLATION_REQUIRED": "sandbox",
        "AWX_ISOLATION_SHOW_PATHS": ["/srv/data:/data:ro"],
        "DEFAULT_CONTAINER_RUN_OPTIONS": ["--network=host"],
        "JOB_MEMORY_MAX_MB": 512,
        "JOB_PROCESSES_MAX": 200,
        "JOB_CPU_PERCENT_MAX": 150,
    }
    order = order_of(launched(environment=ENVIRONMENT), PLACED, _settings(values))
    assert order.apart == Apart(
        environment=Image(name="ee", image="registry.test/ee:1", pull="missing"),
        required="sandbox",
        mounts=("/srv/data:/data:ro",),
        options=("--network=host",),
        limits=Limits(memory_bytes=512 * 1024 * 1024, processes=200, cpu_percent=150),
    )
    shown = Apart(mounts=("/srv/data:/data:ro",))
    assert order_of(update_launched(), PLACED, _settings(values)).apart == shown


def _settings(values: dict[str, Any]) -> Any:
    board = Board(settings=values)
    return board.setting


NAMED = Apart(environment=Image(name="ee", image="registry.test/ee:1"))


@pytest.mark.parametrize(
    ("wanted", "able", "mode", "words"),
    [
        (NAMED, Abilities(engine=ENGINE, sandbox="bwrap"), "container", ""),
        (NAMED, Abilities(sandbox="bwrap"), "sandbox", "'ee' is not used"),
        (NAMED, Abilities(), "none", "as a plain process"),
        (Apart(), Abilities(engine=ENGINE, sandbox="bwrap"), "sandbox", ""),
        (Apart(), Abilities(engine=ENGINE), "none", ""),
    ],
)
def test_a_runner_keeps_a_job_apart_as_well_as_it_can(
    wanted: Apart, able: Abilities, mode: str, words: str
) -> None:
    """In its environment where there is an engine, else in a sandbox; and says when it is less."""
    found = plan(wanted, able)
    assert found.mode == mode
    assert bool(found.note) == bool(words)
    assert words in found.note
    assert not found.refused


def test_a_runner_runs_nothing_less_isolated_than_required() -> None:
    """Whatever was placed: it refuses rather than runs a plain process."""
    required = msgspec.structs.replace(NAMED, required="environment")
    assert "execution environment 'ee'" in plan(required, Abilities(sandbox="bwrap")).refused
    sandboxed = msgspec.structs.replace(NAMED, required="sandbox")
    assert plan(sandboxed, Abilities()).refused == "This runner cannot isolate jobs"
    assert plan(sandboxed, Abilities(sandbox="bwrap")).refused == ""
    assert isinstance(plan(required, Abilities(engine=ENGINE)), Isolation)
