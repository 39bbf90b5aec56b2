"""What happens around the run of a job that is kept apart, in its supervisor."""

from __future__ import annotations

import os
import select

from ops import clock
from runners import process_tree
from runners.ending import Ending, Stopped
from runners.isolation import container, images, limits
from runners.journal import JournalEvent, JournalReader, JournalWriter
from runners.preparation import Preparation, Unrunnable
from runners.spec import JOURNAL_FILE

CONTAINER_GONE_WITHIN_S = 2.0
_PAUSE_S = 0.02


def ready(job: Preparation, journal: JournalWriter, ending: Ending) -> None:
    """See that the job may run here and has what it runs in. Raises Unrunnable, Stopped."""
    isolation = job.spec.isolation
    if isolation.refused:
        raise Unrunnable(isolation.refused)
    if isolation.note:
        journal.text(f"{isolation.note}\n")
    try:
        limits.enter(isolation, job.dir)
    except OSError as error:
        raise Unrunnable(f"The limits of the job cannot be set: {error}") from error
    if isolation.mode == "container":
        images.provide(job, ending.due)
        if ending.due():
            raise Stopped


def settle(job: Preparation) -> None:
    """Let a container that has ended go, before what is left is killed; end one that has not."""
    engine = job.spec.isolation.engine
    if engine is None:
        return
    deadline = clock.monotonic() + CONTAINER_GONE_WITHIN_S
    while process_tree.descendants(os.getpid()):
        process_tree.reap()
        if clock.monotonic() > deadline:
            images.remove(engine, container.name_of(job.dir))
            return
        select.select([], [], [], _PAUSE_S)


def limit_met(job: Preparation, status: str) -> str:
    """Return the limit that a job which did not succeed has met; empty when it met none."""
    isolation = job.spec.isolation
    if status == "successful" or not limits.memory_was_short(isolation, job.dir):
        return ""
    megabytes = isolation.limits.memory_bytes // (1024 * 1024)
    return f"A process of the job was ended: together they may use {megabytes} MB of memory"


def explained(job: Preparation, rc: int | None) -> str:
    """Return why a container did not come to run its command; empty when it did."""
    isolation = job.spec.isolation
    if isolation.mode != "container":
        return ""
    if rc == container.NOT_STARTED:
        return f"Execution environment {isolation.image} cannot be started: {_complaint(job)}"
    if rc == container.NOT_FOUND:
        return f"Execution environment {isolation.image} lacks a program: {_complaint(job)}"
    return ""


def _complaint(job: Preparation) -> str:
    """Return what was printed last; behind what it calls an error podman may give advice."""
    last = error = ""
    for entry in JournalReader(job.dir / JOURNAL_FILE).all():
        if isinstance(entry, JournalEvent) and entry.event.stdout.strip():
            last = entry.event.stdout.strip()
            error = last if last.startswith("Error: ") else error
    return error or last
