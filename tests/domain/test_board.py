"""The dispatcher's board: what it folds, and that a snapshot with its tail is the whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.domain import dispatch
from controlplane.domain.board import FETCHED_KEPT, OUTCOMES_KEPT, Board
from controlplane.domain.decider import fold
from controlplane.domain.job import JOB, Launch, Place
from controlplane.domain.placement import Placed
from controlplane.processes.work_order import order_of
from schemas import subjects
from schemas.envelope import Recorded
from schemas.events.instance import InstanceAdjusted, InstanceRegistered, InstanceUnavailable
from schemas.events.job import (
    JobClaimed,
    JobFinished,
    JobPlaced,
    PlaybookLaunch,
    ProjectContent,
    ProjectUpdateLaunch,
)
from schemas.events.resource import ResourceCreated, ResourceDeleted, ResourceUpdated
from schemas.events.setting import SETTINGS_ID, SettingsChanged
from schemas.registry import Event
from schemas.work import PlaybookRun, ProjectSync
from tests.domain.test_job_laws import COMMANDS, decided
from tests.factories import NOW, context, launched, update_launched

GIB = 1 << 30
PLACED = JobPlaced(attempt=1, group="default", work_class=4)


class Log:
    """Builds records in stream order and applies them to a board."""

    def __init__(self) -> None:
        self.board = Board()
        self._jobs = self._config = 0

    def job(self, number: int, *events: Event) -> Board:
        """Append to a job."""
        self._jobs += 1
        self.board.apply_job(recorded(self._jobs, subjects.job(number), *events))
        return self.board

    def config(self, kind: str, number: int, *events: Event) -> Board:
        """Append to CONFIG."""
        self._config += 1
        self.board.apply_config(recorded(self._config, subjects.config(kind, number), *events))
        return self.board

    def runner(self, name: str, number: int) -> Board:
        """Register a runner of eight forks."""
        event = InstanceRegistered(
            id=number,
            hostname=name,
            uuid=name,
            node_type="execution",
            groups=("default",),
            cpu=2.0,
            memory=3 * GIB,
            version="1",
            at=NOW,
        )
        return self.config("instance", number, event)


def recorded(sequence: int, subject: str, *events: Event) -> Recorded:
    """One stored transaction."""
    made = context(f"m{sequence}")
    return Recorded(sequence=sequence, subject=subject, context=made, keys=(), events=events)


def _decisions(board: Board) -> dict[int, Any]:
    return {each.job: each for each in board.decisions(NOW)}


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(1, 3), COMMANDS), max_size=40),
    st.integers(0, 40),
)
def test_a_snapshot_and_the_tail_are_the_whole(steps: list[Any], cut: int) -> None:
    """Wherever the snapshot was taken: after it was stored and read, the tail leads to the same."""
    states: dict[int, Any] = {}
    records: list[Recorded] = []
    for job, command in steps:
        if isinstance(command, Launch):
            named = msgspec.structs.replace(command.launched, id=job)
            command = Launch(launched=named)  # noqa: PLW2901 - each job under its own id
        events = decided(command, states.get(job, JOB.initial))
        if events:
            states[job] = fold(JOB, events, states.get(job, JOB.initial))
            records.append(recorded(len(records) + 1, subjects.job(job), *events))
    whole, early = Board(), Board()
    for record in records:
        whole.apply_job(record)
    for record in records[:cut]:
        early.apply_job(record)
    late = msgspec.json.decode(msgspec.json.encode(early), type=Board)
    for record in records[cut:]:
        late.apply_job(record)
    assert late == whole
    assert set(whole.active) == {job for job, state in states.items() if state.active}


def test_a_run_waits_for_the_first_update_of_its_project() -> None:
    """It was launched before the project had any content; a manual project needs none."""
    log = Log()
    log.runner("r1", 1)
    log.config("project", 2, ResourceCreated(kind="project", id=2, values={"scm_type": "git"}))
    log.job(1, launched(1))
    held = _decisions(log.board)[1]
    assert (held.rule, held.explanation) == (
        "dependency",
        "waiting for the first update of project 2",
    )
    log.job(2, update_launched(2))
    ended = JobFinished(status="successful", finished=NOW, attempt=1, content="c", revision="r")
    log.job(2, PLACED, JobClaimed(attempt=1, runner="r1"), ended)
    assert _decisions(log.board)[1].group == "default"
    assert log.board.projects[2].content == "c"
    manual = Log()
    manual.runner("r1", 1)
    manual.config("project", 2, ResourceCreated(kind="project", id=2, values={"scm_type": ""}))
    manual.job(1, launched(1))
    assert _decisions(manual.board)[1].group == "default"


def test_a_run_fails_when_its_project_has_nothing() -> None:
    """A failed update leaves the content of the one before; without any there is nothing to run."""
    log = Log()
    log.job(1, launched(1))
    log.job(2, update_launched(2), JobFinished(status="failed", finished=NOW))
    assert "Missing a revision" in log.board.unmet(launched(1))
    log.job(3, update_launched(3))
    log.job(3, JobFinished(status="successful", finished=NOW, content="c", revision="r"))
    log.job(4, update_launched(4), JobFinished(status="failed", finished=NOW))
    assert log.board.unmet(launched(1)) == ""
    assert log.board.projects[2].content == "c"


def test_a_dependency_that_failed_ends_the_job() -> None:
    """In AWX's words; one that ended well does not."""
    log = Log()
    for job, status in ((1, "failed"), (2, "successful")):
        log.job(job, launched(job), JobFinished(status=status, finished=NOW))
    assert log.board.unmet(launched(5, waits_for=(1,))).startswith("Previous Task Failed")
    assert log.board.unmet(launched(5, waits_for=(2,))) == ""


