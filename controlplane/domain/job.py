"""The lifecycle of any unified job: the only place that names a next status.

``new → pending → waiting → running → successful | failed | error | canceled`` (AWX 4.1). Attempts
fence: a report or claim of an attempt that the job has left changes nothing. Every command repeated
on the state it led to yields no events.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec
from msgspec import Struct

from controlplane.domain.decider import Decider
from controlplane.domain.errors import NotFound, Refused
from schemas.events.job import (
    RUN_BY_RUNNERS,
    InventoryUpdateLaunch,
    JobCancelDelivered,
    JobCancelRequested,
    JobClaimed,
    JobDeleted,
    JobEvent,
    JobFinished,
    JobHeld,
    JobLaunched,
    JobLost,
    JobPlaced,
    JobRecordCompleted,
    JobRecovered,
    JobRequeued,
    JobStarted,
    kind_of,
)
from schemas.output import AttemptFinished
from schemas.status import ACTIVE, TERMINAL, Status


class JobState(Struct, frozen=True, kw_only=True):
    """What a job's history says of it now."""

    launched: JobLaunched | None = None
    status: Status = Status.NEW
    explanation: str = ""
    rule: str = ""
    attempt: int = 0
    """The newest attempt; 0 before the first placement."""
    placed: JobPlaced | None = None
    runner: str | None = None
    """Who holds the attempt; None before a claim."""
    started: bool = False
    cancel_requested: bool = False
    cancel_delivered: bool = False
    cancel_explanation: str = ""
    lost: bool = False
    lost_attempts: int = 0
    """Attempts that a runner held and that were given up."""
    ended_attempt: int = 0
    last_counter: int = 0
    content: str = ""
    galaxy: str = ""
    revision: str = ""
    deleted: bool = False

    @property
    def active(self) -> bool:
        """True until the job has ended."""
        return self.launched is not None and self.status in ACTIVE


class Launch(Struct, frozen=True, kw_only=True):
    """Make the job."""

    launched: JobLaunched


class Hold(Struct, frozen=True, kw_only=True):
    """Say why the job stays pending."""

    rule: str
    explanation: str


class Place(Struct, frozen=True, kw_only=True):
    """Give the job its next attempt on a group."""

    group: str
    work_class: int
    runner: str | None = None
    project_content: str = ""
    galaxy_content: str = ""
    scm_revision: str = ""
    inventory_content: str = ""
    inputs: tuple[str, ...] = ()
    jobs_position: int = 0


class Withdraw(Struct, frozen=True, kw_only=True):
    """Nobody can or did take the placed attempt: the job is placed anew."""

    attempt: int
    explanation: str


class Begin(Struct, frozen=True, kw_only=True):
    """The control plane itself takes up a job that no runner runs."""

    runner: str
    at: datetime


class Conclude(Struct, frozen=True, kw_only=True):
    """A job that the control plane runs itself, and that reports nothing, has come to its end."""

    status: Status
    at: datetime
    explanation: str = ""


class Claim(Struct, frozen=True, kw_only=True):
    """A runner wants to start an attempt."""

    attempt: int
    runner: str


class ReportStarted(Struct, frozen=True, kw_only=True):
    """A runner has started an attempt."""

    attempt: int
    runner: str
    at: datetime


class ReportFinished(Struct, frozen=True, kw_only=True):
    """A runner has ended an attempt and all its events are stored.

    An inventory update that went well ends only once what it read is ``imported``.
    """

    attempt: int
    report: AttemptFinished
    imported: bool = False


class RequestCancel(Struct, frozen=True, kw_only=True):
    """Somebody wants the job to end."""

    requested_by: str
    at: datetime
    explanation: str = ""


class ConfirmCancel(Struct, frozen=True, kw_only=True):
    """The runner has signalled the process."""

    attempt: int
    runner: str


class MarkLost(Struct, frozen=True, kw_only=True):
    """The runner's presence lapsed."""

    runner: str
    explanation: str


class MarkRecovered(Struct, frozen=True, kw_only=True):
    """The runner is back and still holds the attempt."""

    attempt: int
    runner: str


class GiveUp(Struct, frozen=True, kw_only=True):
    """The grace of a lost runner has passed: end the job or try again, as its policy says."""

    attempt: int
    at: datetime
    explanation: str
    unstarted: bool = False
    """Its runner is there, does not hold it and never reported: nothing of it has run."""


