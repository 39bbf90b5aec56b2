"""Applies ``schemas.streams`` to a NATS server: what is missing is made, what differs is updated.

Requests go to the JetStream API as JSON, since nats-py does not know every option (counters, fast
ingest, consumer limits).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client

from ops import clock
from ops.pull import STREAM_NOT_FOUND
from schemas.streams import BUCKETS, STREAMS, BucketSpec, StreamSpec

READY_WITHIN_S = 60.0
"""How long a cluster may take to choose its leader and find its servers."""
_ANSWER_WITHIN_S = 10.0
_PAUSE_S = 0.5
_NOT_READY = frozenset({10005, 10008})
"""No suitable peers for placement; JetStream system temporarily unavailable."""
_NANO = 1_000_000_000


class Change(Struct, frozen=True, kw_only=True):
    """What provisioning did to one stream.

    ``created``, or ``updated`` with the options it changed.
    """

    stream: str
    what: str
    options: tuple[str, ...] = ()


class ProvisionError(Exception):
    """The server refused a stream; the message is its own."""


async def provision(connection: Client, *, replicas: int = 1) -> list[Change]:
    """Bring streams and buckets to their declared state; returns what was changed."""
    wanted = [stream_config(spec, replicas) for spec in STREAMS]
    wanted += [bucket_config(spec, replicas) for spec in BUCKETS]
    changes: list[Change] = []
    for config in wanted:
        change = await _apply(connection, config)
        if change is not None:
            changes.append(change)
    return changes


def stream_config(spec: StreamSpec, replicas: int) -> dict[str, Any]:
    """Return a stream's configuration as the JetStream API takes it."""
    config: dict[str, Any] = {
        "name": spec.name,
        "subjects": list(spec.subjects),
        "retention": spec.retention,
        "storage": "file",
        "num_replicas": replicas,
        "max_age": spec.max_age_s * _NANO,
        "duplicate_window": spec.duplicate_window_s * _NANO,
        "allow_direct": spec.allow_direct,
        "deny_delete": spec.deny_delete,
        "compression": spec.compression,
        "max_consumers": spec.max_consumers,
        "max_msgs_per_subject": spec.max_msgs_per_subject,
        "discard": "new" if spec.first_stays else "old",
    }
    optional = {
        "allow_msg_counter": spec.allow_msg_counter,
        "allow_msg_ttl": spec.allow_msg_ttl,
        "allow_rollup_hdrs": spec.allow_rollup,
        "discard_new_per_subject": spec.first_stays,
    }
    config |= {name: True for name, value in optional.items() if value}
    if spec.republish_source is not None:
        config["republish"] = {
            "src": spec.republish_source,
            "dest": spec.republish_destination,
        }
    return config


def bucket_config(spec: BucketSpec, replicas: int) -> dict[str, Any]:
    """Return the stream below a key-value bucket, as NATS lays buckets out."""
    config: dict[str, Any] = {
        "name": f"KV_{spec.name}",
        "subjects": [f"$KV.{spec.name}.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "max_age": int(spec.ttl_s * _NANO),
        "duplicate_window": int(min(spec.ttl_s or 120, 120) * _NANO),
        "max_msgs_per_subject": spec.history,
        "discard": "new",
        "allow_direct": True,
        "allow_rollup_hdrs": False,
        "deny_delete": True,
        "max_consumers": 100_000,
    }
    if spec.allow_ttl:
        config["allow_msg_ttl"] = True
    return config


async def _apply(connection: Client, config: dict[str, Any]) -> Change | None:
    name = config["name"]
    existing = await _answer(connection, f"$JS.API.STREAM.INFO.{name}", None)
    if existing.get("error", {}).get("err_code") == STREAM_NOT_FOUND:
        _check(await _answer(connection, f"$JS.API.STREAM.CREATE.{name}", config), name)
        return Change(stream=name, what="created")
    _check(existing, name)
    different = tuple(
        option
        for option, value in config.items()
        if existing["config"].get(option, _EMPTY) != value
        and not (value in _DEFAULTS and option not in existing["config"])
    )
    if not different:
        return None
    _check(await _answer(connection, f"$JS.API.STREAM.UPDATE.{name}", config), name)
    return Change(stream=name, what="updated", options=different)


_EMPTY = object()
_DEFAULTS = (False, 0, "none")


async def _answer(connection: Client, subject: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Ask until the servers are ready: nobody answers for a cluster that has no leader yet.

    What is asked here can be asked twice: a stream that is there as wanted is created again.
    """
    until = clock.monotonic() + READY_WITHIN_S
    while True:
        late = clock.monotonic() > until
        try:
            found = await ask(connection, subject, body, _ANSWER_WITHIN_S)
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
            if late:
                raise
        else:
            if late or found.get("error", {}).get("err_code") not in _NOT_READY:
                return found
        await asyncio.sleep(_PAUSE_S)


async def ask(
    connection: Client,
    subject: str,
    body: dict[str, Any] | None,
    timeout_s: float,
) -> dict[str, Any]:
    """Return the JetStream API's answer to a request, errors included; raises NATS errors."""
    answer = await connection.request(
        subject, b"" if body is None else msgspec.json.encode(body), timeout=timeout_s
    )
    found: dict[str, Any] = msgspec.json.decode(answer.data)
    return found


def _check(answer: dict[str, Any], name: str) -> None:
    if "error" in answer:
        message = f"stream {name}: {answer['error'].get('description')}"
        raise ProvisionError(message)