def test_what_a_deletion_took_is_named() -> None:
    """As a person reads it; what still stands is not."""
    log = Log()
    deleted = ResourceDeleted(kind="job_template", id=7)
    assert log.board.gone(launched()) == ""
    assert log.config("job_template", 7, deleted).gone(launched()) == "job template 7"


def test_only_so_many_outcomes_are_kept() -> None:
    """The oldest go first."""
    log = Log()
    ended = JobFinished(status="successful", finished=NOW)
    for job in range(1, OUTCOMES_KEPT + 3):
        log.job(job, launched(job, record=_bare()), ended)
    assert len(log.board.outcomes) == OUTCOMES_KEPT
    assert min(log.board.outcomes) == 3


def test_what_a_job_waits_for_is_kept_while_it_waits() -> None:
    """However many updates end meanwhile; once it has ended that is forgotten as any other."""
    log = Log()
    brought = JobFinished(status="successful", finished=NOW, content="own", revision="r")
    record = msgspec.structs.replace(_bare(), project=2, project_update=1)
    log.job(1, update_launched(1))
    log.job(9, launched(9, record=record, waits_for=(1,)))
    log.job(1, brought)
    for job in range(10, FETCHED_KEPT + 12):
        log.job(job, update_launched(job, project=4), brought)
    found = log.board.content_of(record)
    assert found is not None
    assert found.content == "own"
    assert log.board.unmet(launched(9, record=record, waits_for=(1,))) == ""
    assert len(log.board.fetched) == FETCHED_KEPT
    log.job(9, JobFinished(status="canceled", finished=NOW))
    log.job(5, update_launched(5), brought)
    assert 1 not in log.board.fetched
    assert log.board.awaited == {}


def test_deleted_hosts_and_groups_are_not_remembered() -> None:
    """No job names them, and an import may delete ten thousand of them each day."""
    log = Log()
    for kind in ("host", "group", "inventory"):
        log.config(kind, 3, ResourceDeleted(kind=kind, id=3))
    assert log.board.deleted == {"inventory:3"}


def _bare() -> PlaybookLaunch:
    return PlaybookLaunch(job_template=7, inventory=3, project=None, playbook="site.yml")


def test_a_placement_is_claimable_while_its_runner_may_take_it() -> None:
    """Gone, disabled or never there: then nobody will come for it."""
    log = Log()
    anyone = log.job(1, launched(1), PLACED).active[1]
    own = JobPlaced(attempt=1, group="default", work_class=4, runner="r1")
    reserved = log.job(2, launched(2), own).active[2]
    assert log.board.unclaimable(anyone) == "No enabled runner is present in default."
    assert "r1" in log.board.unclaimable(reserved)
    log.runner("r1", 1)
    assert log.board.unclaimable(anyone) == log.board.unclaimable(reserved) == ""
    log.runner("r2", 2)
    log.config("instance", 1, InstanceUnavailable(id=1, at=NOW, reason="lapsed"))
    assert log.board.unclaimable(anyone) == ""
    assert "r1" in log.board.unclaimable(reserved)
    log.config("instance", 2, InstanceAdjusted(id=2, enabled=False, capacity_adjustment=1.0))
    assert log.board.unclaimable(anyone) == "No enabled runner is present in default."