class Fail(Struct, frozen=True, kw_only=True):
    """The job cannot be run: what it needs is gone or its dependency failed."""

    at: datetime
    explanation: str
    status: Status = Status.ERROR
    holder: str | None = None
    """The runner that asks for its attempt (again), so has not started it."""


class Delete(Struct, frozen=True, kw_only=True):
    """Take an ended job out of every read model."""

    requested_by: str = ""


JobCommand = (
    Launch
    | Hold
    | Place
    | Withdraw
    | Begin
    | Conclude
    | Claim
    | ReportStarted
    | ReportFinished
    | RequestCancel
    | ConfirmCancel
    | MarkLost
    | MarkRecovered
    | GiveUp
    | Fail
    | Delete
)

INITIAL = JobState()
LOST_ATTEMPTS_MAX = 3
"""A job whose runner is lost so often is not tried again: it may be what ends the runners."""
UNASKED = "The job was told to end on its runner, though nobody had canceled it."
CANNOT_DELETE = {"detail": "Cannot delete running job resource."}


def run_by_runner(state: JobState) -> bool:
    """True for a job of a kind that runners run; the control plane runs the others itself."""
    launched = state.launched
    return launched is not None and kind_of(launched.record) in RUN_BY_RUNNERS


def decide(command: JobCommand, state: JobState) -> tuple[JobEvent, ...]:
    """Return what a command leads to; raises NotFound or Refused and nothing else."""
    if isinstance(command, Launch):
        return () if state.launched is not None else (command.launched,)
    if state.launched is None or state.deleted:
        raise NotFound("Unified Job")
    match command:
        case Hold() | Place() | Withdraw() | Claim() | Begin() | Conclude():
            return _decide_placement(command, state)
        case ReportStarted() | ReportFinished():
            return _decide_report(command, state)
        case RequestCancel() | ConfirmCancel():
            return _decide_cancel(command, state)
        case MarkLost() | MarkRecovered() | GiveUp():
            return _decide_loss(command, state)
        case Fail():
            return _fail(command, state)
        case Delete():
            if state.active:
                raise Refused(CANNOT_DELETE, 403)
            return (JobDeleted(requested_by=command.requested_by),)
        case _:
            assert_never(command)


def evolve(state: JobState, event: JobEvent) -> JobState:
    """Return the state behind an event."""
    match event:
        case JobLaunched() | JobHeld() | JobPlaced() | JobClaimed() | JobStarted():
            return _progressed(state, event)
        case JobCancelRequested() | JobCancelDelivered() | JobLost() | JobRecovered():
            return _disturbed(state, event)
        case JobRequeued():
            return _requeued(state, event)
        case JobFinished():
            return _finished(state, event)
        case JobRecordCompleted():
            return msgspec.structs.replace(state, last_counter=event.last_counter)
        case JobDeleted():
            return msgspec.structs.replace(state, deleted=True)
        case _:
            assert_never(event)


def _progressed(
    state: JobState, event: JobLaunched | JobHeld | JobPlaced | JobClaimed | JobStarted
) -> JobState:
    match event:
        case JobLaunched():
            return msgspec.structs.replace(state, launched=event, status=Status.PENDING)
        case JobHeld():
            return msgspec.structs.replace(state, rule=event.rule, explanation=event.explanation)
        case JobPlaced():
            return _placed(state, event)
        case JobClaimed():
            return msgspec.structs.replace(state, runner=event.runner)
        case JobStarted():
            return msgspec.structs.replace(state, status=Status.RUNNING, started=True)


def _disturbed(
    state: JobState, event: JobCancelRequested | JobCancelDelivered | JobLost | JobRecovered
) -> JobState:
    match event:
        case JobCancelRequested():
            return msgspec.structs.replace(
                state, cancel_requested=True, cancel_explanation=event.explanation
            )
        case JobCancelDelivered():
            return msgspec.structs.replace(state, cancel_delivered=True)
        case JobLost():
            return msgspec.structs.replace(state, lost=True, explanation=event.explanation)
        case JobRecovered():
            return msgspec.structs.replace(state, lost=False, explanation="")


JOB: Decider[JobCommand, JobEvent, JobState] = Decider(
    initial=INITIAL, decide=decide, evolve=evolve
)


