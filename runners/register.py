"""Announces the runner to the control plane until it is answered, and again from time to time."""

from __future__ import annotations

import os
from importlib import metadata

import msgspec
import nats.errors
import structlog

from runners.site import Site
from schemas import capacity, subjects
from schemas.work import Registered, RegisterRunner

ANSWER_WITHIN_S = 5.0

_log = structlog.get_logger()
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Registered)


def cpus() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """Return the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def own_capacity(chosen: int) -> int:
    """Return the capacity in forks before the control plane has said otherwise."""
    return chosen or capacity.capacity(cpus(), memory_bytes()).total


def version() -> str:
    """Return the installed version; empty when run from a tree that is not installed."""
    try:
        return metadata.version("playlog")
    except metadata.PackageNotFoundError:
        return ""


async def register(site: Site, groups: tuple[str, ...]) -> Registered | None:
    """Ask to be known; None when nobody answers now."""
    request = RegisterRunner(
        runner=site.name,
        groups=groups,
        node_type="execution",
        cpu=float(cpus()),
        memory=memory_bytes(),
        version=version(),
        sealing_key=site.key.public,
        running=site.held.running,
        isolation=site.abilities.names,
        isolation_lacks=site.abilities.lacking,
    )
    try:
        answer = await site.nats.request(
            subjects.register(site.name, groups),
            _encoder.encode(request),
            timeout=ANSWER_WITHIN_S,
        )
        return _decoder.decode(answer.data)
    except (nats.errors.Error, OSError, TimeoutError, msgspec.DecodeError) as error:
        _log.info("register.waiting", why=repr(error))
        return None