def test_work_orders_are_made_with_what_is_set() -> None:
    """Variables and default times reach an order; a template's own time goes before them."""
    board = Board()
    values = {
        "AWX_TASK_ENV": {"HTTP_PROXY": "p:1"},
        "DEFAULT_JOB_TIMEOUT": 60,
        "DEFAULT_JOB_IDLE_TIMEOUT": 7,
        "DEFAULT_PROJECT_UPDATE_TIMEOUT": 90,
        "MAX_FORKS": 3,
    }
    subject = subjects.config("setting", SETTINGS_ID)
    assert board.apply_config(recorded(1, subject, SettingsChanged(values=values)))
    order = order_of(launched(), PLACED, board.setting)
    assert (order.timeout_s, order.idle_timeout_s) == (60, 7)
    assert order.env == {"HTTP_PROXY": "p:1"}
    assert order_of(launched(timeout_s=5), PLACED, board.setting).timeout_s == 5
    assert order_of(launched(timeout_s=-1), PLACED, board.setting).timeout_s == 0
    assert order_of(update_launched(), PLACED, board.setting).timeout_s == 90
    reset = SettingsChanged(reset=("AWX_TASK_ENV", "DEFAULT_JOB_TIMEOUT", "MAX_FORKS"))
    assert board.apply_config(recorded(2, subject, reset))
    order = order_of(launched(), PLACED, board.setting)
    assert (order.timeout_s, order.env) == (0, {})
    assert not board.apply_config(recorded(3, subject, SettingsChanged(values={"MAX_FORKS": 4})))
    later = msgspec.json.decode(msgspec.json.encode(board), type=Board)
    assert later.setting("DEFAULT_PROJECT_UPDATE_TIMEOUT") == 90


def test_an_update_is_told_what_administrators_set() -> None:
    """What is installed, from where it may come, how much is told; a sync deletes nothing."""
    board = Board()
    payload = order_of(update_launched(), PLACED, board.setting).payload
    assert isinstance(payload, ProjectSync)
    assert (payload.roles_enabled, payload.collections_enabled, payload.verbosity) == (
        True,
        True,
        0,
    )
    values = {
        "AWX_ROLES_ENABLED": False,
        "GALAXY_IGNORE_CERTS": True,
        "GALAXY_TASK_ENV": {"X": "1"},
        "PROJECT_UPDATE_VVV": True,
        "AWX_SHOW_PLAYBOOK_LINKS": True,
    }
    subject = subjects.config("setting", SETTINGS_ID)
    board.apply_config(recorded(1, subject, SettingsChanged(values=values)))
    update = update_launched()
    assert isinstance(update.record, ProjectUpdateLaunch)
    record = msgspec.structs.replace(
        update.record, scm_delete_on_update=True, signature_validation_credential=4
    )
    deleting = order_of(update_launched(record=record), PLACED, board.setting).payload
    assert deleting == ProjectSync(
        project=2,
        scm_type="git",
        scm_url="file:///repo",
        scm_delete_on_update=True,
        validate=True,
        roles_enabled=False,
        collections_enabled=True,
        galaxy_env={"X": "1"},
        galaxy_ignore_certs=True,
        follow_links=True,
        verbosity=3,
    )
    record = msgspec.structs.replace(record, job_type="run")
    sync = order_of(update_launched(record=record), PLACED, board.setting).payload
    assert isinstance(sync, ProjectSync)
    assert not sync.scm_delete_on_update


