"""Who may say and hear what on NATS, as the claims of accounts and users. Pure.

Whoever may publish in an account names a reply subject, and the server answers there whatever the
user may do: an acknowledgement or a stored message goes into CONFIG, or to the API that deletes
streams. So runners and attempts live in an account without streams, ``FIELD``. What it exchanges
with the log's account is listed here; a request that crosses gets a reply subject of the server's
own, and its answer comes back to the field and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas import streams, subjects
from schemas.subjects import Attempt
from schemas.work import WORK_CLASSES

_GET = "$JS.API.DIRECT.GET"
_PULL = f"$JS.API.CONSUMER.MSG.NEXT.{streams.WORK.name}"
_ACK = f"$JS.ACK.{streams.WORK.name}"
_CONTENT = "content.*.*"
_READ_CONTENT = f"{_GET}.{streams.BLOBS.name}.{_CONTENT}"

_UPWARD = (
    subjects.register("*", "*"),
    subjects.claim("*"),
    subjects.released("*"),
    subjects.kv(streams.PRESENCE.name, "*"),
    *streams.OUTPUT.subjects,
    *streams.REPORTS.subjects,
    _CONTENT,
    _READ_CONTENT,
    *(f"{_GET}.{each.name}.{each.subjects[0]}" for each in (streams.OUTPUT, streams.REPORTS)),
    f"{_ACK}.>",
)
"""Requests of the field that the log's account answers, once each."""
_UPWARD_MANY = f"{_PULL}.*"
"""A pull may be answered by orders and by its end."""
_DOWNWARD = "ctl.*.*"
"""Requests of the control plane that runners answer."""

REPLIES = {"max": 1, "ttl": 60_000_000_000}
"""A runner may answer each request it gets once, within this time (ns)."""


def log_account(field: str) -> dict[str, Any]:
    """Return the claims of the log's account, beside the account ``field`` (public key)."""
    once = [_export(subject, "Singleton") for subject in _UPWARD]
    return {
        "exports": [*once, _export(_UPWARD_MANY, "Stream")],
        "imports": [_import(_DOWNWARD, field)],
    }


def field_account(log: str) -> dict[str, Any]:
    """Return the claims of the field's account, beside the account ``log`` (public key)."""
    return {
        "exports": [_export(_DOWNWARD, "Singleton")],
        "imports": [_import(subject, log) for subject in (*_UPWARD, _UPWARD_MANY)],
    }


def runner_publishes(runner: str, groups: Sequence[str]) -> list[str]:
    """Return what a runner may say: its groups' work, its own requests, presence and content."""
    consumers = [subjects.runner_consumer(runner)]
    consumers += [subjects.group_consumer(group, each) for group in groups for each in WORK_CLASSES]
    return [
        subjects.register(runner, groups),
        subjects.claim(runner),
        subjects.released(runner),
        subjects.kv(streams.PRESENCE.name, subjects.token(runner)),
        _CONTENT,
        _READ_CONTENT,
        *(f"{_PULL}.{consumer}" for consumer in consumers),
        *(f"{_ACK}.{consumer}.>" for consumer in consumers),
    ]


def runner_hears(runner: str) -> list[str]:
    """Return what a runner may listen to: its inbox and control requests to it."""
    return [f"{inbox_prefix(runner)}.>", f"ctl.{subjects.token(runner)}.>"]


def attempt_publishes(attempt: Attempt) -> list[str]:
    """Return what an attempt may say: its record, and content that the record refers to."""
    output, report = subjects.output(attempt), subjects.report(attempt)
    return [
        output,
        report,
        _CONTENT,
        _READ_CONTENT,
        f"{_GET}.{streams.OUTPUT.name}.{output}",
        f"{_GET}.{streams.REPORTS.name}.{report}",
    ]


def inbox_prefix(name: str) -> str:
    """Return the inbox prefix of a restricted user: nobody else listens below it."""
    return f"_INBOX_{subjects.token(name)}"


def _export(subject: str, answers: str) -> dict[str, Any]:
    return {"name": subject, "subject": subject, "type": "service", "response_type": answers}


def _import(subject: str, account: str) -> dict[str, Any]:
    return {"name": subject, "subject": subject, "account": account, "type": "service"}
