"""Every NATS subject is built and parsed here and nowhere else.

Names that users choose (instance groups, runners) become one token by ``token``; organization 0
stands for none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


class Attempt(NamedTuple):
    """One run of one job: organization (0 for none), job id and attempt number."""

    organization: int
    job: int
    attempt: int


def token(name: str) -> str:
    """Encode a name as one subject token, reversibly (``~`` and the code point in hex)."""
    return _UNSAFE.sub(lambda match: f"~{ord(match.group()):x}~", name)


def name_of(encoded: str) -> str:
    """Decode a token made by ``token``."""
    return re.sub(r"~([0-9a-f]+)~", lambda match: chr(int(match.group(1), 16)), encoded)


def config(kind: str, object_id: int) -> str:
    """Subject of one declared resource in CONFIG."""
    return f"config.{kind}.{object_id}"


def parse_config(subject: str) -> tuple[str, int]:
    """Return kind and id of a CONFIG subject."""
    _, kind, object_id = subject.split(".")
    return kind, int(object_id)


def job(job_id: int) -> str:
    """Subject of one unified job in JOBS."""
    return f"job.{job_id}"


def parse_job(subject: str) -> int:
    """Return the job id of a JOBS subject."""
    return int(subject.split(".")[1])


def job_status(job_id: int | str) -> str:
    """Core subject on which the server republishes a job's transitions; ``*`` for all."""
    return f"status.{job_id}"


def access(kind: str) -> str:
    """Subject of one kind of access record (login, refusal) in ACCESS."""
    return f"access.{kind}"


def output(attempt: Attempt) -> str:
    """Subject of one attempt's output frames in OUTPUT."""
    return f"output.{attempt.organization}.{attempt.job}.{attempt.attempt}"


def live(attempt: Attempt) -> str:
    """Core subject on which the server republishes one attempt's output frames."""
    return f"live.{attempt.organization}.{attempt.job}.{attempt.attempt}"


def live_job(organization: int | str, job_id: int | str) -> str:
    """Core subject pattern of a job's live output over all its attempts."""
    return f"live.{organization}.{job_id}.*"


def live_organization(organization: int) -> str:
    """Core subject pattern of all live output of an organization."""
    return f"live.{organization}.>"


def report(attempt: Attempt) -> str:
    """Subject of one attempt's reports in REPORTS."""
    return f"report.{attempt.organization}.{attempt.job}.{attempt.attempt}"


def parse_attempt(subject: str) -> Attempt:
    """Return the attempt that an output, live or report subject belongs to."""
    _, organization, job_id, attempt = subject.split(".")
    return Attempt(int(organization), int(job_id), int(attempt))


def work_group(group: str, work_class: int | str) -> str:
    """Subject of work orders for any runner of a group; the class is a power of two."""
    return f"work.group.{token(group)}.{work_class}"


def work_runner(runner: str) -> str:
    """Subject of work orders addressed to one runner."""
    return f"work.runner.{token(runner)}"


def group_consumer(group: str, work_class: int) -> str:
    """Name of the WORK consumer that the runners of a group share for one class."""
    return f"group-{token(group)}-{work_class}"


def runner_consumer(runner: str) -> str:
    """Name of the WORK consumer of orders addressed to one runner."""
    return f"runner-{token(runner)}"


def register(runner: str, groups: Sequence[str]) -> str:
    """Request subject on which a runner registers for groups; ``*`` and ``*`` for the service.

    It names the groups, so that what a runner may register for stands in what it may publish.
    """
    if runner == "*":
        return "register.*.*"
    return f"register.{token(runner)}.{','.join(map(token, groups)) or '-'}"


def claim(runner: str) -> str:
    """Request subject on which a runner asks for a claim; ``*`` for the service."""
    return f"claim.{runner if runner == '*' else token(runner)}"


def released(runner: str) -> str:
    """Request subject on which a runner says that an attempt's record is complete.

    ``*`` for all.
    """
    return f"released.{runner if runner == '*' else token(runner)}"


def control(runner: str, verb: str) -> str:
    """Request subject on which a runner takes control requests (``cancel``, ``ping``)."""
    return f"ctl.{token(runner)}.{verb}"


def projected(projection: str) -> str:
    """Core subject on which a projector announces the position it has committed."""
    return f"proj.pos.{projection}"


def content(digest: str, part: int | str) -> str:
    """Subject of one chunk of content in BLOBS, by sha256 (hex) and part number from 0."""
    return f"content.{digest}.{part}"


def key(kind: str, object_id: int) -> str:
    """Subject of one object's wrapped data key in KEYS."""
    return f"key.{kind}.{object_id}"


def sequence(name: str) -> str:
    """Subject of one id counter in IDS."""
    return f"id.{name}"


def dead(stream: str, position: int) -> str:
    """Subject of one message that could not be applied, in DEADLETTER."""
    return f"dead.{stream}.{position}"


def kv(bucket: str, key: str) -> str:
    """Subject of one entry of a key-value bucket."""
    return f"$KV.{bucket}.{key}"