@pytest.mark.parametrize(
    ("setting", "kept", "expected"),
    [
        ("template", ("own",), ("own",)),
        ("template", None, None),
        ("never", ("own",), ()),
        ("always", ("own",), None),
    ],
)
def test_a_setting_says_which_variables_may_hold_templates(
    setting: str, kept: tuple[str, ...] | None, expected: tuple[str, ...] | None
) -> None:
    """The template's own, none, or all; of a record that kept none it is not known."""
    board = Board()
    changed = SettingsChanged(values={"ALLOW_JINJA_IN_EXTRA_VARS": setting})
    board.apply_config(recorded(1, subjects.config("setting", SETTINGS_ID), changed))
    launch = launched()
    assert isinstance(launch.record, PlaybookLaunch)
    record = msgspec.structs.replace(launch.record, template_vars=kept)
    order = order_of(launched(record=record), PLACED, board.setting)
    assert isinstance(order.payload, PlaybookRun)
    assert order.payload.jinja_vars == expected


def test_limits_of_groups_are_known_from_their_resources() -> None:
    """A group is created, limited, renamed and deleted; jobs are held by what holds now."""
    log = Log()
    log.runner("r1", 1)
    values = {"name": "default", "max_concurrent_jobs": 0, "max_forks": 0, "policy": 1}
    log.config("instance_group", 2, ResourceCreated(kind="instance_group", id=2, values=values))
    for number in (1, 2):
        record = PlaybookLaunch(job_template=number, inventory=3, project=None, playbook="p")
        log.job(number, launched(number, template=number, record=record, impact=1))
    limit = ResourceUpdated(kind="instance_group", id=2, changes={"max_concurrent_jobs": 1})
    found = _decisions(log.config("instance_group", 2, limit))
    assert found[2].explanation == "default runs at most 1 jobs at a time."
    gone = ResourceDeleted(kind="instance_group", id=2)
    assert isinstance(_decisions(log.config("instance_group", 2, gone))[2], Placed)


def test_a_job_runs_the_content_that_is_its_own() -> None:
    """Pinned at launch, of its sync, else the project's newest; a sync changes nothing of that."""
    log = Log()
    log.runner("r1", 1)
    ended = JobFinished(status="successful", finished=NOW, content="main", revision="m")
    log.job(1, update_launched(1), ended)
    sync = update_launched(2)
    assert isinstance(sync.record, ProjectUpdateLaunch)
    sync = msgspec.structs.replace(
        sync, record=msgspec.structs.replace(sync.record, job_type="run"), impact=0
    )
    log.job(2, sync)
    record = launched(3).record
    assert isinstance(record, PlaybookLaunch)
    own = msgspec.structs.replace(record, project_update=2, job_template=8)
    pinned = ProjectContent(content="pinned", revision="p", galaxy="g")
    log.job(3, launched(3, record=own, waits_for=(2,), template=8))
    log.job(4, launched(4))
    log.job(5, launched(5, record=msgspec.structs.replace(record, pinned=pinned), template=9))
    assert _decisions(log.board)[3].explanation == "waiting for projectupdate-2 to finish"
    assert isinstance(_decisions(log.board)[4], Placed)
    brought = JobFinished(
        status="successful", finished=NOW, content="topic", revision="t", galaxy="required"
    )
    log.job(2, PLACED, JobClaimed(attempt=1, runner="r1"), brought)
    places = {
        job: command
        for job, command in dispatch.commands(log.board, NOW)
        if isinstance(command, Place)
    }
    contents = {
        job: (each.project_content, each.scm_revision, each.galaxy_content)
        for job, each in places.items()
    }
    assert contents == {
        3: ("topic", "t", "required"),
        4: ("main", "m", ""),
        5: ("pinned", "p", "g"),
    }
    assert log.board.projects[2].revision == "m"


def test_a_failed_dependency_is_named_as_in_awx() -> None:
    """With its type, name and id; a canceled one as such; a sync that brought nothing too."""
    log = Log()
    log.job(1, update_launched(1, name="site"), JobFinished(status="failed", finished=NOW))
    log.job(2, update_launched(2, name="site"), JobFinished(status="canceled", finished=NOW))
    told = '{"job_type": "project_update", "job_name": "site", "job_id": "%s"}'
    assert log.board.unmet(launched(5, waits_for=(1,))) == f"Previous Task Failed: {told % 1}"
    assert log.board.unmet(launched(5, waits_for=(2,))) == f"Previous Task Canceled: {told % 2}"
    record = launched().record
    assert isinstance(record, PlaybookLaunch)
    lost = msgspec.structs.replace(record, project_update=3)
    log.job(3, update_launched(3), JobFinished(status="successful", finished=NOW))
    assert log.board.unmet(launched(6, record=lost)) == "Project update 3 brought nothing."