def _decide_placement(
    command: Hold | Place | Withdraw | Claim | Begin | Conclude, state: JobState
) -> tuple[JobEvent, ...]:
    match command:
        case Hold():
            same = (state.rule, state.explanation) == (command.rule, command.explanation)
            if state.status is not Status.PENDING or same:
                return ()
            return (JobHeld(rule=command.rule, explanation=command.explanation),)
        case Place():
            if state.status is not Status.PENDING or state.cancel_requested:
                return ()
            return (
                JobPlaced(
                    attempt=state.attempt + 1,
                    group=command.group,
                    work_class=command.work_class,
                    runner=command.runner,
                    project_content=command.project_content,
                    galaxy_content=command.galaxy_content,
                    scm_revision=command.scm_revision,
                    inventory_content=command.inventory_content,
                    inputs=command.inputs,
                    jobs_position=command.jobs_position,
                ),
            )
        case Withdraw():
            unclaimed = state.status is Status.WAITING and state.runner is None
            if not unclaimed or command.attempt != state.attempt:
                return ()
            return (JobRequeued(attempt=state.attempt, explanation=command.explanation),)
        case Claim():
            return _claim(command, state)
        case Begin() | Conclude():
            return _decide_own(command, state)


def _decide_own(command: Begin | Conclude, state: JobState) -> tuple[JobEvent, ...]:
    """Decide about a job of the control plane's own; a runner's is left alone."""
    if run_by_runner(state):
        return ()
    match command:
        case Begin():
            if state.status is not Status.PENDING or state.cancel_requested:
                return ()
            attempt, runner = state.attempt + 1, command.runner
            return (
                JobPlaced(attempt=attempt, group="", work_class=1),
                JobClaimed(attempt=attempt, runner=runner),
                JobStarted(attempt=attempt, runner=runner, at=command.at),
            )
        case Conclude():
            if not state.active or not state.started:
                return ()
            canceled = command.status is Status.CANCELED
            explanation = state.cancel_explanation if canceled else command.explanation
            return (
                JobFinished(
                    status=str(command.status),
                    finished=command.at,
                    attempt=state.attempt,
                    explanation=explanation,
                ),
            )


def _claim(command: Claim, state: JobState) -> tuple[JobEvent, ...]:
    """Grant an unclaimed attempt; the same runner asking again has it until it has started."""
    if state.status is not Status.WAITING and not (state.active and state.runner):
        raise Refused({"detail": f"the job is {state.status}"}, 409)
    if command.attempt != state.attempt:
        raise Refused({"detail": f"attempt {command.attempt} is superseded"}, 409)
    if state.started:
        raise Refused({"detail": f"attempt {command.attempt} has started"}, 409)
    if state.cancel_requested:
        raise Refused({"detail": "the job is to be canceled"}, 409)
    if state.runner == command.runner:
        return ()
    if state.runner is not None:
        raise Refused({"detail": f"attempt {command.attempt} is held by {state.runner}"}, 409)
    return (JobClaimed(attempt=command.attempt, runner=command.runner),)


def _decide_report(
    command: ReportStarted | ReportFinished, state: JobState
) -> tuple[JobEvent, ...]:
    if command.attempt != state.attempt:
        return ()
    match command:
        case ReportStarted():
            if state.status is not Status.WAITING or state.runner is None:
                return ()
            return (JobStarted(attempt=command.attempt, runner=command.runner, at=command.at),)
        case ReportFinished():
            return _report_finished(command, state)


def _report_finished(command: ReportFinished, state: JobState) -> tuple[JobEvent, ...]:
    report = command.report
    if not state.active:
        later = report.last_counter > state.last_counter
        if not later or state.ended_attempt != command.attempt:
            return ()
        return (JobRecordCompleted(attempt=command.attempt, last_counter=report.last_counter),)
    if state.runner is None:
        return ()
    events: list[JobEvent] = []
    if not state.started and report.started is not None:
        events.append(JobStarted(attempt=command.attempt, runner=report.runner, at=report.started))
    if _awaits_import(command, state):
        return tuple(events)
    status, explanation = _reported_end(report, state)
    events.append(
        JobFinished(
            status=str(status),
            finished=report.at,
            attempt=command.attempt,
            rc=report.rc,
            explanation=explanation,
            traceback=report.traceback,
            last_counter=report.last_counter,
            revision=report.revision,
            content=report.content,
            galaxy=report.galaxy,
            facts=report.facts,
            playbooks=report.playbooks,
            inventory_files=report.inventory_files,
        )
    )
    return tuple(events)


def _awaits_import(command: ReportFinished, state: JobState) -> bool:
    record = state.launched.record if state.launched else None
    went_well = command.report.status == Status.SUCCESSFUL
    return isinstance(record, InventoryUpdateLaunch) and went_well and not command.imported


def _reported_end(report: AttemptFinished, state: JobState) -> tuple[Status, str]:
    """Return the end that a report means: only a job that somebody canceled ends as canceled."""
    status = Status(report.status)
    if status is not Status.CANCELED:
        return status, report.explanation
    if state.cancel_requested:
        return status, state.cancel_explanation or report.explanation
    return Status.ERROR, report.explanation or UNASKED


def _decide_cancel(command: RequestCancel | ConfirmCancel, state: JobState) -> tuple[JobEvent, ...]:
    match command:
        case RequestCancel():
            if not state.active or state.cancel_requested:
                return ()
            requested = JobCancelRequested(
                requested_by=command.requested_by, explanation=command.explanation
            )
            if state.runner is not None:
                return (requested,)
            canceled = JobFinished(
                status=str(Status.CANCELED),
                finished=command.at,
                explanation=command.explanation,
            )
            return requested, canceled
        case ConfirmCancel():
            held = state.active and state.cancel_requested and not state.cancel_delivered
            if not held or command.attempt != state.attempt:
                return ()
            return (JobCancelDelivered(attempt=command.attempt, runner=command.runner),)


def _decide_loss(
    command: MarkLost | MarkRecovered | GiveUp, state: JobState
) -> tuple[JobEvent, ...]:
    match command:
        case MarkLost():
            if not state.active or state.lost or state.runner != command.runner:
                return ()
            return (
                JobLost(
                    attempt=state.attempt,
                    runner=command.runner,
                    explanation=command.explanation,
                ),
            )
        case MarkRecovered():
            same = (state.attempt, state.runner) == (command.attempt, command.runner)
            if not state.active or not state.lost or not same:
                return ()
            return (JobRecovered(attempt=command.attempt, runner=command.runner),)
        case GiveUp():
            return _give_up(command, state)


def _give_up(command: GiveUp, state: JobState) -> tuple[JobEvent, ...]:
    if not state.active or not state.lost or command.attempt != state.attempt:
        return ()
    if state.cancel_requested:
        status, explanation = Status.CANCELED, state.cancel_explanation
    elif _tried_again(command, state):
        return (JobRequeued(attempt=state.attempt, explanation=command.explanation),)
    else:
        status, explanation = Status.ERROR, command.explanation
    return (
        JobFinished(
            status=str(status),
            finished=command.at,
            attempt=state.attempt,
            explanation=explanation,
        ),
    )


def _tried_again(command: GiveUp, state: JobState) -> bool:
    policy = state.launched.lost_policy if state.launched else "error"
    unstarted = command.unstarted and not state.started
    return (policy == "retry" or unstarted) and state.lost_attempts + 1 < LOST_ATTEMPTS_MAX


def _fail(command: Fail, state: JobState) -> tuple[JobEvent, ...]:
    """End a job that nobody runs; one that a runner may have started is canceled instead."""
    held = state.runner is not None and state.runner != command.holder
    if not state.active or held or state.started:
        return ()
    return (
        JobFinished(
            status=str(command.status), finished=command.at, explanation=command.explanation
        ),
    )


def _placed(state: JobState, event: JobPlaced) -> JobState:
    return msgspec.structs.replace(
        state,
        status=Status.WAITING,
        attempt=event.attempt,
        placed=event,
        runner=None,
        started=False,
        lost=False,
        rule="",
        explanation="",
    )


def _requeued(state: JobState, event: JobRequeued) -> JobState:
    return msgspec.structs.replace(
        state,
        status=Status.PENDING,
        placed=None,
        runner=None,
        started=False,
        lost=False,
        lost_attempts=state.lost_attempts + (state.runner is not None),
        rule="",
        explanation=event.explanation,
    )


def _finished(state: JobState, event: JobFinished) -> JobState:
    if state.status in TERMINAL:
        return state
    return msgspec.structs.replace(
        state,
        status=Status(event.status),
        explanation=event.explanation,
        ended_attempt=event.attempt,
        last_counter=event.last_counter,
        revision=event.revision,
        content=event.content,
        galaxy=event.galaxy,
        lost=False,
    )
